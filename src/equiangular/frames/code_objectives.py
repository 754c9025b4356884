"""What a spherical code is optimised for: smoothed, with gradients. Tile by tile, never K x K."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from equiangular._validate import check_features, check_num_classes

CHUNK_SIZE = 4096


def cosine_range(weight: Tensor, *, chunk_size: int = CHUNK_SIZE) -> tuple[float, float]:
    """Smallest and largest cosine over the pairs of rows, in the dtype of the rows.

    The coherence is the larger of their absolute values. Every pair is looked at once: half the Gram matrix, in
    tiles of ``chunk_size`` x ``chunk_size``.

    Args:
        weight: (K, d) floating point, K >= 2, no zero row.
        chunk_size: rows of a tile.

    Raises:
        ValueError: K < 2, a zero row, NaN, or a wrong shape or dtype.

    Example:
        >>> cosine_range(torch.tensor([[2.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]))
        (-1.0, 0.0)
    """
    check_features(weight, name="weight", allow_zero=False)
    check_num_classes(weight.shape[0])
    unit = torch.nn.functional.normalize(weight.detach(), dim=1)
    low, high = math.inf, -math.inf
    for rows, columns in _upper_tiles(len(unit), chunk_size):
        tile = unit[rows] @ unit[columns].T
        same = rows == columns
        high = max(high, float((tile.fill_diagonal_(-math.inf) if same else tile).max()))
        low = min(low, float((tile.fill_diagonal_(math.inf) if same else tile).min()))
    return low, high


def smooth_max_cosine(
    weight: Tensor, temperature: float, *, chunk_size: int = CHUNK_SIZE
) -> tuple[float, float, Tensor]:
    """The largest cosine, smoothed, with its gradient.

        L_t(W) = t log sum_{i != j} exp(<w_i, w_j> / t)        max <= L_t <= max + t log(K (K-1))

    Args:
        weight: (K, d) unit rows.
        temperature: t > 0.
        chunk_size: rows of a tile of the Gram matrix.

    Returns:
        L_t, the largest inner product, and dL_t/dW (K, d), the Euclidean gradient.

    Example:
        >>> value, largest, gradient = smooth_max_cosine(torch.eye(3), 0.1)
        >>> round(value - 0.1 * math.log(6), 6), largest, gradient.shape
        (0.0, 0.0, torch.Size([3, 3]))
    """
    largest, total = -math.inf, 0.0
    gradient = torch.zeros_like(weight)
    for rows, columns in _upper_tiles(len(weight), chunk_size):
        tile = weight[rows] @ weight[columns].T
        same = rows == columns
        if same:
            tile.fill_diagonal_(-math.inf)
        top = float(tile.max())
        if top > largest:
            shrink = math.exp((largest - top) / temperature)
            largest, total = top, total * shrink
            gradient *= shrink
        tile = tile.sub_(largest).div_(temperature).exp_()
        total += float(tile.sum()) * (1 if same else 2)
        gradient[rows] += tile @ weight[columns]
        if not same:
            gradient[columns] += tile.T @ weight[rows]
    return largest + temperature * math.log(total), largest, gradient.mul_(2 / total)


def smooth_softmax_margin(
    weight: Tensor, directions: Tensor, temperature: float, *, chunk_size: int = CHUNK_SIZE
) -> tuple[float, float, Tensor, Tensor]:
    """Minus the smallest one-vs-rest margin of classes along given directions, smoothed, with its gradients.

        L_t(W, H) = t log sum_k sum_{j != k} exp(<w_j - w_k, h_k> / t)

    For given W, min over unit h_k of max_{j != k} <w_j - w_k, h_k> is minus the distance of w_k from the convex hull
    of the other rows: minimising L_t over W and H, t -> 0, gives the softmax code of Jiang et al. This is also
    cross-entropy with temperature t between free features h_k and classifier W, up to the order of sum and log.

    Args:
        weight: W (K, d) unit rows.
        directions: H (K, d) unit rows.
        temperature: t > 0.
        chunk_size: rows of a tile.

    Returns:
        L_t, max_{k, j != k} <w_j - w_k, h_k>, dL_t/dW (K, d) and dL_t/dH (K, d).

    Example:
        >>> weight = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
        >>> smooth_softmax_margin(weight, weight, 0.01)[1]  # the two are at distance 2
        -2.0

    Source:
        Jiang et al., "Generalized neural collapse for a large number of classes", ICML 2024, section 3.
    """
    largest, total = -math.inf, 0.0
    to_weight, to_directions = torch.zeros_like(weight), torch.zeros_like(directions)
    own = (weight * directions).sum(1, keepdim=True)
    for rows, columns in _all_tiles(len(weight), chunk_size):
        tile = directions[rows] @ weight[columns].T - own[rows]
        if rows == columns:
            tile.fill_diagonal_(-math.inf)
        top = float(tile.max())
        if top > largest:
            shrink = math.exp((largest - top) / temperature)
            largest, total = top, total * shrink
            to_weight *= shrink
            to_directions *= shrink
        tile = tile.sub_(largest).div_(temperature).exp_()
        row_sum = tile.sum(1, keepdim=True)
        total += float(row_sum.sum())
        to_directions[rows] += tile @ weight[columns] - row_sum * weight[rows]
        to_weight[columns] += tile.T @ directions[rows]
        to_weight[rows] -= row_sum * directions[rows]
    return largest + temperature * math.log(total), largest, to_weight.div_(total), to_directions.div_(total)


def _upper_tiles(count: int, chunk_size: int) -> Iterator[tuple[slice, slice]]:
    """Tiles on and above the diagonal."""
    return ((r, c) for r, c in _all_tiles(count, chunk_size) if c.start >= r.start)


def _all_tiles(count: int, chunk_size: int) -> Iterator[tuple[slice, slice]]:
    starts = range(0, count, chunk_size)
    slices = [slice(s, min(s + chunk_size, count)) for s in starts]
    return ((r, c) for r in slices for c in slices)
