from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, balanced_accuracy_score, recall_score

from equiangular.longtail import class_groups
from equiangular.measures import accuracy, balanced_accuracy, confusion_matrix, group_accuracy, per_class_accuracy
from equiangular.measures.streaming import ShotAccuracy


def sample(num_classes=7, n=500, seed=0):
    """A long-tailed test set on which the rare classes are predicted worse."""
    rng = np.random.default_rng(seed)
    weights = 0.5 ** np.arange(num_classes)
    labels = np.concatenate([np.arange(num_classes), rng.choice(num_classes, n, p=weights / weights.sum())])
    wrong = rng.random(len(labels)) < labels / num_classes
    predicted = np.where(wrong, rng.integers(0, num_classes, len(labels)), labels)
    return torch.from_numpy(predicted), torch.from_numpy(labels)


def test_against_scikit_learn():
    predicted, labels = sample()
    assert accuracy(predicted, labels).item() == pytest.approx(accuracy_score(labels, predicted), abs=1e-15)
    rates = per_class_accuracy(predicted, labels, 7)
    np.testing.assert_allclose(rates, recall_score(labels, predicted, average=None), atol=1e-15)
    expected = balanced_accuracy_score(labels, predicted)
    assert balanced_accuracy(rates).item() == pytest.approx(expected, abs=1e-15)
    assert balanced_accuracy(confusion_matrix(predicted, labels, 7)).item() == pytest.approx(expected, abs=1e-15)


def test_groups_weigh_classes_not_samples():
    matrix = torch.tensor([[90, 10, 0], [0, 1, 1], [4, 0, 0]])
    for values in (matrix, torch.tensor([0.9, 0.5, 0.0], dtype=torch.float64), [0.9, 0.5, 0.0]):
        result = group_accuracy(values, {"many": [0], "rest": np.array([1, 2])})
        assert result["many"].item() == pytest.approx(0.9)
        assert result["rest"].item() == pytest.approx(0.25)


def test_empty_groups_and_absent_classes_are_nan_not_zero():
    rates = per_class_accuracy(torch.tensor([0, 0]), torch.tensor([0, 1]), 4)
    assert rates.isnan().tolist() == [False, False, True, True]
    result = group_accuracy(rates, {"none": [], "absent": [2, 3], "mixed": [1, 2]})
    assert math.isnan(result["none"].item())
    assert math.isnan(result["absent"].item())
    assert result["mixed"].item() == 0
    assert balanced_accuracy(rates).item() == 0.5
    assert math.isnan(balanced_accuracy(torch.full((3,), math.nan)).item())
    empty = torch.zeros(0, dtype=torch.int64)
    assert math.isnan(accuracy(empty, empty).item())


def test_counts_beyond_single_precision():
    n = 2**24  # float32 cannot count on from here
    matrix = torch.tensor([[n + 1, 1], [0, 1]])
    assert balanced_accuracy(matrix).item() == pytest.approx(((n + 1) / (n + 2) + 1) / 2, rel=1e-15)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: accuracy(torch.zeros(3), torch.zeros(3).long()), "predicted must be an integer tensor"),
        (lambda: accuracy(torch.zeros(3, 2).long(), torch.zeros(3).long()), r"argmax\(1\)"),
        (lambda: accuracy([0], torch.zeros(1).long()), "got list"),
        (lambda: accuracy(torch.zeros(2).long(), torch.zeros(3).long()), "2 entries for 3 labels"),
        (lambda: per_class_accuracy(torch.tensor([0]), torch.tensor([5]), 3), r"lie in \[0, 2\] for 3 classes"),
        (lambda: per_class_accuracy(torch.tensor([7]), torch.tensor([0]), 3), "predicted must lie in"),
        (lambda: balanced_accuracy(torch.zeros(2, 3)), r"or a confusion matrix \(K, K\), got shape \(2, 3\)"),
        (lambda: group_accuracy(torch.ones(3), {"few": [3]}), "classes of group 'few' must lie in"),
    ],
)
def test_bad_input(call, match):
    with pytest.raises(ValueError, match=match):
        call()


COUNTS = [500, 200, 100, 50, 20, 19, 1]


def test_shot_accuracy_streams_to_the_pure_functions():
    predicted, labels = sample(n=997)
    metric = ShotAccuracy(COUNTS, confusion=True)
    for part in torch.arange(len(labels)).split(100):
        metric.update(torch.nn.functional.one_hot(predicted[part], 7).float(), labels[part])
    result = metric.compute()
    rates = per_class_accuracy(predicted, labels, 7)
    expected = {
        "accuracy": accuracy(predicted, labels),
        "balanced_accuracy": balanced_accuracy(rates),
        **group_accuracy(rates, class_groups(COUNTS)),
        "confusion": confusion_matrix(predicted, labels, 7),
    }
    assert list(result) == list(expected)
    for name, value in expected.items():
        torch.testing.assert_close(result[name], value, rtol=0, atol=1e-15)
    torch.testing.assert_close(metric.per_class(), rates, rtol=0, atol=0)
    metric.reset()
    with pytest.warns(UserWarning, match="before the ``update``"):
        assert metric.compute()["accuracy"].isnan()


def test_shot_accuracy_states_are_sums_of_size_k():
    metric = ShotAccuracy([5] * 1000)
    assert sum(getattr(metric, name).numel() for name in metric._defaults) == 2000
    assert {function.__name__ for function in metric._reductions.values()} == {"dim_zero_sum"}
    assert metric.state_dict() == {}


def test_shot_accuracy_forward_gives_the_batch_and_keeps_the_total():
    metric = ShotAccuracy([5, 5])
    assert metric(torch.tensor([0]), torch.tensor([0]))["accuracy"] == 1
    assert metric(torch.tensor([0]), torch.tensor([1]))["accuracy"] == 0
    assert metric.compute()["accuracy"] == 0.5


def test_shot_accuracy_bad_input():
    with pytest.raises(ValueError, match="class 1 has 0"):
        ShotAccuracy([5, 0])
    with pytest.raises(ValueError, match="0 < low <= high"):
        ShotAccuracy([5, 5], (100, 20))
    metric = ShotAccuracy([5, 5])
    with pytest.raises(ValueError, match="2 columns, got shape"):
        metric.update(torch.zeros(3, 4), torch.zeros(3).long())
    with pytest.raises(ValueError, match="target must lie in"):
        metric.update(torch.zeros(3).long(), torch.tensor([0, 1, 2]))


def test_importing_the_measures_imports_no_optional_library():
    code = (
        "import sys, equiangular.measures as m\n"
        "loaded = {'torchmetrics', 'scipy', 'sklearn', 'lightning'} & set(sys.modules)\n"
        "assert not loaded, loaded\n"
        "m.ShotAccuracy\n"
        "assert 'torchmetrics' in sys.modules\n"
        "try:\n    m.nothing\n"
        "except AttributeError as error:\n    assert 'ShotAccuracy' in str(error)\n"
        "else:\n    raise SystemExit('no AttributeError')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
