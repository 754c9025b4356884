"""The canonical and the minimal simplex without the matrix: logits, their gradient, and single rows, in closed form."""

from __future__ import annotations

import math
from typing import Any, Literal, get_args

import torch
from torch import Tensor
from torch.autograd import forward_ad

from equiangular._autocast import without_autocast
from equiangular._validate import check_choice, check_num_classes, have_values, values_are_readable
from equiangular.frames.closed_forms import canonical_entries, minimal_coefficients

Structure = Literal["canonical", "minimal"]
STRUCTURES: tuple[Structure, ...] = get_args(Structure)
_NEAR = 2**18  # numbers that a core keeps near between two passes over them


def simplex_logits(x: Tensor, num_classes: int, *, basis: Structure) -> Tensor:
    """``x @ simplex_etf(K, d, basis=basis).T`` without forming the frame: (..., K), dtype of ``x``, differentiable.

    Canonical: sqrt(K/(K-1)) (x_k - mean_{j<K} x_j). Minimal: with s_j as in
    :func:`equiangular.frames.closed_forms.minimal_simplex`, s_k x_k - sum_{j<k} s_j x_j / (K-1-j), a cumulative sum.
    Half precision is computed in float32.

    Args:
        x: (..., d) floating-point features, d >= K ("canonical") or d >= K-1 ("minimal"); the coordinates after
            those do not matter.
        num_classes: K >= 2.
        basis: ``"canonical"`` or ``"minimal"``.

    Raises:
        ValueError: too few coordinates, an unknown basis, K < 2 or integer features.

    Example:
        >>> from equiangular import simplex_etf
        >>> x = torch.randn(2, 7)
        >>> torch.allclose(simplex_logits(x, 5, basis="minimal"), x @ simplex_etf(5, 7, basis="minimal").T, atol=1e-6)
        True
    """
    k = check_num_classes(num_classes)
    needed = k if check_choice(basis, STRUCTURES, "basis") == "canonical" else k - 1
    if not isinstance(x, Tensor) or not x.is_floating_point():
        received = x.dtype if isinstance(x, Tensor) else type(x).__name__
        raise ValueError(f"x must be a floating-point tensor, got {received}. Convert it with .float().")
    if x.ndim == 0 or x.shape[-1] < needed:
        raise ValueError(f"the {basis} basis of K={k} classes needs d >= {needed} features, got {tuple(x.shape)}.")
    return scaled_simplex_logits(x, k, basis, None)


def scaled_simplex_logits(x: Tensor, k: int, basis: Structure, scale: Tensor | None) -> Tensor:
    """:func:`simplex_logits` of checked arguments times a scale (), which costs no pass of its own."""
    with without_autocast(x):
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        if scale is None:
            factor: float | Tensor = 1.0
        elif (scale.requires_grad and torch.is_grad_enabled()) or not values_are_readable(scale):
            factor = scale.to(wide.dtype)
        else:
            factor = scale.item()
        if isinstance(factor, Tensor) or forward_ad._current_level >= 0 or not have_values(wide):
            return _logits(wide, factor, k, basis).to(x.dtype)
        if not (wide.requires_grad and torch.is_grad_enabled()):
            return _logits_in_place(wide, factor, k, basis).to(x.dtype)
        logits: Tensor = _Logits.apply(wide, factor, k, basis)  # type: ignore[no-untyped-call]  # torch's
        return logits.to(x.dtype)


def _logits(x: Tensor, scale: float | Tensor, k: int, basis: Structure) -> Tensor:
    """The logits, s W x."""
    if basis == "canonical":
        part, factor = x.narrow(-1, 0, k), scale * math.sqrt(k / (k - 1))
        return part * factor - part.mean(-1, keepdim=True) * factor
    own, below = _scaled_coefficients(k, scale, x)
    part = x[..., : k - 1]
    logits = torch.nn.functional.pad(part * own, (0, 1))
    logits[..., 1:] -= torch.cumsum(part * below, dim=-1)
    return logits


def _pulled_back(y: Tensor, scale: float | Tensor, k: int, basis: Structure, dim: int) -> Tensor:
    """The gradient of the features given that of the logits, s W^T y: (..., d) from (..., K)."""
    if basis == "canonical":  # a symmetric matrix
        return torch.nn.functional.pad(_logits(y, scale, k, basis), (0, dim - k))
    own, below = _scaled_coefficients(k, scale, y)
    after = y[..., 1:].flip(-1).cumsum(-1).flip(-1)  # summed from the end: a total less a sum would cancel
    return torch.nn.functional.pad(y[..., : k - 1] * own - after * below, (0, dim - k + 1))


