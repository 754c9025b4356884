"""Accuracies of predicted labels, overall, by class and by group of classes, and the confusion matrix."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from equiangular._validate import check_labels, check_num_classes
from equiangular.measures.collapse.moments import accumulation_dtype


def accuracy(predicted: Tensor, labels: Tensor) -> Tensor:
    """Share of samples whose class is predicted, (1/N) #{n : yhat_n = y_n}.

    Returns a scalar float64 tensor; NaN for N = 0.

    Args:
        predicted: (N,) integer tensor of predicted classes.
        labels: (N,) integer tensor of true classes.

    Raises:
        ValueError: shapes that differ or a dtype that is not integer.

    Example:
        >>> accuracy(torch.tensor([0, 1, 1]), torch.tensor([0, 1, 0])).item()
        0.666...
    """
    for name, value in (("predicted", predicted), ("labels", labels)):
        if not isinstance(value, Tensor) or value.ndim != 1 or value.is_floating_point() or value.is_complex():
            got = f"{value.dtype} {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
            raise ValueError(f"{name} must be an integer tensor of shape (N,), got {got}. Take .argmax(1) of logits.")
    if predicted.shape != labels.shape:
        raise ValueError(f"predicted has {len(predicted)} entries for {len(labels)} labels; they must agree.")
    return (predicted == labels).to(accumulation_dtype(labels.device)).mean()


def per_class_accuracy(predicted: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """Accuracy of each class (its recall), #{n : yhat_n = y_n = c} / #{n : y_n = c}. O(N + K) memory.

    Returns (K,) float64 tensor; NaN for a class without samples.

    Args:
        predicted: (N,) integer tensor of predicted classes.
        labels: (N,) integer tensor of true classes.
        num_classes: K >= 2.

    Raises:
        ValueError: shapes that differ, a dtype that is not integer, or a class outside [0, K).

    Example:
        >>> per_class_accuracy(torch.tensor([0, 1, 1]), torch.tensor([0, 1, 0]), 3)
        tensor([0.5000, 1.0000,    nan], dtype=torch.float64)
    """
    classes = check_num_classes(num_classes)
    labels = check_labels(labels, classes)
    predicted = check_labels(predicted, classes, name="predicted", batch=labels.shape[0])
    correct = torch.bincount(labels[predicted == labels], minlength=classes)
    return class_rates(correct, torch.bincount(labels, minlength=classes))


def balanced_accuracy(values: Tensor) -> Tensor:
    """Unweighted mean of the per-class accuracies, over the classes that have samples.

    Returns a scalar float64 tensor; NaN if no class has samples.

    Args:
        values: (K,) per-class accuracies or a (K, K) confusion matrix with true classes in rows.

    Raises:
        ValueError: another shape.

    Example:
        >>> balanced_accuracy(torch.tensor([[9, 1], [1, 1]])).item()
        0.7
    """
    return _per_class(values).nanmean()


def group_accuracy(values: Tensor, groups: Mapping[str, Any]) -> dict[str, Tensor]:
    """Mean per-class accuracy of each group of classes, such as many, medium and few.

    Every class weighs the same inside its group, however many test samples it has (Liu et al., CVPR 2019). Returns name
    to scalar float64 tensor. NaN, not 0, for a group that is empty or none of whose classes has samples.

    Args:
        values: (K,) per-class accuracies or a (K, K) confusion matrix with true classes in rows.
        groups: name to class indices, as :func:`equiangular.longtail.class_groups` gives them.

    Raises:
        ValueError: ``values`` of another shape, or a class index outside [0, K).

    Example:
        >>> group_accuracy(torch.tensor([0.9, 0.5, 0.3]), {"many": [0], "medium": [], "few": [1, 2]})
        {'many': tensor(0.9000, dtype=torch.float64), 'medium': tensor(nan, dtype=torch.float64),
         'few': tensor(0.4000, dtype=torch.float64)}
    """
    rates = _per_class(values)
    result = {}
    for name, members in groups.items():
        index = torch.as_tensor(members, dtype=torch.int64, device=rates.device)
        check_labels(index, rates.shape[0], name=f"the classes of group {name!r}")
        result[name] = rates[index].nanmean() if len(index) else rates.new_tensor(math.nan)
    return result


def class_rates(correct: Tensor, total: Tensor) -> Tensor:
    """Correct over total per class, (K,) integers each, in float64; 0/0 is NaN."""
    wide = accumulation_dtype(total.device)
    return correct.to(wide) / total.to(wide)


def _per_class(values: Tensor) -> Tensor:
    """(K,) accuracies as they are; a (K, K) confusion matrix as its diagonal over its row sums."""
    if not isinstance(values, Tensor):
        values = torch.as_tensor(values)
    if values.ndim == 2 and values.shape[0] == values.shape[1]:
        return class_rates(values.diagonal(), values.sum(1))
    if values.ndim != 1 or values.shape[0] == 0:
        raise ValueError(
            f"values must be per-class accuracies (K,) or a confusion matrix (K, K), got shape {tuple(values.shape)}."
        )
    return values.to(accumulation_dtype(values.device))


def confusion_matrix(predicted: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """Count how often each class was taken for each class.

    C[i, j] = #{n : y_n = i, yhat_n = j}: rows are true classes, columns are predictions. Returns (K, K) int64 tensor;
    add up those of several batches or processes.

    Args:
        predicted: (N,) integer tensor of predicted classes.
        labels: (N,) integer tensor of true classes.
        num_classes: K >= 2.

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
