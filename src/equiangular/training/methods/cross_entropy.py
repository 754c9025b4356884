"""Cross-entropy: the learnable linear baseline, and the fixed ETF trained the same way."""

from __future__ import annotations

from torch import Tensor

from equiangular.heads import Head
from equiangular.losses import soft_target_cross_entropy
from equiangular.training.methods.base import Context, Method


def criterion(features: Tensor, target: Tensor, head: Head, context: Context) -> Tensor:
    """Cross-entropy on the head's own logits (scaled cosines for a normalised head)."""
    return soft_target_cross_entropy(head.logits_from_features(features), target, reduction="none")


METHODS = (
    Method("linear-ce", "learnable linear + CE", "linear", criterion, "the classical baseline"),
    Method("etf-ce", "ETF + CE", "etf", criterion, "Yang et al. 2022, section 4", {"norm": "batch"}),
)
