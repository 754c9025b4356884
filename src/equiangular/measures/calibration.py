"""Expected calibration error from bin sums: memory O(bins), whatever the number of samples."""

from __future__ import annotations

import torch
from torch import Tensor

from equiangular._validate import check_int, check_labels, values_are_readable
from equiangular.measures.collapse.moments import accumulation_dtype


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
    wide = accumulation_dtype(confidence.device)
    value = confidence.detach().to(wide)
    index = (value * bins).long().clamp_(0, bins - 1)
    total = torch.bincount(index, minlength=bins)
    summed = torch.zeros(bins, dtype=wide, device=value.device).index_add_(0, index, value)
    return total, summed, torch.bincount(index[correct], minlength=bins)


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
