"""Logit-adjusted cross-entropy, which is balanced softmax at tau = 1."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from equiangular._validate import check_choice, check_class_counts, check_features, check_non_negative
from equiangular.losses._targets import REDUCTIONS, Reduction, Target
from equiangular.losses.cross_entropy import check_smoothing, soft_target_cross_entropy


def logit_adjusted_cross_entropy(
    logits: Tensor,
    target: Target,
    class_counts: Any,
    *,
    tau: float = 1.0,
    label_smoothing: float = 0.0,
    reduction: Reduction = "mean",
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
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Returns:
        A scalar, or (B,) for ``reduction="none"``; float32 for half-precision input.

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
    return adjusted_loss(logits, target, adjustment, label_smoothing, reduction)


def log_prior(class_counts: Any, num_classes: int | None, tau: float) -> Tensor:
    """The adjustment tau log(counts / sum), (K,) float64."""
    tau = check_non_negative(tau, "tau", hint="0 adjusts nothing, 1 is balanced softmax.")
    counts = check_class_counts(class_counts, num_classes)
    return tau * (counts / counts.sum()).log()


def adjusted_loss(logits: Tensor, target: Target, adjustment: Tensor, smoothing: float, reduction: Reduction) -> Tensor:
    """Cross-entropy on logits + adjustment (K,), in float32 at least."""
    dtype = torch.promote_types(logits.dtype, torch.float32)
    return soft_target_cross_entropy(
        logits.to(dtype) + adjustment.to(logits.device, dtype), target, label_smoothing=smoothing, reduction=reduction
    )


class LogitAdjustedCrossEntropyLoss(nn.Module):
    """Module form of :func:`logit_adjusted_cross_entropy`; ``forward(logits, target)``.

    The adjustment follows ``.to()``; it is made from the arguments and kept out of the state_dict.

    Args:
        class_counts: (K,) training samples per class, all above 0.
        tau: strength of the adjustment.
        label_smoothing: eps in [0, 1].
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Raises:
        ValueError: an empty class, or an unknown option.

    Example:
        >>> loss = LogitAdjustedCrossEntropyLoss([3, 1])
        >>> float((-loss(torch.zeros(1, 2), torch.tensor([1]))).exp())
        0.25
    """

    adjustment: Tensor

    def __init__(
        self, class_counts: Any, *, tau: float = 1.0, label_smoothing: float = 0.0, reduction: Reduction = "mean"
    ) -> None:
        super().__init__()
        self.tau = tau
        self.label_smoothing = check_smoothing(label_smoothing)
        self.reduction = check_choice(reduction, REDUCTIONS, "reduction")
        adjustment = log_prior(class_counts, None, tau).to(torch.get_default_dtype())
        self.register_buffer("adjustment", adjustment, persistent=False)

    def forward(self, logits: Tensor, target: Target) -> Tensor:
        """The loss of logits (B, K)."""
        check_features(logits, dim=self.adjustment.shape[0], name="logits")
        return adjusted_loss(logits, target, self.adjustment, self.label_smoothing, self.reduction)

    def extra_repr(self) -> str:
        """The options, for ``repr``."""
        return f"num_classes={self.adjustment.shape[0]}, tau={self.tau}, reduction={self.reduction!r}"
