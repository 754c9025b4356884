"""The learning-rate schedule as a factor of the peak, a pure function of training progress."""

from __future__ import annotations

import math

from equiangular.training.config.budget import Budget


def learning_rate_factor(step: int, steps_per_epoch: int, budget: Budget) -> float:
    """Factor of the peak learning rate at optimiser step ``step`` (from 0).

    Linear warm-up over ``warmup_epochs``; then cosine to 0 over the rest, constant, or x0.1 at 80 % and 90 % of all
    epochs (Yang et al. 2022: epochs 160 and 180 of 200).

    Example:
        >>> budget = Budget(epochs=10, warmup_epochs=0, schedule="step")
        >>> [round(learning_rate_factor(epoch, 1, budget), 3) for epoch in (0, 7, 8, 9)]
        [1.0, 1.0, 0.1, 0.01]
    """
    total, warmup = budget.epochs * steps_per_epoch, min(budget.warmup_epochs, budget.epochs - 1) * steps_per_epoch
    if step < warmup:
        return (step + 1) / warmup
    if budget.schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))
    if budget.schedule == "step":
        return 0.1 ** ((step >= 0.8 * total) + (step >= 0.9 * total))
    return 1.0
