import numpy as np
import pytest
import torch

from equiangular import _validate as v


@pytest.mark.parametrize("value", [1, 0, -3, 2.0, True, "3", None])
def test_num_classes_below_two_or_not_an_integer(value: object) -> None:
    with pytest.raises(ValueError, match=r"num_classes must be an integer >= 2, got .*two classes"):
        v.check_num_classes(value)


def test_num_classes_takes_numpy_integers() -> None:
    assert v.check_num_classes(np.int64(5)) == 5


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (np.zeros((2, 3)), "must be a torch.Tensor"),
        (torch.zeros(3), r"shape \(B, d\), got \(3,\)"),
        (torch.zeros(2, 3, dtype=torch.long), "floating point, got torch.int64"),
        (torch.zeros(2, 4), r"width 3, got shape \(2, 4\)"),
        (torch.tensor([[1.0, 2.0, 3.0], [0.0, float("nan"), 1.0]]), "NaN or infinite values, first in row 1"),
        (torch.tensor([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]]), r"zero-norm row \(row 1\)"),
    ],
)
def test_bad_features(features: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        v.check_features(features, dim=3, allow_zero=False)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 1], "must be a torch.Tensor"),
        (torch.tensor([0.0, 1.0]), "integers .* got torch.float32"),
        (torch.tensor([True, False]), "integers .* got torch.bool"),
        (torch.tensor([[0, 1]]), r"shape \(B,\), got \(1, 2\)"),
        (torch.tensor([0, 3]), r"lie in \[0, 2\] for 3 classes, got values from 0 to 3"),
        (torch.tensor([-1, 2]), r"lie in \[0, 2\] for 3 classes, got values from -1 to 2"),
        (torch.tensor([0, 1, 2]), "3 entries for 2 samples"),
    ],
)
def test_bad_labels(labels: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        v.check_labels(labels, 3, batch=2)


def test_good_labels_become_int64() -> None:
    assert v.check_labels(torch.tensor([0, 2], dtype=torch.int32), 3).dtype == torch.int64


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ([5, 0, 2], r"class 1 has 0 \(1 such classes\)"),
        ([5, -1, 2], "class 1 has -1"),
        ([5, float("nan"), 2], "class 1 has nan"),
        ([[1, 2]], r"shape \(K,\), got \(1, 2\)"),
        ([1, 2], "2 entries for 3 classes"),
        ("many", "sequence of K numbers"),
    ],
)
def test_bad_class_counts(counts: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        v.check_class_counts(counts, 3)


def test_choice_suggests_the_closest() -> None:
    with pytest.raises(ValueError, match=r"got 'harr'; did you mean 'haar'\?"):
        v.check_choice("harr", ["haar", "minimal"], "basis")


@pytest.mark.parametrize("value", [-1, float("inf"), float("nan"), "1", True, None])
def test_non_negative(value: object) -> None:
    with pytest.raises(ValueError, match=r"tau must be a finite number of at least 0, got .*\. 1 is usual\."):
        v.check_non_negative(value, "tau", hint="1 is usual.")


@pytest.mark.parametrize("value", [0, 0.5, np.float32(0.5), np.int64(2)])
def test_non_negative_numbers_of_any_library(value: object) -> None:
    assert v.check_non_negative(value, "tau") == float(value)


@pytest.mark.parametrize("value", [0, -1, float("inf"), float("nan"), "x", None])
def test_positive(value: object) -> None:
    with pytest.raises(ValueError, match="scale must be a finite number above 0"):
        v.check_positive(value, "scale")
