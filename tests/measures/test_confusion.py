from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn import metrics

from equiangular.measures import confusion_matrix


def test_against_scikit_learn_and_additive():
    rng = np.random.default_rng(0)
    labels, predicted = (torch.from_numpy(rng.integers(0, 6, 300)) for _ in range(2))
    matrix = confusion_matrix(predicted, labels, 6)
    np.testing.assert_array_equal(matrix, metrics.confusion_matrix(labels, predicted, labels=range(6)))
    parts = sum(confusion_matrix(p, y, 6) for p, y in zip(predicted.split(70), labels.split(70), strict=True))
    assert torch.equal(parts, matrix)
    assert matrix.dtype == torch.int64


def test_absent_classes_keep_their_rows():
    assert confusion_matrix(torch.tensor([1]), torch.tensor([0]), 3).tolist() == [[0, 1, 0], [0, 0, 0], [0, 0, 0]]


def test_bad_input():
    with pytest.raises(ValueError, match="predicted must lie in"):
        confusion_matrix(torch.tensor([3]), torch.tensor([0]), 3)
    with pytest.raises(ValueError, match="2 entries for 1 samples"):
        confusion_matrix(torch.tensor([0, 1]), torch.tensor([0]), 3)
    with pytest.raises(ValueError, match="num_classes must be an integer >= 2"):
        confusion_matrix(torch.tensor([0]), torch.tensor([0]), 1)
