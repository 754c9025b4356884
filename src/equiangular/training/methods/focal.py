"""Focal loss on a learnable linear head."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from equiangular.heads import Head
from equiangular.losses.focal import focal_loss
from equiangular.training.methods.base import Context, Method


def criterion(features: Tensor, target: Any, head: Head, context: Context) -> Tensor:
    """Softmax focal loss with gamma = 2 on the head's own logits."""
    return focal_loss(head.logits_from_features(features), target, gamma=2.0, reduction="none")


METHODS = (
    Method("linear-focal", "learnable linear + focal loss", "linear", criterion, "Lin et al. 2017, softmax form"),
)
