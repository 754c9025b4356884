"""Keyword arguments of the heads, typed, so that an editor completes them; what they mean stands at :class:`Head`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypedDict, get_args

from equiangular.frames.simplex import Basis
from equiangular.heads.functional import Projection

if TYPE_CHECKING:
    from pathlib import Path

    import torch
    from torch import Tensor

    from equiangular.frames.implicit import Construction

Norm = Literal["none", "batch", "batch-first"]
ScaleName = Literal["auto", "learned"]
ZeroNorm = Literal["keep", "error"]
NORMS: tuple[Norm, ...] = get_args(Norm)
SCALE_NAMES: tuple[ScaleName, ...] = get_args(ScaleName)
ZERO_NORMS: tuple[ZeroNorm, ...] = get_args(ZeroNorm)


class CommonOptions(TypedDict, total=False):
    """What every head takes."""

    norm: Norm
    scale: float | ScaleName
    drop_rate: float
    projection: Projection | None
    dim: int | None
    zero_norm: ZeroNorm
    seed: int
    device: torch.device | str | None
    dtype: torch.dtype | None


class HeadOptions(CommonOptions, total=False):
    """The same, for heads that leave the choice whether features are normalised to :class:`Head`."""

    normalize: bool


class ETFHeadOptions(HeadOptions, total=False):
    """What :class:`ETFHead` takes."""

    basis: Basis | Literal["spread"]
    prototypes: Tensor | str | Path | None


class AnyHeadOptions(ETFHeadOptions, total=False):
    """What one head or another takes, for functions that make a head by its name."""

    bias: bool
    class_vectors: Tensor
    learn_vectors: bool
    reserved: int
    construction: Literal["auto"] | Construction
    chunk_size: int
    class_means: Tensor | None
