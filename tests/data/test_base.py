from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from equiangular.data import Dataset
from equiangular.data.base import balanced_test_split, relabel

X = torch.arange(12, dtype=torch.float32).view(6, 2)
Y = torch.tensor([0, 1, 2, 0, 1, 2])


def make(**changes):
    fields = {
        "name": "demo",
        "train_x": X,
        "train_y": Y,
        "test_x": X[:3],
        "test_y": Y[:3],
        "class_names": ("a", "b", "c"),
        "kind": "table",
        "source": "made up",
    }
    return Dataset(**{**fields, **changes})


def test_properties():
    data = make()
    assert (data.num_classes, data.input_shape, data.train_counts.tolist()) == (3, (2,), [2, 2, 2])
    assert data.licence == "not stated"
    images = torch.zeros(6, 1, 4, 5, dtype=torch.uint8)
    assert make(train_x=images, test_x=images[:3], kind="image").input_shape == (1, 4, 5)


def test_a_class_may_be_missing_from_the_test_part():
    assert make(test_x=X[:1], test_y=Y[:1]).num_classes == 3


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"kind": "images"}, "did you mean 'image'"),
        ({"class_names": ("a",)}, r"1 class\(es\); a classifier needs two"),
        (
            {"class_names": ("a", "b", "a")},
            r"'demo' names two classes alike: 'a' \(label 0\) and 'a' \(label 2\). Rename",
        ),
        ({"class_names": ("a", "b", "b ")}, r"alike: 'b' \(label 1\) and 'b ' \(label 2\)"),
        ({"class_names": ("\u00e9", "b", "e\u0301")}, "names two classes alike"),  # one letter, two ways to write it
        ({"train_x": X.double()}, r"'demo', train part: .*kind 'table' must be torch.float32 .*got torch.float64"),
        ({"test_x": X[:3, :, None]}, r"test part: .*\(N, d\), got torch.float32 of shape \(3, 2, 1\)"),
        ({"kind": "image"}, r"must be torch.uint8 of shape \(N, C, H, W\)"),
        ({"train_x": X.numpy()}, "got ndarray"),
        ({"train_y": Y.int()}, r"labels must be torch.int64 of shape \(6,\), got torch.int32"),
        ({"train_y": Y[:5]}, r"of shape \(6,\), got torch.int64 of shape \(5,\)"),
        ({"test_x": X[:0], "test_y": Y[:0]}, "test part is empty"),
        ({"train_y": torch.tensor([0, 1, 2, 3, 1, 2])}, r"row 4 has label 3, outside \[0, 2\] for 3 classes"),
        ({"test_y": torch.tensor([0, -1, 2])}, "test part: row 2 has label -1"),
        ({"train_y": torch.tensor([0, 0, 2, 0, 0, 2])}, r"no training sample of class 'b' \(label 1; 1 such classes\)"),
        ({"test_x": torch.zeros(3, 5)}, r"training inputs have shape \(2,\), test inputs \(5,\)"),
        ({"train_x": X.clone().index_fill_(0, torch.tensor([4]), math.nan)}, "row 5, column 0 is nan"),
    ],
)
def test_bad_input(changes, match):
    with pytest.raises(ValueError, match=match):
        make(**changes)


def test_relabel():
    indices, names = relabel(np.array(["b", "a", "b"]), None, where="x")
    assert (indices.tolist(), names) == ([1, 0, 1], ("a", "b"))
    indices, names = relabel(np.array([30, 4]), None, where="x")
    assert (indices.tolist(), names) == ([1, 0], ("4", "30"))
    indices, names = relabel(np.array(["b", "a"]), ("b", "a", "c"), where="x")
    assert (indices.tolist(), names) == ([0, 1], ("b", "a", "c"))
    with pytest.raises(ValueError, match="label 'dogg' is not among the 2 classes; did you mean 'dog'"):
        relabel(np.array(["cat", "dogg"]), ("cat", "dog"), where="x")


def test_balanced_test_split():
    labels = np.repeat([0, 1, 2], [30, 20, 11])
    train, test = balanced_test_split(labels, 10, seed=0)
    assert np.bincount(labels[test]).tolist() == [10, 10, 10]
    assert sorted([*train, *test]) == list(range(61))
    assert not np.array_equal(test, balanced_test_split(labels, 10, seed=1)[1])
    with pytest.raises(ValueError, match="class 2 has 11 samples: too few to take 11"):
        balanced_test_split(labels, 11, seed=0)
