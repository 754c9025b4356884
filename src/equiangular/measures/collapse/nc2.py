"""NC2: whether class means are equally long and equally apart, the simplex ETF. 0 at collapse, all of them."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from equiangular.frames.checks import TILE_ENTRIES, gram_tiles
from equiangular.measures.collapse.means import directions
from equiangular.measures.collapse.minority import mean_cosine
from equiangular.measures.collapse.pairs import squared_distances
from equiangular.measures.collapse.partial_etf import gram_error


def equinorm(means: Tensor) -> Tensor:
    """std_c ||mu_c - mu_G|| / mean_c ||mu_c - mu_G||, population standard deviation.

    Args:
        means: (K, d), centred class means.

    Source: Papyan et al. 2020.
    """
    norms: Tensor = torch.linalg.vector_norm(means, dim=1)
    return norms.std(correction=0) / norms.mean()


def equiangular(means: Tensor, *, num_classes: int | None = None) -> dict[str, Tensor]:
    """Statistics of the cosines of all pairs of centred class means, tile by tile.

    Args:
        means: (K, d), centred class means.
        num_classes: K of the ETF to compare with, where ``means`` are some of its classes only.

    Returns:
        ``std``: population standard deviation of the cosines (Papyan et al. 2020);
        ``deviation``: mean |cos + 1/(K-1)|; ``max_cosine``: the closest pair. NaN for fewer than two means.

    Example:
        >>> means = torch.eye(3, dtype=torch.float64) - 1 / 3
        >>> {key: round(float(v), 6) + 0.0 for key, v in equiangular(means).items()}
        {'std': 0.0, 'deviation': 0.0, 'max_cosine': -0.5}
    """
    k = means.shape[0]
    if k < 2:
        return dict.fromkeys(("std", "deviation", "max_cosine"), means.new_tensor(math.nan))
    cosine = -1 / ((num_classes or k) - 1)
    unit = directions(means)
    mean = mean_cosine(unit)
    deviation, squares, largest = means.new_tensor(0.0), means.new_tensor(0.0), means.new_tensor(-math.inf)
    for start, stop, tile in gram_tiles(unit):
        own = torch.arange(stop - start, device=means.device)
        largest = torch.maximum(largest, _without(tile, own, start, -math.inf).max())
        deviation += (_without(tile, own, start, cosine) - cosine).abs().sum()
        squares += _without(tile, own, start, mean).sub_(mean).square_().sum()
    pairs = k * (k - 1)
    return {"std": (squares / pairs).sqrt(), "deviation": deviation / pairs, "max_cosine": largest}


def etf_error(means: Tensor, *, num_classes: int | None = None) -> Tensor:
    """|| G/||G||_F - (I - 11^T/K)/sqrt(K-1) ||_F with G = M M^T, tile by tile.

    Args:
        means: M (K, d), centred class means.
        num_classes: K of the ETF, where ``means`` are some of its classes only: these rows and columns of
            I - 11^T/K, divided by their norm, are then the reference.

    Source: Zhu et al. 2021 (arXiv 2105.02375).
    """
    return gram_error(means, means, num_classes=num_classes)


def log_distance_variance(means: Tensor) -> Tensor:
    """GNC2: the variance over pairs of log ||m_i - m_j||, m the unit-norm centred class means.

    It asks for equal distances without asking which, so it has a meaning for K > d + 1. 0 for an ETF; infinite where
    two means coincide.

    Args:
        means: (K, d), centred class means.

    Source: Wu and Papyan, "Linguistic Collapse", NeurIPS 2024; Liu et al. 2023 (hyperspherical uniformity).
    """
    k = means.shape[0]
    if k < 2:
        return means.new_tensor(math.nan)
    unit = directions(means)
    # A shift near the mean keeps the digits: the log distance at the mean cosine.
    reference = (2 - 2 * mean_cosine(unit)).clamp(min=torch.finfo(unit.dtype).tiny).log() / 2
    total, squares = means.new_tensor(0.0), means.new_tensor(0.0)
    step = max(1, TILE_ENTRIES // k)
    for start in range(0, k, step):
        rows = unit[start : start + step]
        log_distance = squared_distances(rows, unit).log() / 2
        own = torch.arange(rows.shape[0], device=means.device)
        off = _without(log_distance - reference, own, start, 0.0)
        total += off.sum()
        squares += off.square().sum()
    pairs = k * (k - 1)
    variance = squares / pairs - (total / pairs) ** 2
    return means.new_tensor(math.inf) if torch.isinf(total) else variance.clamp(min=0)


def _without(tile: Tensor, own: Tensor, start: int, value: float | Tensor) -> Tensor:
    """The tile with the entries of a class with itself replaced, in place."""
    tile[own, start + own] = value
    return tile
