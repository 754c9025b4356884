"""How many directions features and means use: variability collapse index and effective rank."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def variability_collapse_index(within: Tensor, between: Tensor) -> Tensor:
    """VCI = 1 - tr(S_T^+ S_B) / rank(S_B) with S_T = S_W + S_B: 0 at collapse, 1 where means coincide.

    Invariant under any invertible linear map of the features, unlike NC1's quotient. With S_B = B^T B, B (r, d), it
    equals the mean over i of 1/(1 + c_i), c the eigenvalues of B S_W^+ B^T (Woodbury), and is computed so: near
    collapse the definition is 1 less a number that rounds to 1.

    Args:
        within: S_W (d, d).
        between: S_B (d, d), positive semi-definite.

    Returns:
        0-dim tensor; NaN where S_B is zero.

    Example:
        >>> between = torch.diag(torch.tensor([1.0, 0.0], dtype=torch.float64))
        >>> round(float(variability_collapse_index(0.25 * torch.eye(2).double(), between)), 4)
        0.2

    Source: Xu and Liu, "Quantifying the variability collapse of neural networks", ICML 2023.
    """
    eps = within.shape[0] * torch.finfo(within.dtype).eps
    values, vectors = torch.linalg.eigh(between)
    kept = values > values[-1] * eps
    if not bool(kept.any()) or not bool(torch.isfinite(values).all()):
        return within.new_tensor(math.nan)
    scatter, axes = torch.linalg.eigh(within)
    if scatter[-1] <= 0:
        return within.new_tensor(0.0)
    root = (vectors[:, kept] * values[kept].sqrt()).T @ axes / scatter.clamp(min=float(scatter[-1]) * eps).sqrt()
    return (1 / (1 + torch.linalg.svdvals(root).square())).mean()


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
    share = values / values.sum()
    return torch.special.entr(share).sum().exp()
