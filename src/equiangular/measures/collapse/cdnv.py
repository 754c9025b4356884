"""CDNV: within-class variance beside the squared distance of class means, pair by pair. 0 at collapse."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from equiangular.frames.checks import TILE_ENTRIES
from equiangular.measures.collapse.pairs import squared_distances


def cdnv(variances: Tensor, means: Tensor) -> Tensor:
    """Class-distance normalised variance: the mean over pairs i != j of (v_i + v_j) / (2 ||mu_i - mu_j||^2).

    Tile by tile: nothing K x K is kept.

    Args:
        variances: v (K,), mean squared distance of a class's samples to its mean.
        means: (K, d), class means, centred or not.

    Returns:
        0-dim tensor; NaN for fewer than two classes. Infinite where two means coincide, NaN if those two classes have
        no variance either.

    Example:
        >>> round(float(cdnv(torch.tensor([0.02, 0.02]), torch.tensor([[1.0], [-1.0]]))), 4)
        0.005

    Source: Galanti, Gyoergy and Hutter 2022, ICLR.
    """
    k = means.shape[0]
    if k < 2:
        return means.new_tensor(math.nan)
    total = means.new_tensor(0.0)
    centred = means - means.mean(0)
    step = max(1, TILE_ENTRIES // k)
    for start in range(0, k, step):
        rows = centred[start : start + step]
        squares = squared_distances(rows, centred)
        sums = variances[start : start + step, None] + variances
        ratio = sums / (2 * squares)
        own = torch.arange(rows.shape[0], device=means.device)
        ratio[own, start + own] = 0
        total += ratio.sum()
    return total / (k * (k - 1))
