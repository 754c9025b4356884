"""What a spherical code is optimised for: smoothed, with gradients, tile by tile, and the exact margins."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from equiangular._scaled import near_one
from equiangular._validate import check_features, check_int, check_num_classes, check_positive


def one_vs_rest_distance(
    weight: Tensor, *, steps: int = 5000, tolerance: float = 1e-6, chunk_size: int = 256
) -> tuple[Tensor, Tensor]:
    """Distance of each row from the hull of the others: lower bounds, at least 0, and upper ones, each (K,) float64.

    min over the simplex of ||w_k - sum_{j != k} p_j w_j|| by accelerated projected gradient with restarts. A point of
    the hull bounds the distance from above; its direction h = (w_k - p) / ||w_k - p|| bounds it from below by
    min_{j != k} <w_k - w_j, h>.

    Args:
        weight: (K, d) floating point, K >= 2.
        steps: gradient steps at most.
        tolerance: a chunk is done when all its upper and lower bounds are this close.
        chunk_size: rows solved at a time; memory O(chunk_size K).

    Raises:
        ValueError: K < 2, NaN, or a wrong shape or dtype; steps < 1 or a tolerance that is not above 0.

    Example:
        >>> lower, upper = one_vs_rest_distance(torch.eye(2))
        >>> lower.allclose(upper), round(float(upper[0]), 6)
        (True, 1.414214)

    Source: Jiang et al., ICML 2024, definition of the softmax code; O'Donoghue and Candès 2015 for the restarts.
    """
    check_features(weight, name="weight")
    check_num_classes(weight.shape[0])
    check_int(steps, "steps", minimum=1)
    check_positive(tolerance, "tolerance")
    vectors, size = near_one(weight.detach().double())
    step = 1 / float(torch.linalg.matrix_norm(vectors, 2)) ** 2
    chunks = torch.arange(len(vectors), device=vectors.device).split(chunk_size)
    bounds = [_hull_distance(vectors, rows, step, steps, tolerance / size.item()) for rows in chunks]
    return torch.cat([low for low, _ in bounds]) * size[0], torch.cat([high for _, high in bounds]) * size[0]


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


CHUNK_SIZE = 4096


def cosine_range(weight: Tensor, *, chunk_size: int = CHUNK_SIZE) -> tuple[float, float]:
    """Smallest and largest cosine over the pairs of rows (K, d), in their dtype; the coherence is the larger magnitude.

    Every pair is looked at once: half the Gram matrix, in tiles of ``chunk_size`` x ``chunk_size``.

    Raises:
        ValueError: K < 2, a zero row, NaN, or a wrong shape or dtype.

    Example:
        >>> cosine_range(torch.tensor([[2.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]))
        (-1.0, 0.0)
    """
    check_features(weight, name="weight", allow_zero=False)
    check_num_classes(weight.shape[0])
    unit = torch.nn.functional.normalize(near_one(weight.detach(), rows=True)[0], dim=1)
    low, high = math.inf, -math.inf
    for rows, columns in _tiles(len(unit), chunk_size):
        tile = unit[rows] @ unit[columns].T
        same = rows == columns
        high = max(high, float((tile.fill_diagonal_(-math.inf) if same else tile).max()))
        low = min(low, float((tile.fill_diagonal_(math.inf) if same else tile).min()))
    return low, high


def smooth_max_cosine(
    weight: Tensor, temperature: float, *, chunk_size: int = CHUNK_SIZE
) -> tuple[float, float, Tensor]:
    """The largest cosine of unit rows W (K, d), smoothed at t > 0: L_t, the exact maximum, and dL_t/dW (K, d).

        L_t(W) = t log sum_{i != j} exp(<w_i, w_j> / t)        max <= L_t <= max + t log(K (K-1))

    Example:
        >>> value, largest, gradient = smooth_max_cosine(torch.eye(3), 0.1)
        >>> round(value - 0.1 * math.log(6), 6), largest, gradient.shape
        (0.0, 0.0, torch.Size([3, 3]))
    """
    largest, total = -math.inf, 0.0
    gradient = torch.zeros_like(weight)
    for rows, columns in _tiles(len(weight), chunk_size):
        tile = weight[rows] @ weight[columns].T
        same = rows == columns
        if same:
            tile.fill_diagonal_(-math.inf)
        tile, largest, shrink = _exponentials(tile, largest, temperature)
        total = total * shrink + float(tile.sum()) * (1 if same else 2)
        gradient *= shrink
        gradient[rows] += tile @ weight[columns]
        if not same:
            gradient[columns] += tile.T @ weight[rows]
    return largest + temperature * math.log(total), largest, gradient.mul_(2 / total)


def smooth_softmax_margin(
    weight: Tensor, directions: Tensor, temperature: float, *, chunk_size: int = CHUNK_SIZE
) -> tuple[float, float, Tensor, Tensor]:
    """Minus the smallest one-vs-rest margin of classes along given directions, smoothed, with its gradients.

        L_t(W, H) = t log sum_k sum_{j != k} exp(<w_j - w_k, h_k> / t),     W, H (K, d) with unit rows, t > 0

    For given W, min over unit h_k of max_{j != k} <w_j - w_k, h_k> is minus the distance of w_k from the convex hull
    of the other rows: minimising L_t over W and H, t -> 0, gives the softmax code of Jiang et al. This is also
    cross-entropy with temperature t between free features h_k and classifier W, up to the order of sum and log.
    The result is L_t, max_{k, j != k} <w_j - w_k, h_k>, dL_t/dW (K, d) and dL_t/dH (K, d).

    Example:
        >>> weight = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
        >>> smooth_softmax_margin(weight, weight, 0.01)[1]  # the two are at distance 2
        -2.0

    Source: Jiang et al., "Generalized neural collapse for a large number of classes", ICML 2024, section 3.
    """
    largest, total = -math.inf, 0.0
    to_weight, to_directions = torch.zeros_like(weight), torch.zeros_like(directions)
    own = (weight * directions).sum(1, keepdim=True)
    for rows, columns in _tiles(len(weight), chunk_size, below=True):
        tile = directions[rows] @ weight[columns].T - own[rows]
        if rows == columns:
            tile.fill_diagonal_(-math.inf)
        tile, largest, shrink = _exponentials(tile, largest, temperature)
        row_sum = tile.sum(1, keepdim=True)
        total = total * shrink + float(row_sum.sum())
        to_weight *= shrink
        to_directions *= shrink
        to_directions[rows] += tile @ weight[columns] - row_sum * weight[rows]
        to_weight[columns] += tile.T @ directions[rows]
        to_weight[rows] -= row_sum * directions[rows]
    return largest + temperature * math.log(total), largest, to_weight.div_(total), to_directions.div_(total)


def _exponentials(tile: Tensor, largest: float, temperature: float) -> tuple[Tensor, float, float]:
    """exp((tile - top) / t) in place, top, the largest entry of all tiles so far, and what their sums shrink by."""
    top = max(largest, float(tile.max()))
    return tile.sub_(top).div_(temperature).exp_(), top, math.exp((largest - top) / temperature)


def _tiles(count: int, chunk_size: int, *, below: bool = False) -> Iterator[tuple[slice, slice]]:
    """Tiles on and above the diagonal, and with ``below`` those under it."""
    slices = [slice(start, min(start + chunk_size, count)) for start in range(0, count, chunk_size)]
    return ((r, c) for r in slices for c in slices if below or c.start >= r.start)
