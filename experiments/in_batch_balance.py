"""Any criterion averaged within each class of the batch first and over the classes then.

The code released with Yang et al. (2022) does this to dot-regression alone and without saying so; here every loss can
have it, so that a comparison gives it to all or to none.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from equiangular.heads import Head
from equiangular.training.methods.base import Context, Criterion


def balanced_in_batch(criterion: Criterion) -> Criterion:
    """The criterion with a sample of class c weighted by B / (C n_c): n_c of its class, C classes in the batch.

    Under mixup, n_c is the sum of shares, and each of the two targets of a sample has the weight of its own class.

    Args:
        criterion: see :class:`Method`.

    Returns:
        A criterion; its mean over the batch is the mean of the mean losses of the classes present.

    Example:
        >>> from equiangular.heads import ETFHead
        >>> plain = lambda features, target, head, context: torch.tensor([1.0, 2.0, 3.0, 10.0])
        >>> labels, context = torch.tensor([0, 0, 0, 1]), Context(torch.tensor([3.0, 1.0]))
        >>> float(balanced_in_batch(plain)(torch.zeros(4, 2), labels, ETFHead(2, 2), context).mean())
        6.0
    """

    def balanced(features: Tensor, target: Any, head: Head, context: Context) -> Tensor:
        counts = context.batch_counts(target, head.num_classes)
        weights = class_shares(counts)
        if isinstance(target, Tensor):
            return weights[target] * criterion(features, target, head, context)
        first, second, share = target
        share = torch.as_tensor(share, device=features.device, dtype=features.dtype)
        one, other = (weights[labels] * criterion(features, labels, head, context) for labels in (first, second))
        return share * one + (1 - share) * other

    return balanced


def class_shares(counts: Tensor) -> Tensor:
    """(K,) weights B / (C n_c) of samples by class, from the class counts (K,) of a batch; 0 for absent classes."""
    present = counts > 0
    weights = counts.sum() / (present.sum() * counts.clamp(min=torch.finfo(counts.dtype).tiny))
    return torch.where(present, weights, torch.zeros_like(weights))
