"""Some classes of a simplex ETF: their Gram matrix and the vectors nearest to given ones. All of them, for k = K."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from equiangular.frames.checks import TILE_ENTRIES
from equiangular.frames.nearest import etf_distance
from equiangular.measures.collapse.means import directions


def gram_error(left: Tensor, right: Tensor, *, num_classes: int | None = None) -> Tensor:
    """|| A/||A||_F - E/||E||_F ||_F with A = L R^T and E = I - 11^T/K (k x k), tile by tile.

    E is, up to a factor, the Gram matrix of k of the K vertices of a simplex ETF; for k = K its norm is sqrt(K-1).

    Args:
        left: L (k, d).
        right: R (k, d), rows of the same classes.
        num_classes: K of the ETF, k by default.

    Returns:
        0-dim tensor; NaN for fewer than two rows.
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
        own = torch.arange(error.shape[0], device=left.device)
        error[own, start + own] -= 1 / reference
        total += error.square().sum()
    return total.sqrt()


def partial_etf_distance(vectors: Tensor, *, num_classes: int | None = None) -> Tensor:
    """Root mean squared distance of directions to the nearest k of the K vertices of a simplex ETF (Procrustes).

    With T (k, k) the symmetric root of their Gram matrix K/(K-1) (I - 11^T/K), such vertices are T Q, Q (k, d) with
    orthonormal rows, and the nearest ones have Q = P R^T where T A = P diag(sigma) R^T (Schoenemann 1966). For k = K it
    is :func:`equiangular.frames.etf_distance`.

    Args:
        vectors: A (k, d); rows are divided by their norms.
        num_classes: K, k by default.

    Returns:
        0-dim tensor; NaN where there is no such ETF in d dimensions (k > d, or K > d + 1 for k = K), for fewer than two
        rows, and where a row is zero.
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
