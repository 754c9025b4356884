"""A learned map in front of the class vectors, for features of another width than the vectors'."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.utils import skip_init

Projection = Literal["linear", "mlp"]
PROJECTIONS: tuple[Projection, ...] = get_args(Projection)


def make_projection(
    kind: Projection, in_features: int, dim: int, *, generator: torch.Generator, like: Tensor
) -> nn.Module:
    """``"linear"``: one affine map; ``"mlp"``: affine, ReLU, affine, with a hidden layer of width ``in_features``.

    Args:
        kind: ``"linear"`` or ``"mlp"``.
        in_features: width of the input.
        dim: width of the output.
        generator: local CPU generator of the initial values.
        like: a tensor on the device and of the dtype of the parameters.
    """
    if kind == "linear":
        return _linear(in_features, dim, generator, like)
    first = _linear(in_features, in_features, generator, like)
    return nn.Sequential(first, nn.ReLU(), _linear(in_features, dim, generator, like))


def linear_init(rows: int, columns: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """PyTorch's default initial weight (rows, columns) and bias (rows,) of a linear layer, float64 on the CPU.

    Both are uniform on [-1/sqrt(columns), 1/sqrt(columns)].
    """
    bound = columns**-0.5
    weight = torch.rand(rows, columns, generator=generator, dtype=torch.float64)
    bias = torch.rand(rows, generator=generator, dtype=torch.float64)
    return (2 * weight - 1) * bound, (2 * bias - 1) * bound


def _linear(in_features: int, out_features: int, generator: torch.Generator, like: Tensor) -> nn.Linear:
    layer: nn.Linear = skip_init(nn.Linear, in_features, out_features, device=like.device, dtype=like.dtype)
    weight, bias = linear_init(out_features, in_features, generator)
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.bias.copy_(bias)
    return layer
