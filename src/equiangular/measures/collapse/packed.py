"""Class moments as one vector: what a metric keeps, sends to other processes and merges."""

from __future__ import annotations

import torch
from torch import Tensor

from equiangular.measures.collapse.moments import ClassMoments


class Fold:
    """Merge stacked packed moments, one row a process or a batch, by Chan's update; picklable."""

    def __init__(self, num_classes: int, dim: int, slot: Tensor, covariance: bool) -> None:
        self.shape = (num_classes, dim, slot, covariance)

    def __call__(self, stacked: Tensor) -> Tensor:
        """One vector (L,) from those of all processes or batches (P, L)."""
        result = torch.zeros_like(stacked[0])
        moments = unpack(result, *self.shape)
        for row in stacked:
            moments.merge(unpack(row, *self.shape))
        return result


def unpack(state: Tensor, num_classes: int, dim: int, slot: Tensor, covariance: bool) -> ClassMoments:
    """Class moments as views of one vector: counts (K), means (K d), squares (K) and scatters (G d d)."""
    k, d = num_classes, dim
    slots = int(slot.max()) + 1
    count, mean, squares, scatter = state.split([k, k * d, k, slots * d * d if covariance else 0])
    kept = scatter.view(slots, d, d) if covariance else None
    return ClassMoments(count, mean.view(k, d), squares, kept, slot.to(state.device))
