"""The optimiser of a budget, and the moving average of the weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from equiangular.training.config.budget import Budget


def make_optimizer(module: nn.Module, budget: Budget) -> torch.optim.Optimizer:
    """SGD with Nesterov momentum, or AdamW, over the parameters that learn.

    Example:
        >>> type(make_optimizer(nn.Linear(2, 2), Budget(optimizer="adamw", learning_rate=1e-3))).__name__
        'AdamW'
    """
    learned = [p for p in module.parameters() if p.requires_grad]
    common: dict[str, Any] = {"lr": budget.learning_rate, "weight_decay": budget.weight_decay}
    if budget.optimizer == "adamw":
        return torch.optim.AdamW(learned, betas=(budget.momentum, 0.999), **common)
    return torch.optim.SGD(learned, momentum=budget.momentum, nesterov=budget.momentum > 0, **common)


def make_average(module: nn.Module, decay: float) -> AveragedModel | None:
    """A copy of ``module`` that follows its weights and buffers as an exponential moving average; None for decay 0."""
    if not decay:
        return None
    return AveragedModel(module, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)
