"""Logits of a simplex ETF without its matrix: O(K) for each sample."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from equiangular._validate import check_choice, check_num_classes
from equiangular.frames.closed_forms import minimal_coefficients


def simplex_logits(x: Tensor, num_classes: int, *, basis: Literal["canonical", "minimal"]) -> Tensor:
    """``x @ simplex_etf(K, d, basis=basis).T`` without forming the frame.

    Canonical: sqrt(K/(K-1)) (x_k - mean_{j<K} x_j). Minimal: with s_j as in
    :func:`equiangular.frames.closed_forms.minimal_simplex`, s_k x_k - sum_{j<k} s_j x_j / (K-1-j), a cumulative sum.

    Args:
        x: (..., d) floating-point features, d >= K ("canonical") or d >= K-1 ("minimal"); the coordinates after
            those do not matter.
        num_classes: K >= 2.
        basis: ``"canonical"`` or ``"minimal"``.

    Returns:
        (..., K) tensor of the dtype and device of ``x``, differentiable.

    Raises:
        ValueError: too few coordinates, an unknown basis, K < 2 or integer features.

    Example:
        >>> from equiangular import simplex_etf
        >>> x = torch.randn(2, 7)
        >>> torch.allclose(simplex_logits(x, 5, basis="minimal"), x @ simplex_etf(5, 7, basis="minimal").T, atol=1e-6)
        True
    """
    k = check_num_classes(num_classes)
    needed = k if check_choice(basis, ("canonical", "minimal"), "basis") == "canonical" else k - 1
    if not isinstance(x, Tensor) or not x.is_floating_point():
        received = x.dtype if isinstance(x, Tensor) else type(x).__name__
        raise ValueError(f"x must be a floating-point tensor, got {received}. Convert it with .float().")
    if x.ndim == 0 or x.shape[-1] < needed:
        raise ValueError(f"the {basis} basis of K={k} classes needs d >= {needed} features, got {tuple(x.shape)}.")
    if basis == "canonical":
        part = x[..., :k]
        return math.sqrt(k / (k - 1)) * (part - part.mean(-1, keepdim=True))
    own_factor, below_factor = (c.to(x.dtype) for c in minimal_coefficients(k, device=x.device))
    part = x[..., : k - 1]
    own = part * own_factor
    before = torch.cumsum(part * below_factor, dim=-1)
    zero = torch.zeros_like(x[..., :1])
    return torch.cat([own, zero], dim=-1) - torch.cat([zero, before], dim=-1)
