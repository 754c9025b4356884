"""Class-balanced cross-entropy and focal loss: samples weighted by the effective number of their class."""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import Tensor

from equiangular.heads import Head
from equiangular.losses.class_balanced import class_balanced_loss
from equiangular.training.methods.base import Context, Method


def criterion(features: Tensor, target: Any, head: Head, context: Context, *, gamma: float = 0.0) -> Tensor:
    """Cross-entropy, or focal loss for ``gamma`` above 0, weighted by 1 / E_n with beta = 0.9999."""
    logits = head.logits_from_features(features)
    return class_balanced_loss(logits, target, context.class_counts, gamma=gamma, reduction="none")


_SOURCE = "Cui et al. 2019"

METHODS = (
    Method("linear-cb-ce", "learnable linear + class-balanced CE", "linear", criterion, _SOURCE, balances=True),
    Method(
        "linear-cb-focal",
        "learnable linear + class-balanced focal loss",
        "linear",
        partial(criterion, gamma=2.0),
        f"{_SOURCE}, softmax form",
        balances=True,
    ),
)
