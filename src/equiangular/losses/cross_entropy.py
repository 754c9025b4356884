"""Cross-entropy on logits for every kind of target, a mixup triple included."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from equiangular._validate import check_choice, check_features
from equiangular.losses._targets import REDUCTIONS, Reduction, Target, parse_target, reduce_losses


def soft_target_cross_entropy(
    logits: Tensor, target: Target, *, label_smoothing: float = 0.0, reduction: Reduction = "mean"
) -> Tensor:
    """Cross-entropy L = -sum_c t_c log softmax(z)_c with hard, soft or mixup targets t.

    The gradient with respect to z is softmax(z) - t. A mixup triple is never widened to B x K targets.

    Args:
        logits: (B, K) floating point.
        target: (B,) integers, (B, K) probabilities or a mixup triple ``(target_a, target_b, lam)``.
        label_smoothing: eps in [0, 1]: the target becomes (1 - eps) t + eps / K.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Returns:
        A scalar, or (B,) for ``reduction="none"``; float32 for half-precision input.

    Raises:
        ValueError: wrong shapes or dtypes, labels out of range, NaN logits, unknown options.

    Example:
        >>> float(soft_target_cross_entropy(torch.zeros(2, 4), torch.tensor([0, 3])).exp())
        4.0...
    """
    check_choice(reduction, REDUCTIONS, "reduction")
    eps = check_smoothing(label_smoothing)
    check_features(logits, name="logits")
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    shares = parse_target(target, logits.shape[1], logits.shape[0], like=logits)
    log_p = logits.log_softmax(1)
    picked = log_p if shares.labels is None else log_p.gather(1, shares.labels)
    losses = -(shares.share * picked).sum(1)
    if eps:
        losses = (1 - eps) * losses - eps * log_p.mean(1)
    return reduce_losses(losses, reduction)


def check_smoothing(label_smoothing: Any) -> float:
    """Return ``label_smoothing`` as a float in [0, 1]."""
    try:
        eps = float(label_smoothing)
    except (TypeError, ValueError):
        eps = -1.0
    if not 0 <= eps <= 1:
        raise ValueError(f"label_smoothing must be a number in [0, 1], got {label_smoothing!r}.")
    return eps
