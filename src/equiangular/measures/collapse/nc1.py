"""NC1: how small the scatter within classes is beside the scatter between them. 0 at collapse."""

from __future__ import annotations

import math

import torch
from torch import Tensor

# Share of the largest variance below which a direction is the rounding of features in single precision, squared.
NOISE = 1e-12


def nc1_pinv(within: Tensor, means: Tensor, *, rank: int | None = None) -> Tensor:
    """tr(S_W S_B^+) / K with S_B = M^T M / K, by an eigenproblem of the smaller of K and d.

    With M M^T = V diag(lambda) V^T, S_B^+ = K M^T V diag(lambda^-2) V^T M, so that

        tr(S_W S_B^+) / K = sum_i v_i^T M S_W M^T v_i / lambda_i^2.

    M has rank K-1 at most, because centred means are dependent: at most K-1 eigenvalues are kept, and those above
    the rounding of the features, see :func:`between_basis`. A noise direction that slipped through would be divided by
    almost nothing. For d < K the d x d matrix M^T M is decomposed instead.

    Args:
        within: S_W (d, d), within-class covariance, (1/N) sum_n (h_n - mu_y)(h_n - mu_y)^T.
        means: M (K, d), centred class means.
        rank: largest rank that M can have, K-1 by default; K for some classes seen from the mean of all.

    Returns:
        0-dim tensor; NaN for fewer than two classes, infinite where all means coincide and S_W is not 0.

    Example:
        >>> means = torch.eye(3, dtype=torch.float64) - 1 / 3
        >>> round(float(nc1_pinv(0.01 * torch.eye(3, dtype=torch.float64), means)), 6)
        0.02

    Source: Papyan, Han and Donoho 2020, PNAS 117(40), NC1.
    """
    if means.shape[0] < 2:
        return means.new_tensor(math.nan)
    rows = between_basis(means, rank=rank)
    if not len(rows):
        return means.new_tensor(0.0 if not bool(within.any()) else math.inf)
    return (((rows @ within) * rows).sum(1) / rows.square().sum(1).square()).sum()


def between_basis(means: Tensor, *, rank: int | None = None) -> Tensor:
    """Orthogonal rows R with R^T R = M^T M, at most K-1 of them: the directions in which class means differ.

    Rows sqrt(lambda_i) u_i with lambda_i, u_i the eigenvalues and eigenvectors of M^T M, found through the smaller of
    M M^T and M^T M. Kept are K-1 at most, and of those the ones with lambda_i / lambda_1 above max(K, d) eps and above
    1e-12: features of single precision that lie in a subspace leave it by rounding.

    Args:
        means: M (K, d), centred class means.
        rank: rows at most; K-1 by default.

    Returns:
        (r, d) with r <= min(K-1, d); no rows where all means coincide.
    """
    k, d = means.shape
    gram_side = k <= d
    values, vectors = torch.linalg.eigh(means @ means.T if gram_side else means.T @ means)
    keep = min(k - 1 if rank is None else rank, d)
    values, vectors = values[-keep:], vectors[:, -keep:]
    kept = values > values[-1].clamp(min=0) * max(max(k, d) * torch.finfo(values.dtype).eps, NOISE)
    values, vectors = values[kept], vectors[:, kept]
    root: Tensor = vectors.T @ means if gram_side else (vectors * values.sqrt()).T
    return root


def nc1_quotient(within_trace: Tensor, means: Tensor) -> Tensor:
    """tr S_W / tr S_B with tr S_B = (1/K) sum_c ||mu_c - mu_G||^2; needs no covariance matrix.

    Args:
        within_trace: tr S_W, 0-dim.
        means: (K, d), centred class means.

    Example:
        >>> round(float(nc1_quotient(torch.tensor(0.03), torch.eye(3) - 1 / 3)), 4)
        0.045
    """
    return within_trace / means.square().sum(1).mean()
