"""Losses by class size in softer ways: label-aware smoothing (MiSLAS) and attraction-repulsion balance (ARB)."""

import math
from typing import Any

import torch
from torch import Tensor

from equiangular._validate import check_class_counts, check_features, check_num_classes, values_are_readable
from equiangular.heads.functional import IGNORE_INDEX
from equiangular.losses._targets import ClassShares, LossModule, Reduction, Target, check_per_class, parse_target


def label_aware_smoothing_factors(class_counts: Any, *, smooth_head: float = 0.3, smooth_tail: float = 0.0) -> Tensor:
    """Smoothing factor eps_k of every class, in the concave form.

    eps_k = eps_K + (eps_1 - eps_K) sin( pi (N_k - N_K) / (2 (N_1 - N_K)) ), where N_1 and eps_1 belong to the largest
    class and N_K and eps_K to the smallest. With equal counts there is nothing to tell classes apart by, and every
    one gets eps_1. Returns (K,) float64.

    Args:
        class_counts: (K,) training samples per class N_k, all above 0, in any order.
        smooth_head: eps_1, smoothing of the largest class.
        smooth_tail: eps_K, smoothing of the smallest; 0 <= eps_K <= eps_1 < 1.

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
    ignore_index: int = IGNORE_INDEX,
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
        reduction: ``"mean"``, ``"sum"`` or ``"none"`` (B,); the result is float32 for half-precision input.
        ignore_index: label of samples that count for nothing, neither in the sum nor in the mean.

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
    return _smoothed(logits, target, smoothing, reduction, ignore_index)


def _smoothed(logits: Tensor, target: Target, smoothing: Tensor, reduction: Reduction, ignore_index: int) -> Tensor:
    num_classes = check_num_classes(logits.shape[1])
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    shares = parse_target(target, num_classes, logits.shape[0], ignore_index, like=logits)
    eps = shares.gather(check_per_class(smoothing, num_classes, "smoothing", like=logits))
    log_p = logits.log_softmax(1)
    own = shares.pick(log_p)
    others = log_p.sum(1, keepdim=True) - own
    losses = -(1 - eps) * own - eps / (num_classes - 1) * others
    return shares.reduce(shares.weigh(losses), reduction)


class LabelAwareSmoothingLoss(LossModule):
    """Module form of :func:`label_aware_smoothing_loss`, which see; ``forward(logits, target)``.

    Example:
        >>> LabelAwareSmoothingLoss([100, 55, 10], smooth_head=0.4, smooth_tail=0.1).smoothing
        tensor([0.4000, 0.3121, 0.1000])
    """

    shown = ("num_classes", "reduction")
    smoothing: Tensor

    def __init__(
        self,
        class_counts: Any,
        *,
        smooth_head: float = 0.3,
        smooth_tail: float = 0.0,
        reduction: Reduction = "mean",
        ignore_index: int = IGNORE_INDEX,
    ) -> None:
        super().__init__(reduction, ignore_index)
        options = {"smooth_head": smooth_head, "smooth_tail": smooth_tail}
        self.keep_per_class("smoothing", lambda: label_aware_smoothing_factors(class_counts, **options))

    def forward(self, logits: Tensor, target: Target) -> Tensor:
        """The loss of logits (B, K)."""
        check_features(logits, dim=self.num_classes, name="logits")
        return _smoothed(logits, target, self.smoothing, self.reduction, self.ignore_index)


def arb_loss(
    logits: Tensor,
    target: Target,
    class_counts: Any | None = None,
    *,
    reduction: Reduction = "mean",
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Attraction-repulsion-balanced loss.

    L = -log( e^{z_y} / sum_k (n_k / n_y) e^{z_k} ), where n are the class counts of the batch, or those given. Its
    gradient with respect to z_k is q_k - [k = y] with q_k = n_k e^{z_k} / sum_j n_j e^{z_j}. So where the logits of a
    sample are equal, w_k is pulled towards its own n_k samples by n_k (1 - n_k / N) in all and pushed away from the
    n_j samples of class j by n_j n_k / N: pull and total push are equal for every class, and what class j does
    to k, class k does to j. In cross-entropy they are n_k (1 - 1/K) and n_j / K: a small class is mostly pushed. A
    class that is not in the batch is not pushed at all.

    With counts of the whole training set this is exactly balanced softmax, that is
    :func:`logit_adjusted_cross_entropy` with tau = 1. The counts of the batch are what sets it apart.

    Args:
        logits: (B, K) floating point.
        target: (B,) integers, (B, K) probabilities or a mixup triple ``(target_a, target_b, lam)``; a target of
            several classes gives the mean of their losses by share and counts by share.
        class_counts: (K,) non-negative counts, above 0 for every class of the batch; None takes those of this
            batch. Where a batch is spread over processes, sum :func:`batch_class_counts` over them and pass the sum:
            the loss of the whole batch is then the mean over all its samples.
        reduction: ``"mean"``, ``"sum"`` or ``"none"`` (B,); the result is float32 for half-precision input.
        ignore_index: label of samples that count for nothing, neither in the sum nor in the mean.

    Raises:
        ValueError: wrong shapes or dtypes, labels out of range, NaN logits, a count of 0 for a class of the batch,
            unknown options.

    Example:
        >>> loss = arb_loss(torch.zeros(4, 3), torch.tensor([0, 0, 0, 1]), reduction="none")
        >>> (-loss).exp()  # the shares of the classes in the batch; class 2 is absent
        tensor([0.7500, 0.7500, 0.7500, 0.2500])

    Source: Xie et al., "Neural collapse inspired attraction-repulsion-balanced loss for imbalanced learning",
    Neurocomputing 527 (2023), arXiv 2204.08735; the counts of the batch as in the code released with it.
    """
    check_features(logits, name="logits")
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    num_classes = logits.shape[1]
    shares = parse_target(target, num_classes, logits.shape[0], ignore_index, like=logits)
    if class_counts is None:
        class_counts = _batch_counts(shares, num_classes)
    counts = check_per_class(class_counts, num_classes, "class_counts", like=logits)
    own_counts = shares.gather(counts)
    if values_are_readable(own_counts):
        uncounted = ((own_counts == 0) & (shares.share > 0)).nonzero()
        if len(uncounted):
            row, column = uncounted[0].tolist()
            label = column if shares.labels is None else int(shares.labels[row, column])
            raise ValueError(
                f"class_counts is 0 for class {label}, which sample {row} of this batch belongs to. "
                "Count all parts of the batch, this one included."
            )
    weighted = logits + counts.log()  # log 0 = -inf: an absent class takes no part
    own = shares.pick(logits)
    own = own + torch.where(own_counts > 0, own_counts, 1).log()
    losses = weighted.logsumexp(1, keepdim=True) - own
    return shares.reduce(shares.weigh(losses), reduction)


def _batch_counts(shares: ClassShares, num_classes: int) -> Tensor:
    """Samples of every class by share, (K,)."""
    if shares.labels is None:
        return shares.share.sum(0)
    return shares.share.new_zeros(num_classes).index_add(0, shares.labels.flatten(), shares.share.flatten())


class ARBLoss(LossModule):
    """Module form of :func:`arb_loss`, which see; ``forward(logits, target, class_counts=None)``.

    Example:
        >>> round(float(ARBLoss()(torch.zeros(2, 2), torch.tensor([0, 1])).exp()), 4)
        2.0
    """

    def __init__(self, *, reduction: Reduction = "mean", ignore_index: int = IGNORE_INDEX) -> None:
        super().__init__(reduction, ignore_index)

    def forward(self, logits: Tensor, target: Target, class_counts: Any | None = None) -> Tensor:
        """The loss of logits (B, K)."""
        return arb_loss(logits, target, class_counts, **self.reducing)
