"""NC2: class means of one norm and of equal angles, all of a simplex ETF or some of its vertices; pairs of vectors.

``means`` are centred class means M (K, d), ``weight`` classifier vectors W (K, d) of the same classes.
"""

import math

import torch
from torch import Tensor

from equiangular.frames.nearest import etf_distance
from equiangular.measures.collapse.moments import directions
from equiangular.measures.collapse.pairs import pair_measures

_BLOCK_ENTRIES = 2**18  # which a core keeps near


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
    found = pair_measures(means, num_classes=num_classes, wanted=("std", "deviation", "max_cosine"))
    return {str(name): value for name, value in found.items()}


def etf_error(means: Tensor, *, num_classes: int | None = None) -> Tensor:
    """|| G/||G||_F - (I - 11^T/K)/sqrt(K-1) ||_F with G = M M^T, tile by tile.

    Args:
        num_classes: K of the ETF, where ``means`` are some of its classes only: these rows and columns of
            I - 11^T/K, divided by their norm, are then the reference.

    Source: Zhu et al. 2021 (arXiv 2105.02375).
    """
    return pair_measures(means, num_classes=num_classes, wanted=("etf",))["etf"]


def log_distance_variance(means: Tensor) -> Tensor:
    """GNC2: the variance over pairs of log ||m_i - m_j||, m the unit-norm centred class means.

    It asks for equal distances without asking which, so it has a meaning for K > d + 1. 0 for an ETF; infinite where
    two means coincide.

    Source: Wu and Papyan, "Linguistic Collapse", NeurIPS 2024; Liu et al. 2023 (hyperspherical uniformity).
    """
    return pair_measures(means, wanted=("gnc2",))["gnc2"]


def gram_error(
    left: Tensor, right: Tensor, *, num_classes: int | None = None, dtype: torch.dtype | None = None
) -> Tensor:
    """|| A/||A||_F - E/||E||_F ||_F with A = L R^T and E = I - 11^T/K (k x k), tile by tile.

    E is, up to a factor, the Gram matrix of k of the K vertices of a simplex ETF; for k = K its norm is sqrt(K-1).
    Returns a 0-dim tensor; NaN for fewer than two rows.

    Args:
        left: L (k, d).
        right: R (k, d), rows of the same classes.
        num_classes: K of the ETF, k by default.
        dtype: of the products, by default that of ``left``.
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
    quick, other = (left / norm).to(dtype or left.dtype), right.to(dtype or left.dtype)
    step = max(1, _BLOCK_ENTRIES // k)
    for start in range(0, k, step):
        error = (quick[start : start + step] @ other.T).add_(1 / (classes * reference))
        error.diagonal(start).sub_(1 / reference)
        flat = error.view(-1)
        total += (flat @ flat).to(total)
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
