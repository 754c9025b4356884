"""ARB loss with the class counts of the batch, on a learnable linear head and on the ETF.

With the counts of the training set it would be logit adjustment, which has its own methods.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed

from equiangular.heads import Head
from equiangular.losses import batch_class_counts
from equiangular.losses.arb import arb_loss
from equiangular.training.methods.base import Context, Method


def criterion(features: Tensor, target: Any, head: Head, context: Context) -> Tensor:
    """ARB loss on the head's own logits, counted over the batch of all processes."""
    counts = global_batch_counts(target, head.num_classes)
    return arb_loss(head.logits_from_features(features), target, counts)


@torch.no_grad()
def global_batch_counts(target: Any, num_classes: int) -> Tensor:
    """Samples of every class in the batch, (K,), summed over the processes of a distributed run."""
    counts = batch_class_counts(target, num_classes)
    if distributed.is_available() and distributed.is_initialized():
        distributed.all_reduce(counts)
    return counts


_SOURCE = "Xie et al. 2023"

METHODS = (
    Method("linear-arb", "learnable linear + ARB loss", "linear", criterion, _SOURCE),
    Method("etf-arb", "ETF + ARB loss", "etf", criterion, _SOURCE, {"norm": "batch"}),
)
