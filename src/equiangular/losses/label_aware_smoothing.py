"""Label-aware smoothing (MiSLAS): the more samples a class has, the more its labels are smoothed."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from equiangular._validate import check_choice, check_class_counts, check_features, check_num_classes
from equiangular.losses._targets import REDUCTIONS, Reduction, Target, check_per_class, parse_target, reduce_losses


def label_aware_smoothing_factors(class_counts: Any, *, smooth_head: float = 0.3, smooth_tail: float = 0.0) -> Tensor:
    """Smoothing factor eps_k of every class, in the concave form.

    eps_k = eps_K + (eps_1 - eps_K) sin( pi (N_k - N_K) / (2 (N_1 - N_K)) ), where N_1 and eps_1 belong to the largest
    class and N_K and eps_K to the smallest. With equal counts there is nothing to tell classes apart by, and every
    one gets eps_1.

    Args:
        class_counts: (K,) training samples per class N_k, all above 0, in any order.
        smooth_head: eps_1, smoothing of the largest class.
        smooth_tail: eps_K, smoothing of the smallest; 0 <= eps_K <= eps_1 < 1.

    Returns:
        (K,) float64.

    Raises:
        ValueError: an empty class, or smoothing factors out of their range or in the wrong order.

    Example:
        >>> label_aware_smoothing_factors([100, 55, 10], smooth_head=0.4, smooth_tail=0.1)
        tensor([0.4000, 0.3121, 0.1000], dtype=torch.float64)

    Source: Zhong et al., "Improving calibration for long-tailed recognition", CVPR 2021, section on label-aware
    smoothing, concave form. The code released with it uses 0.3 and 0 for CIFAR-10-LT at an imbalance of 100, 0.4 and
    0.1 for CIFAR-100-LT.
    """
    for name, value in (("smooth_head", smooth_head), ("smooth_tail", smooth_tail)):
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1:
            raise ValueError(f"{name} must be a number in [0, 1), got {value!r}.")
    if smooth_tail > smooth_head:
        raise ValueError(
            f"smooth_tail must not exceed smooth_head, got {smooth_tail!r} > {smooth_head!r}: "
            "a network is surest of its large classes, so these are smoothed more."
        )
    counts = check_class_counts(class_counts)
    low, high = counts.min(), counts.max()
    position = torch.where(high > low, (counts - low) / torch.where(high > low, high - low, 1), 1.0)
    return smooth_tail + (smooth_head - smooth_tail) * torch.sin(position * (math.pi / 2))


def label_aware_smoothing_loss(
    logits: Tensor,
    target: Target,
    class_counts: Any,
    *,
    smooth_head: float = 0.3,
    smooth_tail: float = 0.0,
    reduction: Reduction = "mean",
) -> Tensor:
    """Cross-entropy against labels smoothed by their class's own factor.

    L = -(1 - eps_y) log p_y - eps_y / (K - 1) sum_{k != y} log p_k, with the eps of
    :func:`label_aware_smoothing_factors`. At its minimum p_y = 1 - eps_y: the confidence a class is trained to. A
    target of several classes gives the mean of their losses by share.

    Args:
        logits: (B, K) floating point.
        target: (B,) integers, (B, K) probabilities or a mixup triple ``(target_a, target_b, lam)``.
        class_counts: (K,) training samples per class, all above 0.
        smooth_head: smoothing of the largest class.
        smooth_tail: smoothing of the smallest class.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Returns:
        A scalar, or (B,) for ``reduction="none"``; float32 for half-precision input.

    Raises:
        ValueError: wrong shapes or dtypes, labels out of range, NaN logits, an empty class, unknown options.

    Example:
        >>> p = torch.tensor([[0.7, 0.2, 0.1]])
        >>> loss = label_aware_smoothing_loss(p.log(), torch.tensor([0]), [5, 5, 5], smooth_head=0.4)
        >>> torch.testing.assert_close(loss, -(0.6 * p[0, 0].log() + 0.2 * p[0, 1].log() + 0.2 * p[0, 2].log()))

    Source: Zhong et al., CVPR 2021, section on label-aware smoothing; there it trains the classifier of a second
    stage.
    """
    check_features(logits, name="logits")
    check_class_counts(class_counts, logits.shape[1])
    smoothing = label_aware_smoothing_factors(class_counts, smooth_head=smooth_head, smooth_tail=smooth_tail)
    return _smoothed(logits, target, smoothing, reduction)


def _smoothed(logits: Tensor, target: Target, smoothing: Tensor, reduction: Reduction) -> Tensor:
    check_choice(reduction, REDUCTIONS, "reduction")
    num_classes = check_num_classes(logits.shape[1])
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    shares = parse_target(target, num_classes, logits.shape[0], like=logits)
    eps = shares.gather(check_per_class(smoothing, num_classes, "smoothing", like=logits))
    log_p = logits.log_softmax(1)
    own = log_p if shares.labels is None else log_p.gather(1, shares.labels)
    others = log_p.sum(1, keepdim=True) - own
    losses = -(1 - eps) * own - eps / (num_classes - 1) * others
    return reduce_losses((shares.share * losses).sum(1), reduction)


class LabelAwareSmoothingLoss(nn.Module):
    """Module form of :func:`label_aware_smoothing_loss`; ``forward(logits, target)``.

    Args:
        class_counts: (K,) training samples per class, all above 0.
        smooth_head: smoothing of the largest class.
        smooth_tail: smoothing of the smallest class.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Raises:
        ValueError: an empty class, or an option out of its range.

    Example:
        >>> LabelAwareSmoothingLoss([100, 55, 10], smooth_head=0.4, smooth_tail=0.1).smoothing
        tensor([0.4000, 0.3121, 0.1000])
    """

    smoothing: Tensor

    def __init__(
        self, class_counts: Any, *, smooth_head: float = 0.3, smooth_tail: float = 0.0, reduction: Reduction = "mean"
    ) -> None:
        super().__init__()
        self.reduction = check_choice(reduction, REDUCTIONS, "reduction")
        smoothing = label_aware_smoothing_factors(class_counts, smooth_head=smooth_head, smooth_tail=smooth_tail)
        self.register_buffer("smoothing", smoothing.to(torch.get_default_dtype()), persistent=False)

    def forward(self, logits: Tensor, target: Target) -> Tensor:
        """The loss of logits (B, K)."""
        check_features(logits, dim=self.smoothing.shape[0], name="logits")
        return _smoothed(logits, target, self.smoothing, self.reduction)

    def extra_repr(self) -> str:
        """The options, for ``repr``."""
        return f"num_classes={self.smoothing.shape[0]}, reduction={self.reduction!r}"
