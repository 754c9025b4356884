"""Is this a simplex ETF? The answer, its reason and its proof by tiles: K = 100,000 never needs a K x K matrix."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from equiangular._renamed import warn_renamed
from equiangular._scaled import near_one
from equiangular._validate import check_features, check_positive


def frame_tensor(weight: Any, name: str = "weight") -> Tensor:
    """A tensor as it is; an array or nested lists as a tensor of their own on the CPU; else a ValueError."""
    if isinstance(weight, Tensor):
        return weight
    try:
        return torch.from_numpy(np.array(weight))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be a (K, d) tensor or array of numbers, got {type(weight).__name__}.") from error


def unit_rows(vectors: Any, name: str) -> tuple[Tensor, Tensor]:
    """Rows of norm 1 (K, d) and the norms (K,) that they had, float64; a ValueError where a row has no direction."""
    vectors = check_features(frame_tensor(vectors, name), name=name, allow_zero=False).detach().double()
    vectors, size = near_one(vectors, rows=True)
    norms = torch.linalg.vector_norm(vectors, dim=1)
    if not float(norms.min()) > 0:  # on an accelerator the values have not been looked at yet
        raise ValueError(f"{name} has a zero-norm or NaN row (row {int(norms.argmin())}), which has no direction.")
    return vectors / norms[:, None], norms * size[:, 0]


# Entries of one tile: 32 MiB in float64.
TILE_ENTRIES = 2**22


def gram_tiles(vectors: Tensor, *, entries: int = TILE_ENTRIES) -> Iterator[tuple[int, int, Tensor]]:
    """Tiles of ``vectors @ vectors.T`` for vectors (K, d), of ``entries`` numbers at most, but at least a row.

    Each comes as (start, stop, tile), tile (stop - start, K) holding the rows from start to stop of the Gram matrix.
    """
    count = vectors.shape[0]
    step = max(1, entries // max(1, count))
    for start in range(0, count, step):
        stop = min(start + step, count)
        yield start, stop, vectors[start:stop] @ vectors.T


def extremes(tile: Tensor, own: Tensor) -> tuple[float, float]:
    """Smallest and largest entry of rows (n, K) of a Gram matrix but for entry ``own[i]`` of row i, written over."""
    rows = torch.arange(len(own), device=tile.device)
    tile[rows, own] = math.inf
    low = float(tile.min())
    tile[rows, own] = -math.inf
    return low, float(tile.max())


_DEFAULT_ATOL = {torch.float64: 1e-12, torch.float32: 1e-6, torch.float16: 2e-3, torch.bfloat16: 1.6e-2}


def is_simplex_etf(weight: Tensor | np.ndarray, *, atol: float | None = None, explain: bool = False) -> bool:
    """Whether the rows are a simplex ETF: unit norm, every inner product -1/(K-1).

    Memory: O(K d) beside one tile of the Gram matrix.

    Args:
        weight: (K, d) floating-point tensor or array.
        atol: largest absolute error of any inner product, taken in float64 from the entries as they are. By default
            1e-12 for float64 and 1e-6 for float32, what :func:`equiangular.simplex_etf` keeps up to K = 4000, and two
            units in the last place of 1 for the half precisions (2e-3 float16, 1.6e-2 bfloat16): rounding every entry
            by eps/2 changes an inner product of unit vectors by at most eps. Where atol >= 1/(K-1) the pairs no longer
            tell an ETF from orthonormal rows; then the sum of the rows, 0 for the one and of norm sqrt(K) for the
            other, decides.
        explain: write :func:`why_not_simplex_etf` instead; for one more release the pair (answer, reason).

    Raises:
        ValueError: not a (K, d) floating-point matrix with K >= 2.

    Example:
        >>> is_simplex_etf(torch.eye(3))
        False

    Source: Papyan et al. 2020, PNAS 117(40), equation 2.
    """
    reason = why_not_simplex_etf(weight, atol=atol)
    if explain:
        warn_renamed("is_simplex_etf(weight, explain=True)", "why_not_simplex_etf(weight)")
        return reason is None, reason  # type: ignore[return-value]
    return reason is None


def why_not_simplex_etf(weight: Tensor | np.ndarray, *, atol: float | None = None) -> str | None:
    """What keeps the rows from being a simplex ETF; None for one. Arguments and errors as in :func:`is_simplex_etf`.

    Example:
        >>> why_not_simplex_etf(torch.eye(3))
        'rows 0 and 1 have inner product 0, not -1/(K-1) = -0.5: off by 0.5, more than atol=1e-06'
    """
    weight = frame_tensor(weight)
    if weight.ndim != 2 or not weight.is_floating_point() or weight.shape[0] < 2:
        raise ValueError(
            f"a frame is a floating-point (K, d) matrix with K >= 2, got {weight.dtype} of shape {tuple(weight.shape)}."
        )
    tolerance = _DEFAULT_ATOL.get(weight.dtype, 1e-6) if atol is None else check_positive(atol, "atol")
    k, d = weight.shape
    vectors = weight.detach().double()
    if not torch.isfinite(vectors).all():
        return "it has NaN or infinite entries"
    if d < k - 1:
        return f"{k} vectors in d={d} dimensions cannot be one: it needs d >= {k - 1}"
    norms = torch.linalg.vector_norm(vectors, dim=1)
    off = (norms.square() - 1).abs()
    if off.max() > tolerance:
        row = int(off.argmax())
        mean = float(norms.mean())
        hint = ""
        if mean > 0 and (norms / mean - 1).abs().max() <= tolerance and _worst_pair(vectors / mean)[0] <= tolerance:
            hint = f"; divided by their common norm {mean:.6g} they are one"
        return f"row {row} has norm {float(norms[row]):.9g}, not 1{hint}"
    expected = -1 / (k - 1)
    worst, pair = _worst_pair(vectors)
    if worst > tolerance:
        value = float(vectors[pair[0]] @ vectors[pair[1]])
        return (
            f"rows {pair[0]} and {pair[1]} have inner product {value:.6g}, not -1/(K-1) = {expected:.6g}: "
            f"off by {worst:.3g}, more than atol={tolerance:g}"
        )
    if -expected <= tolerance:
        spread = float(vectors.sum(0).square().sum()) / k  # 0 for an ETF, 1 for orthonormal rows
        if spread > 0.5:
            return (
                f"the rows sum to a vector of squared norm {spread:.3g} K, not 0, "
                f"and atol={tolerance:g} is too wide for inner products of {expected:.3g}"
            )
    return None


def assert_simplex_etf(weight: Tensor | np.ndarray, *, atol: float | None = None) -> None:
    """Raise unless the rows are a simplex ETF; arguments as in :func:`is_simplex_etf`.

    Raises:
        ValueError: they are not; the message names the worst pair, its value and the expected one.

    Example:
        >>> from equiangular import simplex_etf
        >>> assert_simplex_etf(simplex_etf(10, 9))
    """
    reason = why_not_simplex_etf(weight, atol=atol)
    if reason is not None:
        raise ValueError(f"not a simplex ETF: {reason}.")


def _worst_pair(vectors: Tensor) -> tuple[float, tuple[int, int]]:
    """The largest error of an inner product of two rows, and the rows."""
    k = vectors.shape[0]
    worst, pair = 0.0, (0, 1)
    for start, stop, tile in gram_tiles(vectors):
        error = (tile + 1 / (k - 1)).abs_()
        rows = torch.arange(start, stop, device=tile.device)
        error[rows - start, rows] = 0
        largest = float(error.max())
        if largest > worst:
            worst, position = largest, int(error.argmax())
            pair = (start + position // k, position % k)
    return worst, pair
