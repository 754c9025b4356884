"""The one-vs-rest distance: how far a class vector lies from the convex hull of the others."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from equiangular._validate import check_features, check_int, check_num_classes, check_positive


def one_vs_rest_distance(
    weight: Tensor, *, steps: int = 5000, tolerance: float = 1e-6, chunk_size: int = 256
) -> tuple[Tensor, Tensor]:
    """Distance of each row from the convex hull of the others, between a lower and an upper bound that were reached.

    min over the simplex of ||w_k - sum_{j != k} p_j w_j|| by accelerated projected gradient with restarts. A point of
    the hull bounds the distance from above; its direction h = (w_k - p) / ||w_k - p|| bounds it from below by
    min_{j != k} <w_k - w_j, h>.

    Args:
        weight: (K, d) floating point, K >= 2.
        steps: gradient steps at most.
        tolerance: a chunk is done when all its upper and lower bounds are this close.
        chunk_size: rows solved at a time; memory O(chunk_size K).

    Returns:
        (K,) float64 lower bounds, at least 0, and (K,) float64 upper bounds.

    Raises:
        ValueError: K < 2, NaN, or a wrong shape or dtype; steps < 1 or a tolerance that is not above 0.

    Example:
        >>> lower, upper = one_vs_rest_distance(torch.eye(2))
        >>> lower.allclose(upper), round(float(upper[0]), 6)
        (True, 1.414214)

    Source:
        Jiang et al., ICML 2024, definition of the softmax code; O'Donoghue and Candès 2015 for the restarts.
    """
    check_features(weight, name="weight")
    check_num_classes(weight.shape[0])
    check_int(steps, "steps", minimum=1)
    check_positive(tolerance, "tolerance")
    vectors = weight.detach().double()
    step = 1 / float(torch.linalg.matrix_norm(vectors, 2)) ** 2
    lower, upper = [], []
    for start in range(0, len(vectors), chunk_size):
        rows = torch.arange(start, min(start + chunk_size, len(vectors)), device=vectors.device)
        low, high = _hull_distance(vectors, rows, step, steps, tolerance)
        lower.append(low)
        upper.append(high)
    return torch.cat(lower), torch.cat(upper)


def _hull_distance(vectors: Tensor, rows: Tensor, step: float, steps: int, tolerance: float) -> tuple[Tensor, Tensor]:
    points = vectors[rows]
    own = torch.zeros(len(rows), len(vectors), dtype=torch.bool, device=vectors.device)
    own[torch.arange(len(rows), device=vectors.device), rows] = True
    share = (~own).double() / (len(vectors) - 1)
    ahead, momentum = share, torch.ones(len(rows), 1, dtype=torch.float64, device=vectors.device)
    low = torch.zeros(len(rows), dtype=torch.float64, device=vectors.device)
    high = torch.full_like(low, math.inf)
    for i in range(steps):
        slope = (ahead @ vectors - points) @ vectors.T
        after = _to_simplex((ahead - step * slope).masked_fill(own, -math.inf))
        uphill = ((ahead - after) * (after - share)).sum(1, keepdim=True) > 0
        next_momentum = torch.where(uphill, 1.0, (1 + torch.sqrt(1 + 4 * momentum**2)) / 2)
        ahead = after + torch.where(uphill, 0.0, (momentum - 1) / next_momentum) * (after - share)
        share, momentum = after, next_momentum
        if i % 20 == 19 or i == steps - 1:
            gap = points - share @ vectors
            length = torch.linalg.vector_norm(gap, dim=1)
            high = torch.minimum(high, length)
            unit = gap / length.clamp(min=1e-300)[:, None]
            inner = (unit @ vectors.T).masked_fill(own, -math.inf)
            low = torch.maximum(low, (unit * points).sum(1) - inner.amax(1))
            if float((high - low).max()) <= tolerance:
                break
    return low, high


def _to_simplex(x: Tensor) -> Tensor:
    """Nearest point of the probability simplex, row by row (Held, Wolfe and Crowder 1974); -inf entries give 0."""
    ordered = x.sort(dim=1, descending=True).values
    count = torch.arange(1, x.shape[1] + 1, device=x.device)
    threshold = (ordered.clamp(min=-1e300).cumsum(1) - 1) / count
    active = (ordered > threshold).sum(1, keepdim=True)
    return (x - threshold.gather(1, active - 1)).clamp(min=0)