def _scaled_coefficients(k: int, scale: float | Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
    own, below = minimal_coefficients(k, device=like.device)
    return own.to(like.dtype) * scale, below.to(like.dtype) * scale


def _logits_in_place(x: Tensor, scale: float, k: int, basis: Structure) -> Tensor:
    """:func:`_logits` without a temporary tensor of its size: fresh memory costs more than the sums."""
    if basis == "canonical":
        part, factor = x.narrow(-1, 0, k), scale * math.sqrt(k / (k - 1))
        if not x.is_cpu or x.ndim != 2 or len(x) * k <= _NEAR:
            return torch.add(part.mean(-1, keepdim=True).mul_(-factor), part, alpha=factor)
        result, rows = x.new_empty(len(x), k), max(1, _NEAR // k)
        for some, out in zip(part.split(rows), result.split(rows), strict=True):
            torch.add(some.mean(-1, keepdim=True).mul_(-factor), some, alpha=factor, out=out)
        return result
    own, below = _scaled_coefficients(k, scale, x)
    part, logits = x[..., : k - 1], x.new_empty(*x.shape[:-1], k)
    logits[..., 0] = 0
    torch.mul(part, -below, out=logits[..., 1:])
    logits[..., 1:].cumsum_(-1)
    logits[..., : k - 1].addcmul_(part, own)
    return logits


def _pulled_back_in_place(y: Tensor, scale: float, k: int, basis: Structure, dim: int) -> Tensor:
    """:func:`_pulled_back` with one temporary tensor at most."""
    if basis == "canonical":
        result = _logits_in_place(y, scale, k, basis)
    else:
        own, below = (torch.nn.functional.pad(c, (0, 1)) for c in _scaled_coefficients(k, scale, y))
        # From the coordinate itself on, which the factor takes out again.
        result = y.flip(-1).cumsum_(-1).flip(-1).mul_(-below).addcmul_(y, own + below)
    return torch.nn.functional.pad(result, (0, dim - k)) if dim > k else result.narrow(-1, 0, dim)


class _Logits(torch.autograd.Function):
    """x -> s W x, whose gradient costs what it costs: the sums of a derivative written by PyTorch would be passes."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: float, k: int, basis: Structure) -> Tensor:
        ctx.options = scale, k, basis, x.shape[-1]
        return _logits_in_place(x, scale, k, basis)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        if not have_values(gradient):
            return _pulled_back(gradient, *ctx.options), None, None, None
        if not torch.is_grad_enabled():
            return _pulled_back_in_place(gradient, *ctx.options), None, None, None
        return _Gradient.apply(gradient, *ctx.options), None, None, None  # type: ignore[no-untyped-call]  # torch's


class _Gradient(torch.autograd.Function):
    """y -> s W^T y, whose gradient is the logits again."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, scale: float, k: int, basis: Structure, dim: int) -> Tensor:
        ctx.options = scale, k, basis
        return _pulled_back_in_place(y, scale, k, basis, dim)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None, None]:
        if not have_values(gradient):
            return _logits(gradient, *ctx.options), None, None, None, None
        return _Logits.apply(gradient, *ctx.options), None, None, None, None  # type: ignore[no-untyped-call]  # torch's


def simplex_rows(ids: Tensor, k: int, dim: int, basis: Structure, dtype: torch.dtype) -> Tensor:
    """The rows ``ids`` (B,) of ``simplex_etf(K, d, basis=basis)``, bit for bit: (B, d), O(B d) time and memory."""
    own, other = _columns(k, dim, basis, ids.device)
    own, other = own.to(dtype), other.to(dtype)
    column, row = torch.arange(dim, device=ids.device), ids[:, None]
    if basis == "minimal":
        other = torch.where(column < row, other, torch.zeros_like(other))
    return torch.where(column == row, own, other)


def _columns(k: int, dim: int, basis: Structure, device: torch.device) -> tuple[Tensor, Tensor]:
    """What column j has at row j, and in the other rows that have something there: (d,) each, zeros at the end."""
    if basis == "minimal":
        own, below = minimal_coefficients(k, device=device)
        room = (0, dim - k + 1)
        return torch.nn.functional.pad(own, room), torch.nn.functional.pad(-below, room)
    first = (torch.arange(dim, device=device) < k).to(torch.float32 if device.type == "mps" else torch.float64)
    diagonal, beside = canonical_entries(k)
    return first * diagonal, first * beside


def simplex_reach(k: int, dim: int, basis: Structure) -> Tensor:
    """:func:`equiangular.frames.reachable_cosine` of every row of ``simplex_etf(K, d, basis=basis)``: (K,) float64.

    Row j has one positive entry, its own; the last row of the minimal simplex has none.
    """
    own, other = _columns(k, dim, basis, torch.device("cpu"))
    if basis == "canonical":
        return own[:k]
    return torch.cat([own[: k - 1], other.amax()[None]])
