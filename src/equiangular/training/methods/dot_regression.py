"""Dot-regression on a fixed ETF (Yang et al. 2022, eq. 9), as the paper states it and as its authors' code runs it."""

from __future__ import annotations

from functools import partial

from torch import Tensor

from equiangular.heads import Head
from equiangular.losses import dot_regression_loss
from equiangular.training.methods.base import Context, Method


def criterion(features: Tensor, target: Tensor, head: Head, context: Context, *, balance: str = "none") -> Tensor:
    """(w_y . h - 1)^2 / 2 on unit-norm features; ``balance="batch"`` averages per class within the batch first."""
    counts = context.batch_counts(target, head.num_classes) if balance == "batch" else None
    return dot_regression_loss(
        features, target, head.weight, balance=balance, batch_counts=counts, reduction="none"
    )


METHODS = (
    Method("etf-dr", "ETF + DR", "etf", criterion, "Yang et al. 2022", {"norm": "batch"}),
    Method(
        "etf-dr-batch",
        "ETF + DR (balanced in the batch)",
        "etf",
        partial(criterion, balance="batch"),
        "the code released with Yang et al. 2022",
        {"norm": "batch"},
    ),
)
