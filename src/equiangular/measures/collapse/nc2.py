"""NC2: class means of one norm and of equal angles, all of a simplex ETF or some of its vertices; pairs of vectors.

``means`` are centred class means M (K, d), ``weight`` classifier vectors W (K, d) of the same classes.
"""

import math

import torch
from torch import Tensor

from equiangular.frames.checks import TILE_ENTRIES, gram_tiles
from equiangular.frames.nearest import etf_distance
from equiangular.measures.collapse.moments import directions

# Below this share of the squared norms the matrix product has lost too many digits.
_CLOSE = 1e-4
_CHUNK_ENTRIES = 2**22


def squared_distances(rows: Tensor, points: Tensor) -> Tensor:
    """||a - b||^2 for every a in rows and b in points.

    ||a||^2 + ||b||^2 - 2 a.b is fast and, where it is not small, right to a relative error of about 1e4 eps; small ones
    are computed again from a - b. Centre the points first.

    Example:
        >>> squared_distances(torch.tensor([[0.0, 0.0]]), torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
        tensor([[25.,  0.]])
    """
    scale = rows.square().sum(1)[:, None] + points.square().sum(1)
    squares = torch.addmm(scale, rows, points.T, alpha=-2)
    i, j = (squares <= _CLOSE * scale).nonzero(as_tuple=True)
    step = max(1, _CHUNK_ENTRIES // max(1, rows.shape[1]))
    for first, second in zip(i.split(step), j.split(step), strict=True):
        squares[first, second] = (rows[first] - points[second]).square().sum(1)
    return squares


def equinorm(means: Tensor) -> Tensor:
    """std_c ||mu_c - mu_G|| / mean_c ||mu_c - mu_G||, population standard deviation.

    Source: Papyan et al. 2020.
    """
    norms: Tensor = torch.linalg.vector_norm(means, dim=1)
    return norms.std(correction=0) / norms.mean()


def equiangular(means: Tensor, *, num_classes: int | None = None) -> dict[str, Tensor]:
    """Statistics of the cosines of all pairs of centred class means, tile by tile; NaN for fewer than two means.

    ``std``: population standard deviation (Papyan et al. 2020); ``deviation``: mean |cos + 1/(K-1)|; ``max_cosine``:
    the closest pair.

    Args:
        num_classes: K of the ETF to compare with, where ``means`` are some of its classes only.

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
    for start, _, tile in gram_tiles(unit):
        largest = torch.maximum(largest, without_own(tile, start, -math.inf).max())
        deviation += (without_own(tile, start, cosine) - cosine).abs().sum()
        squares += without_own(tile, start, mean).sub_(mean).square_().sum()
    pairs = k * (k - 1)
    return {"std": (squares / pairs).sqrt(), "deviation": deviation / pairs, "max_cosine": largest}


def etf_error(means: Tensor, *, num_classes: int | None = None) -> Tensor:
    """|| G/||G||_F - (I - 11^T/K)/sqrt(K-1) ||_F with G = M M^T, tile by tile.

    Args:
        num_classes: K of the ETF, where ``means`` are some of its classes only: these rows and columns of
            I - 11^T/K, divided by their norm, are then the reference.

    Source: Zhu et al. 2021 (arXiv 2105.02375).
    """
    return gram_error(means, means, num_classes=num_classes)


def log_distance_variance(means: Tensor) -> Tensor:
    """GNC2: the variance over pairs of log ||m_i - m_j||, m the unit-norm centred class means.

    It asks for equal distances without asking which, so it has a meaning for K > d + 1. 0 for an ETF; infinite where
    two means coincide.

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
        off = without_own(log_distance - reference, start, 0.0)
        total += off.sum()
        squares += off.square().sum()
    pairs = k * (k - 1)
    variance = squares / pairs - (total / pairs) ** 2
    return means.new_tensor(math.inf) if torch.isinf(total) else variance.clamp(min=0)


def without_own(tile: Tensor, start: int, value: float | Tensor) -> Tensor:
    """The rows of classes from ``start`` on, with the entries of a class with itself replaced, in place."""
    tile.diagonal(start).fill_(value)
    return tile


def gram_error(left: Tensor, right: Tensor, *, num_classes: int | None = None) -> Tensor:
    """|| A/||A||_F - E/||E||_F ||_F with A = L R^T and E = I - 11^T/K (k x k), tile by tile.

    E is, up to a factor, the Gram matrix of k of the K vertices of a simplex ETF; for k = K its norm is sqrt(K-1).
    Returns a 0-dim tensor; NaN for fewer than two rows.

    Args:
        left: L (k, d).
        right: R (k, d), rows of the same classes.
        num_classes: K of the ETF, k by default.
    """
    k, d = left.shape
    if k < 2:
        return left.new_tensor(math.nan)
    classes = num_classes or k
    if d < k:  # tr(L^T L R^T R), without the k x k matrix
        norm = ((left.T @ left) * (right.T @ right)).sum().clamp(min=0).sqrt()
    else:
        norm = torch.linalg.matrix_norm(left @ right.T)
    reference = math.sqrt(k * (1 - 2 / classes + k / classes**2))
    total = left.new_tensor(0.0)
    step = max(1, TILE_ENTRIES // k)
    for start in range(0, k, step):
        error = left[start : start + step] @ right.T / norm + 1 / (classes * reference)
        error.diagonal(start).sub_(1 / reference)
        total += error.square().sum()
    return total.sqrt()


def partial_etf_distance(vectors: Tensor, *, num_classes: int | None = None) -> Tensor:
    """Root mean squared distance of directions to the nearest k of the K vertices of a simplex ETF (Procrustes).

    With T (k, k) the symmetric root of their Gram matrix K/(K-1) (I - 11^T/K), such vertices are T Q, Q (k, d) with
    orthonormal rows, and the nearest ones have Q = P R^T where T A = P diag(sigma) R^T (Schoenemann 1966). For k = K it
    is :func:`equiangular.frames.etf_distance`. Returns a 0-dim tensor; NaN where there is no such ETF in d dimensions
    (k > d, or K > d + 1 for k = K), for fewer than two rows, and where a row is zero.

    Args:
        vectors: A (k, d); rows are divided by their norms.
        num_classes: K, k by default.
    """
    k, d = vectors.shape
    classes = num_classes or k
    norms = torch.linalg.vector_norm(vectors, dim=1)
    if k < 2 or k > (d if k < classes else d + 1) or not bool((norms > 0).all()):
        return vectors.new_tensor(math.nan)
    if k == classes:
        return etf_distance(vectors).to(vectors.dtype)
    unit = directions(vectors)
    root = torch.eye(k, dtype=unit.dtype, device=unit.device) - (1 - math.sqrt(1 - k / classes)) / k
    root *= math.sqrt(classes / (classes - 1))
    left, _, right = torch.linalg.svd(root @ unit, full_matrices=False)
    distance: Tensor = torch.linalg.vector_norm(unit - root @ (left @ right))
    return distance / math.sqrt(k)


def mean_cosine(vectors: Tensor) -> Tensor:
    """Mean cosine over pairs of rows: near 1 where directions have merged, -1/(K-1) for an ETF; O(K d).

    Taken over the class means, or the classifier vectors, of the rare classes it measures minority collapse. Returns a
    0-dim tensor; NaN for fewer than two rows.

    Args:
        vectors: (K, d) unit rows (or zero rows, which count as orthogonal to all).

    Source: Fang, He, Long and Su 2021, PNAS 118(43).
    """
    k = vectors.shape[0]
    if k < 2:
        return vectors.new_tensor(math.nan)
    return (vectors.sum(0).square().sum() - vectors.square().sum()) / (k * (k - 1))
