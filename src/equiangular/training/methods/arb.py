"""ARB loss with the class counts of the batch, on a learnable linear head and on the ETF.

With the counts of the training set it would be logit adjustment, which has its own methods.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from equiangular.heads import Head
from equiangular.losses.arb import arb_loss
from equiangular.training.methods.base import Context, Method


def criterion(features: Tensor, target: Any, head: Head, context: Context) -> Tensor:
    """ARB loss on the head's own logits, with the class counts of the whole batch."""
    counts = context.batch_counts(target, head.num_classes)
    return arb_loss(head.logits_from_features(features), target, counts, reduction="none")


_SOURCE = "Xie et al. 2023"

METHODS = (
    Method("linear-arb", "learnable linear + ARB loss", "linear", criterion, _SOURCE, balances=True),
    Method("etf-arb", "ETF + ARB loss", "etf", criterion, _SOURCE, {"norm": "batch"}, balances=True),
)
