"""How many directions features and means use: variability collapse index and effective rank."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from equiangular.measures.collapse.nc1 import NOISE, between_basis


def variability_collapse_index(within: Tensor, means: Tensor, *, rank: int | None = None) -> Tensor:
    """VCI = 1 - tr(S_T^+ S_B) / rank(S_B) with S_T = S_W + S_B: 0 at collapse, 1 where means coincide.

    Invariant under any invertible linear map of the features, unlike NC1's quotient. With S_B = R^T R, R (r, d), it
    equals tr((I + R S_W^-1 R^T)^-1) / r (Woodbury), and is computed so, by two Cholesky factorisations: near collapse
    the definition is 1 less a number that rounds to 1. Where S_W is singular, directions with less than 1e-12 of the
    largest total variance are rounding of the features and left out, and in the others S_W counts as the limit of a
    tiny multiple of the identity added to it.

    Args:
        within: S_W (d, d).
        means: M (K, d), centred class means; S_B = M^T M / K.
        rank: largest rank that M can have, see :func:`nc1_pinv`.

    Returns:
        0-dim tensor; NaN for fewer than two classes or where all means coincide.

    Example:
        >>> means = torch.tensor([[1.0, 0.0], [-1.0, 0.0]], dtype=torch.float64)
        >>> round(float(variability_collapse_index(0.25 * torch.eye(2, dtype=torch.float64), means)), 4)
        0.2

    Source: Xu and Liu, "Quantifying the variability collapse of neural networks", ICML 2023.
    """
    k = len(means)
    if k < 2 or not bool(torch.isfinite(means).all()):
        return means.new_tensor(math.nan)
    rows = between_basis(means, rank=rank) / math.sqrt(k)
    if not len(rows):
        return means.new_tensor(math.nan)
    trace = within.trace()
    if not bool(trace > 0):
        return means.new_tensor(0.0)
    symmetric = (within + within.T) / 2
    factor, failed = torch.linalg.cholesky_ex(symmetric)
    smallest, total = factor.diagonal().square().min(), trace + rows.square().sum()
    if bool(failed) or not bool(smallest > 100 * NOISE * total):  # perhaps singular: look at the eigenvalues
        values, vectors = torch.linalg.eigh(symmetric + rows.T @ rows)
        vectors = vectors[:, values > NOISE * values[-1]]
        symmetric, rows = vectors.T @ symmetric @ vectors, rows @ vectors
        unit, jitter, failed = torch.eye(len(symmetric)).to(symmetric), trace * torch.finfo(within.dtype).eps, True
        while failed:
            factor, failed = torch.linalg.cholesky_ex(symmetric + jitter * unit)
            failed, jitter = bool(failed), 10 * jitter
    solved = torch.linalg.solve_triangular(factor, rows.T, upper=False)
    identity = torch.eye(len(rows)).to(within)
    inner = torch.linalg.cholesky(identity + solved.T @ solved)
    root: Tensor = torch.linalg.solve_triangular(inner, identity, upper=False)
    return root.square().sum() / len(rows)


def effective_rank(vectors: Tensor) -> Tensor:
    """exp of the entropy of the normalised singular values: between 1 and the rank; K-1 for a centred simplex ETF.

    Args:
        vectors: (K, d), such as centred class means.

    Returns:
        0-dim tensor; NaN for a zero matrix or one with NaN.

    Example:
        >>> round(float(effective_rank(torch.eye(4) - 0.25)), 4)
        3.0

    Source: Roy and Vetterli, "The effective rank", EUSIPCO 2007.
    """
    if not bool(torch.isfinite(vectors).all()):
        return vectors.new_tensor(math.nan)
    values = torch.linalg.svdvals(vectors)
    entropy: Tensor = torch.special.entr(values / values.sum()).sum()
    return entropy.exp()
