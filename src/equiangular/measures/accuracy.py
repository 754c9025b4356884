"""Accuracies of predicted labels, overall, by class and by group; the confusion matrix; expected calibration error."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from equiangular._validate import check_int, check_labels, check_num_classes, values_are_readable
from equiangular.measures.collapse.moments import accumulation_dtype, counts_of


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
    predicted, labels, classes = _checked(predicted, labels, num_classes)
    return class_rates(counts_of(labels, classes, predicted == labels), counts_of(labels, classes))


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


def decided_classes(logits: Tensor, *, name: str = "logits") -> Tensor:
    """The class of the largest logit (B, K), (B,) int64; NaN, which would be the largest, is refused."""
    lost = logits.isnan().any()
    if values_are_readable(logits) and bool(lost):
        row = int(logits.isnan().any(1).nonzero()[0])
        raise ValueError(
            f"{name} has NaN values, first in row {row}: no class is the largest. Look for a diverged model."
        )
    if logits.device.type == "cuda":
        torch._assert_async(~lost, f"{name} has NaN values")
    return logits.argmax(1)


def _checked(predicted: Tensor, labels: Tensor, num_classes: int) -> tuple[Tensor, Tensor, int]:
    """Predictions and labels (N,) in [0, K), as many of both, and K."""
    classes = check_num_classes(num_classes)
    labels = check_labels(labels, classes)
    return check_labels(predicted, classes, name="predicted", batch=labels.shape[0]), labels, classes


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
    predicted, labels, classes = _checked(predicted, labels, num_classes)
    return counts_of(labels * classes + predicted, classes * classes).view(classes, classes)


def expected_calibration_error(probabilities: Tensor, correct: Tensor, n_bins: int = 15) -> Tensor:
    """Mean gap between confidence and accuracy.

    With M bins of equal width over the confidence, ECE = sum_m (n_m / N) |acc_m - conf_m| (Guo et al., ICML 2017). Bin
    m is [m/M, (m+1)/M), and the last one holds a confidence of exactly 1.0 as well. Returns a scalar float64 tensor in
    [0, 1]; NaN for N = 0.

    Args:
        probabilities: (N,) floating-point confidences of the predicted classes, or (N, K) class probabilities.
        correct: (N,) bool, whether the prediction is right; for (N, K) probabilities the (N,) integer labels will do.
        n_bins: M >= 1.

    Raises:
        ValueError: shapes that differ, probabilities outside [0, 1] or NaN, or a dtype that does not fit.

    Example:
        >>> confidence, correct = torch.tensor([0.9, 0.9, 0.6, 1.0]), torch.tensor([True, False, True, True])
        >>> round(expected_calibration_error(confidence, correct).item(), 6)
        0.3
    """
    confidence, hit = confidence_and_correct(probabilities, correct)
    return ece_from_bins(*calibration_bins(confidence, hit, n_bins))


def calibration_bins(confidence: Tensor, correct: Tensor, n_bins: int = 15) -> tuple[Tensor, Tensor, Tensor]:
    """The sums a calibration error or a reliability diagram is made of; those of several batches add up.

    Returns samples per bin (M,) int64, sum of confidences (M,) float64 and number correct (M,) int64.

    Args:
        confidence: (N,) floating-point tensor in [0, 1].
        correct: (N,) bool tensor.
        n_bins: M >= 1.

    Raises:
        ValueError: as :func:`expected_calibration_error`.

    Example:
        >>> calibration_bins(torch.tensor([0.1, 1.0]), torch.tensor([False, True]), 2)
        (tensor([1, 1]), tensor([0.1000, 1.0000], dtype=torch.float64), tensor([0, 1]))
    """
    bins = check_int(n_bins, "n_bins", minimum=1)
    confidence, correct = confidence_and_correct(confidence, correct)
    total, summed, hits = grouped_bins(confidence, correct, torch.zeros_like(correct, dtype=torch.int64), (1, bins))
    return total[0], summed[0], hits[0]


def grouped_bins(
    confidence: Tensor, correct: Tensor, group: Tensor, shape: tuple[int, int]
) -> tuple[Tensor, Tensor, Tensor]:
    """The sums of :func:`calibration_bins`, each of ``shape`` (G, M), of samples in groups (N,) int64 in [0, G)."""
    groups, bins = shape
    value = confidence.detach().to(accumulation_dtype(confidence.device))
    index = group * bins + (value * bins).long().clamp_(0, bins - 1)
    summed = value.new_zeros(groups * bins).index_add_(0, index, value)
    counts = counts_of(index, groups * bins), counts_of(index, groups * bins, correct)
    return counts[0].view(shape), summed.view(shape), counts[1].view(shape)


def ece_from_bins(total: Tensor, confidence_sum: Tensor, correct: Tensor) -> Tensor:
    """ECE = sum_m |correct_m - confidence_m| / N over the last axis of the sums, (..., M) each; NaN where N = 0."""
    gap = (correct.to(confidence_sum.dtype) - confidence_sum).abs().sum(-1)
    return gap / total.sum(-1).to(confidence_sum.dtype)


def confidence_and_correct(probabilities: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Bring either form of input to confidences (N,) and hits (N,) bool."""
    if not isinstance(probabilities, Tensor):
        raise ValueError(f"probabilities must be a torch.Tensor, got {type(probabilities).__name__}.")
    if not probabilities.is_floating_point() or probabilities.ndim not in (1, 2):
        raise ValueError(
            "probabilities must be floating point and of shape (N,) or (N, K), "
            f"got {probabilities.dtype} of shape {tuple(probabilities.shape)}."
        )
    if not isinstance(target, Tensor) or target.shape != probabilities.shape[:1]:
        got = tuple(target.shape) if isinstance(target, Tensor) else type(target).__name__
        raise ValueError(f"correct must be a tensor of shape ({probabilities.shape[0]},), one per sample, got {got}.")
    if values_are_readable(probabilities) and not ((probabilities >= 0) & (probabilities <= 1.0001)).all():
        low, high = probabilities.min().item(), probabilities.max().item()
        raise ValueError(
            f"probabilities must lie in [0, 1], got values from {low:g} to {high:g}. Apply .softmax(1) to logits first."
        )
    if probabilities.ndim == 1:
        if target.dtype != torch.bool:
            raise ValueError(
                f"with confidences of shape (N,), correct must be torch.bool, got {target.dtype}. "
                "Pass predicted == labels, or the (N, K) probabilities with the labels."
            )
        return probabilities, target
    confidence, predicted = probabilities.max(dim=1)
    if target.dtype == torch.bool:
        return confidence, target
    return confidence, predicted == check_labels(target, probabilities.shape[1])
