"""Vector-scaling loss on learned and fixed heads: logit adjustment, and logits of rare classes damped in training."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from equiangular.heads import Head
from equiangular.losses import vector_scaling_loss
from equiangular.training.methods.base import Context, Method

GAMMA = 0.15


def criterion(features: Tensor, target: Any, head: Head, context: Context, *, gamma: float = GAMMA) -> Tensor:
    """Cross-entropy on (n_k / n_max)^gamma logits + log prior; at test time the bare logits are used."""
    logits = head.logits_from_features(features)
    return vector_scaling_loss(logits, target, context.class_counts, gamma=gamma, reduction="none")


_SOURCE = "Kini et al. 2021"

METHODS = (
    Method("linear-vs", "learnable linear + vector scaling", "linear", criterion, _SOURCE, balances=True),
    Method("best-vs", "best fixed head + vector scaling", "best", criterion, _SOURCE, balances=True),
)
