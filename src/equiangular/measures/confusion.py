"""The confusion matrix: O(K^2) memory, so it is built only where it is asked for."""

from __future__ import annotations

import torch
from torch import Tensor

from equiangular._validate import check_labels, check_num_classes


def confusion_matrix(predicted: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """Count how often each class was taken for each class.

    C[i, j] = #{n : y_n = i, yhat_n = j}: rows are true classes, columns are predictions.

    Args:
        predicted: (N,) integer tensor of predicted classes.
        labels: (N,) integer tensor of true classes.
        num_classes: K >= 2.

    Returns:
        (K, K) int64 tensor; add up those of several batches or processes.

    Raises:
        ValueError: shapes that differ, a dtype that is not integer, or a class outside [0, K).

    Example:
        >>> confusion_matrix(torch.tensor([0, 1, 1]), torch.tensor([0, 0, 1]), 2)
        tensor([[1, 1],
                [0, 1]])
    """
    classes = check_num_classes(num_classes)
    labels = check_labels(labels, classes)
    predicted = check_labels(predicted, classes, name="predicted", batch=labels.shape[0])
    cells = torch.bincount(labels * classes + predicted, minlength=classes * classes)
    return cells.view(classes, classes)
