"""Fixed maps of features: random ReLU features, and the kernel with the samples that were kept."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from equiangular._random import make_generator
from equiangular._validate import check_int
from equiangular.heads.functional import unit_normalize


class RandomFeatures(nn.Module):
    """relu(x R) with a fixed Gaussian R, (B, width) of (B, in_features), in the dtype of x.

    Args:
        in_features: p, width of x.
        width: number of random features.
        seed: seed of R, drawn in float64 on the CPU: the same numbers everywhere.

    Attributes:
        matrix: (p, width), entries of variance 1 / p; a persistent buffer.

    Example:
        >>> RandomFeatures(4, 10)(torch.randn(2, 4)).shape
        torch.Size([2, 10])

    Source: McDonnell et al., "RanPAC: random projections and pre-trained models for continual learning", NeurIPS 2023,
    eq. 5.
    """

    matrix: Tensor

    def __init__(self, in_features: int, width: int, *, seed: int = 0) -> None:
        super().__init__()
        p, width = check_int(in_features, "in_features", minimum=1), check_int(width, "width", minimum=1)
        drawn = torch.randn(p, width, generator=make_generator(seed), dtype=torch.float64)
        self.register_buffer("matrix", drawn / p**0.5)

    @property
    def width(self) -> int:
        """Number of random features."""
        return self.matrix.shape[1]

    def forward(self, x: Tensor) -> Tensor:
        """The random features of x."""
        return (x @ self.matrix.to(x)).relu_()


class KernelFeatures(nn.Module):
    """exp(b (cos(x, x_i) - 1)) with N fixed samples x_i: (B, N) of (B, p), in the dtype of x.

    Attributes:
        rows: (N, p), the x_i at unit norm; a persistent buffer.
        sharpness: b, a 0-dim persistent buffer.

    Example:
        >>> KernelFeatures(torch.eye(2), 1.0)(torch.eye(2))
        tensor([[1.0000, 0.3679],
                [0.3679, 1.0000]])
    """

    rows: Tensor
    sharpness: Tensor

    def __init__(self, rows: Tensor, sharpness: float) -> None:
        super().__init__()
        self.register_buffer("rows", unit_normalize(rows))
        self.register_buffer("sharpness", torch.tensor(float(sharpness), dtype=rows.dtype))

    @property
    def width(self) -> int:
        """N."""
        return self.rows.shape[0]

    def forward(self, x: Tensor) -> Tensor:
        """The kernel of x with every sample."""
        cosines: Tensor = unit_normalize(x) @ self.rows.to(x).T
        return ((cosines - 1) * self.sharpness.to(x)).exp()
