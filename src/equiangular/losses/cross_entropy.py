"""Cross-entropy for every kind of target, with logits adjusted to the class counts, and with scaled logits."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from equiangular._validate import check_choice, check_class_counts, check_features, check_non_negative, have_values
from equiangular.heads.functional import IGNORE_INDEX
from equiangular.losses._targets import (
    REDUCTIONS,
    LossModule,
    Reduction,
    Target,
    hard_labels,
    kept_for_counts,
    parse_target,
)


def soft_target_cross_entropy(
    logits: Tensor,
    target: Target,
    *,
    label_smoothing: float = 0.0,
    reduction: Reduction = "mean",
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Cross-entropy L = -sum_c t_c log softmax(z)_c with hard, soft or mixup targets t.

    The gradient with respect to z is softmax(z) - t. A mixup triple is never widened to B x K targets.

    Args:
        logits: (B, K) floating point.
        target: (B,) integers, (B, K) probabilities or a mixup triple ``(target_a, target_b, lam)``.
        label_smoothing: eps in [0, 1]: the target becomes (1 - eps) t + eps / K.
        reduction: ``"mean"``, ``"sum"`` or ``"none"`` (B,); the result is float32 for half-precision input.
        ignore_index: label of samples that count for nothing, neither in the sum nor in the mean.

    Raises:
        ValueError: wrong shapes or dtypes, labels out of range, NaN logits, unknown options.

    Example:
        >>> float(soft_target_cross_entropy(torch.zeros(2, 4), torch.tensor([0, 3])).exp())
        4.0...
    """
    eps = check_smoothing(label_smoothing)
    check_features(logits, name="logits")
    return _cross_entropy(logits, target, eps, reduction, ignore_index)


def _cross_entropy(logits: Tensor, target: Target, eps: float, reduction: Reduction, ignore_index: int) -> Tensor:
    """:func:`soft_target_cross_entropy` of checked logits."""
    if logits.dtype != torch.float32:
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    labels = None if eps else hard_labels(target, logits.shape[1], logits.shape[0], ignore_index)
    if labels is not None:
        return functional.cross_entropy(logits, labels, reduction=check_choice(reduction, REDUCTIONS, "reduction"))
    shares = parse_target(target, logits.shape[1], logits.shape[0], ignore_index, like=logits)
    log_p = logits.log_softmax(1)
    losses = -shares.weigh(shares.pick(log_p))
    if eps:
        counted = 1.0 if shares.ignored is None else shares.counted()
        losses = (1 - eps) * losses - eps * (counted * log_p.mean(1))
    return shares.reduce(losses, reduction)


def check_smoothing(label_smoothing: Any) -> float:
    """Return ``label_smoothing`` as a float in [0, 1]."""
    try:
        eps = float(label_smoothing)
    except (TypeError, ValueError):
        eps = -1.0
    if not 0 <= eps <= 1:
        raise ValueError(f"label_smoothing must be a number in [0, 1], got {label_smoothing!r}.")
    return eps


