"""Logit-adjusted cross-entropy (balanced softmax at tau = 1) on every kind of head."""

from __future__ import annotations

from torch import Tensor

from equiangular.heads import Head
from equiangular.losses import logit_adjusted_cross_entropy
from equiangular.training.methods.base import Context, Method


def criterion(features: Tensor, target: Tensor, head: Head, context: Context) -> Tensor:
    """Cross-entropy on logits + log prior of the training classes; at test time the prior is left out."""
    logits = head.logits_from_features(features)
    return logit_adjusted_cross_entropy(logits, target, context.class_counts, reduction="none")


_SOURCE = "Menon et al. 2021; Ren et al. 2020"

_OPTIONS = {"norm": "batch"}

METHODS = (
    Method("linear-la", "learnable linear + logit adjustment", "linear", criterion, _SOURCE, balances=True),
    Method("cosine-la", "learnable cosine + logit adjustment", "cosine", criterion, _SOURCE, _OPTIONS, balances=True),
    Method("random-la", "frozen random + logit adjustment", "random", criterion, _SOURCE, _OPTIONS, balances=True),
    Method("etf-la", "ETF + logit adjustment", "etf", criterion, _SOURCE, _OPTIONS, balances=True),
)
