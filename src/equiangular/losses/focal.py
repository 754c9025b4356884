"""Focal loss in its softmax form: cross-entropy that pays less attention to what is already right."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from equiangular._validate import check_choice, check_features, check_non_negative
from equiangular.losses._targets import REDUCTIONS, Reduction, Target, check_per_class, parse_target, reduce_losses


def focal_loss(
    logits: Tensor,
    target: Target,
    *,
    gamma: float = 2.0,
    class_weight: Any | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """Focal loss L = -a_y (1 - p_y)^gamma log p_y with p = softmax(logits).

    gamma = 0 is cross-entropy. A sample of probability p_y has its cross-entropy multiplied by (1 - p_y)^gamma, so what
    is classified well counts for little. A target of several classes gives the mean of their losses by share, so
    mixup gives lam L_a + (1 - lam) L_b. The paper states the loss for two classes and a sigmoid; this is the usual
    carrying over to K classes and a softmax.

    Args:
        logits: (B, K) floating point.
        target: (B,) integers, (B, K) probabilities or a mixup triple ``(target_a, target_b, lam)``.
        gamma: the focusing parameter, at least 0; 2 is the paper's choice.
        class_weight: (K,) non-negative weights a of the classes, or None for 1.
        reduction: ``"mean"`` divides the sum by B, not by the sum of the weights, so that the loss of a batch is the
            mean of the losses of its parts, on however many processes; ``"sum"``; or ``"none"`` (B,).

    Returns:
        A scalar, or (B,) for ``reduction="none"``; float32 for half-precision input. Its gradient is finite for every
        gamma, also where p_y has rounded to 1.

    Raises:
        ValueError: wrong shapes or dtypes, labels out of range, NaN logits, a negative gamma, unknown options.

    Example:
        >>> loss = focal_loss(torch.zeros(1, 2), torch.tensor([0]), gamma=2.0)
        >>> round(float(loss / torch.tensor(0.5).log()), 6)  # (1 - 1/2)^2 of the cross-entropy
        -0.25

    Source: Lin et al., "Focal loss for dense object detection", ICCV 2017, eq. 5.
    """
    check_choice(reduction, REDUCTIONS, "reduction")
    gamma = check_gamma(gamma)
    check_features(logits, name="logits")
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    shares = parse_target(target, logits.shape[1], logits.shape[0], like=logits)
    log_p = logits.log_softmax(1)
    log_p = log_p if shares.labels is None else log_p.gather(1, shares.labels)
    losses = -log_p
    if gamma:
        miss = -torch.expm1(log_p)  # 1 - p without cancellation
        losses = losses * miss.clamp_min(torch.finfo(miss.dtype).tiny) ** gamma
    importance = shares.share
    if class_weight is not None:
        per_class = check_per_class(class_weight, logits.shape[1], "class_weight", like=logits)
        importance = importance * shares.gather(per_class)
    return reduce_losses((importance * losses).sum(1), reduction)


def check_gamma(gamma: Any) -> float:
    """Return ``gamma`` as a finite float of at least 0."""
    return check_non_negative(gamma, "gamma", hint="0 is cross-entropy, 2 is usual.")


class FocalLoss(nn.Module):
    """Module form of :func:`focal_loss`; ``forward(logits, target)``.

    Args:
        gamma: the focusing parameter, at least 0.
        class_weight: (K,) non-negative weights of the classes; kept as a non-persistent buffer.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Raises:
        ValueError: a negative gamma or class weight, or an unknown reduction.

    Example:
        >>> FocalLoss(gamma=1.0)
        FocalLoss(gamma=1.0, reduction='mean')
    """

    def __init__(self, *, gamma: float = 2.0, class_weight: Any | None = None, reduction: Reduction = "mean") -> None:
        super().__init__()
        self.gamma = check_gamma(gamma)
        self.reduction = check_choice(reduction, REDUCTIONS, "reduction")
        vector = None if class_weight is None else check_per_class(class_weight, None, "class_weight")
        self.register_buffer("class_weight", vector, persistent=False)

    def forward(self, logits: Tensor, target: Target) -> Tensor:
        """The loss of logits (B, K)."""
        return focal_loss(logits, target, gamma=self.gamma, class_weight=self.class_weight, reduction=self.reduction)

    def extra_repr(self) -> str:
        """The options, for ``repr``."""
        return f"gamma={self.gamma}, reduction={self.reduction!r}"