def logit_adjusted_cross_entropy(
    logits: Tensor,
    target: Target,
    class_counts: Any,
    *,
    tau: float = 1.0,
    label_smoothing: float = 0.0,
    reduction: Reduction = "mean",
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Cross-entropy on logits plus the log prior of the training classes.

    L = -log( pi_y^tau e^{z_y} / sum_k pi_k^tau e^{z_k} ) with pi = class_counts / sum. Trained so, the bare logits z
    rank the classes as if they were equally frequent; nothing is subtracted at test time. tau = 1 is balanced softmax.

    Args:
        logits: (B, K) floating point.
        target: (B,) integers, (B, K) probabilities or a mixup triple ``(target_a, target_b, lam)``.
        class_counts: (K,) training samples per class, all above 0: a tensor, an array or a list.
        tau: strength of the adjustment; 0 is plain cross-entropy.
        label_smoothing: eps in [0, 1]: the target becomes (1 - eps) t + eps / K.
        reduction: ``"mean"``, ``"sum"`` or ``"none"`` (B,); the result is float32 for half-precision input.
        ignore_index: label of samples that count for nothing, neither in the sum nor in the mean.

    Raises:
        ValueError: wrong shapes or dtypes, labels out of range, NaN logits, an empty class, unknown options.

    Example:
        >>> loss = logit_adjusted_cross_entropy(torch.zeros(1, 2), torch.tensor([1]), [3, 1])
        >>> float((-loss).exp())  # the prior of class 1
        0.25

    Sources: Menon et al., "Long-tail learning via logit adjustment", ICLR 2021, eq. 10; Ren et al., "Balanced
    meta-softmax for long-tailed visual recognition", NeurIPS 2020, eq. 4.
    """
    check_features(logits, name="logits")
    adjustment = log_prior(class_counts, logits.shape[1], tau)
    return adjusted_loss(logits, target, adjustment, label_smoothing, reduction, ignore_index)


@kept_for_counts
def log_prior(class_counts: Any, num_classes: int | None, tau: float) -> Tensor:
    """The adjustment tau log(counts / sum), (K,) float64."""
    tau = check_non_negative(tau, "tau", hint="0 adjusts nothing, 1 is balanced softmax.")
    counts = check_class_counts(class_counts, num_classes)
    return tau * (counts / counts.sum()).log()


def adjusted_loss(
    logits: Tensor,
    target: Target,
    adjustment: Tensor,
    smoothing: float,
    reduction: Reduction,
    ignore_index: int,
    *,
    in_place: bool = False,
) -> Tensor:
    """Cross-entropy on checked logits + adjustment (K,), in float32 at least.

    ``in_place`` for logits that nobody else has, neither a caller nor the gradient of what made them.
    """
    if logits.dtype != torch.float32:
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    if adjustment.dtype != logits.dtype or adjustment.device != logits.device:
        adjustment = _moved(adjustment, logits)
    adjusted = logits.add_(adjustment) if in_place else logits + adjustment
    return _cross_entropy(adjusted, target, check_smoothing(smoothing), reduction, ignore_index)


_last_moved: tuple[Tensor, Tensor] | None = None


def _moved(adjustment: Tensor, like: Tensor) -> Tensor:
    """The adjustment on the device and in the dtype of ``like``, made once for as long as the same one is asked for.

    It comes from :func:`log_prior`, which gives the same tensor for the same counts, and nobody writes to it.
    """
    global _last_moved
    known = _last_moved
    if known is not None and known[0] is adjustment and known[1].dtype == like.dtype and known[1].device == like.device:
        return known[1]
    moved = adjustment.to(like.device, like.dtype)
    if have_values(adjustment, moved):
        _last_moved = adjustment, moved
    return moved


class LogitAdjustedCrossEntropyLoss(LossModule):
    """Module form of :func:`logit_adjusted_cross_entropy`, which see; ``forward(logits, target)``.

    The adjustment follows ``.to()``; it is made from the arguments and kept out of the state_dict.

    Example:
        >>> loss = LogitAdjustedCrossEntropyLoss([3, 1])
        >>> float((-loss(torch.zeros(1, 2), torch.tensor([1]))).exp())
        0.25
    """

    shown = ("num_classes", "tau", "reduction")
    adjustment: Tensor

    def __init__(
        self,
        class_counts: Any,
        *,
        tau: float = 1.0,
        label_smoothing: float = 0.0,
        reduction: Reduction = "mean",
        ignore_index: int = IGNORE_INDEX,
    ) -> None:
        super().__init__(reduction, ignore_index)
        self.tau, self.label_smoothing = tau, check_smoothing(label_smoothing)
        self.keep_per_class("adjustment", lambda: log_prior(class_counts, None, tau))

    def forward(self, logits: Tensor, target: Target) -> Tensor:
        """The loss of logits (B, K)."""
        check_features(logits, dim=self.num_classes, name="logits")
        return adjusted_loss(logits, target, self.adjustment, self.label_smoothing, self.reduction, self.ignore_index)


def vector_scaling_loss(
    logits: Tensor,
    target: Target,
    class_counts: Any,
    *,
    gamma: float = 0.15,
    tau: float = 1.0,
    label_smoothing: float = 0.0,
    reduction: Reduction = "mean",
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Cross-entropy on logits with a factor and a summand for each class.

    L = -log( e^{D_y z_y + i_y} / sum_k e^{D_k z_k + i_k} ) with D_k = (n_k / n_max)^gamma and i_k = tau log(n_k / n).
    In training the logits of rare classes count for less, so the network makes them larger; at test time the bare
    logits z are used. gamma = 0 is logit adjustment, tau = 0 the class-dependent temperatures of Ye et al. (2020).

    The factors multiply logits, so they do not forgive a constant added to all of them: use it on logits that are
    centred or have no bias of their own, such as those of a fixed frame.

    Args:
        logits: (B, K) floating point.
        target: (B,) integers, (B, K) probabilities or a mixup triple ``(target_a, target_b, lam)``.
        class_counts: (K,) training samples per class, all above 0: a tensor, an array or a list.
        gamma: exponent of the factors, at least 0; 0.05 to 0.3 in the sources.
        tau: strength of the adjustment, at least 0.
        label_smoothing: eps in [0, 1]: the target becomes (1 - eps) t + eps / K.
        reduction: ``"mean"``, ``"sum"`` or ``"none"`` (B,); the result is float32 for half-precision input.
        ignore_index: label of samples that count for nothing, neither in the sum nor in the mean.

    Raises:
        ValueError: wrong shapes or dtypes, labels out of range, NaN logits, an empty class, unknown options.

    Example:
        >>> loss = vector_scaling_loss(torch.tensor([[0.0, 2.0]]), torch.tensor([1]), [16, 1], gamma=0.25, tau=0.0)
        >>> round(float((-loss).exp()), 4)  # the factor of class 1 is 1/2: e / (1 + e)
        0.7311

    Sources: Kini et al., "Label-imbalanced and group-sensitive classification under overparameterization", NeurIPS
    2021, eq. 2; Ye et al., "Identifying and compensating for feature deviation in imbalanced deep learning", 2020.
    """
    check_features(logits, name="logits")
    factors, adjustment = _factors_and_adjustment(class_counts, logits.shape[1], gamma, tau)
    return _scaled(logits, target, factors, adjustment, label_smoothing, reduction, ignore_index)


@kept_for_counts
def _factors_and_adjustment(
    class_counts: Any, num_classes: int | None, gamma: float, tau: float
) -> tuple[Tensor, Tensor]:
    gamma = check_non_negative(gamma, "gamma", hint="0 is logit adjustment.")
    counts = check_class_counts(class_counts, num_classes)
    return (counts / counts.max()) ** gamma, log_prior(counts, num_classes, tau)


def _scaled(
    logits: Tensor,
    target: Target,
    factors: Tensor,
    adjustment: Tensor,
    smoothing: float,
    reduction: Reduction,
    ignore_index: int,
) -> Tensor:
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    scaled = logits * factors.to(logits)
    return adjusted_loss(scaled, target, adjustment, smoothing, reduction, ignore_index, in_place=True)


class VectorScalingLoss(LossModule):
    """Module form of :func:`vector_scaling_loss`, which see; ``forward(logits, target)``.

    Factors and adjustment follow ``.to()``; they are made from the arguments and kept out of the state_dict.

    Example:
        >>> VectorScalingLoss([16, 1], gamma=0.25).factors
        tensor([1.0000, 0.5000])
    """

    shown = ("num_classes", "gamma", "tau", "reduction")
    factors: Tensor
    adjustment: Tensor

    def __init__(
        self,
        class_counts: Any,
        *,
        gamma: float = 0.15,
        tau: float = 1.0,
        label_smoothing: float = 0.0,
        reduction: Reduction = "mean",
        ignore_index: int = IGNORE_INDEX,
    ) -> None:
        super().__init__(reduction, ignore_index)
        self.gamma, self.tau, self.label_smoothing = gamma, tau, check_smoothing(label_smoothing)
        self.keep_per_class("factors", lambda: _factors_and_adjustment(class_counts, None, gamma, tau)[0])
        self.keep_per_class("adjustment", lambda: log_prior(class_counts, None, tau))

    def forward(self, logits: Tensor, target: Target) -> Tensor:
        """The loss of logits (B, K)."""
        check_features(logits, dim=self.num_classes, name="logits")
        return _scaled(
            logits, target, self.factors, self.adjustment, self.label_smoothing, self.reduction, self.ignore_index
        )
