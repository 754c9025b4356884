"""Fixed maps of features: random ReLU features, and the kernel with the samples that were kept."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from equiangular._autocast import without_autocast
from equiangular._random import make_generator
from equiangular._rebuilt import RebuiltModule
from equiangular._validate import check_int
from equiangular.heads.functional import unit_normalize


class RandomFeatures(RebuiltModule):
    """relu(x R) with a fixed Gaussian R, (B, width) of (B, in_features), in the dtype of x.

    R survives the meta device: it is drawn again from its seed.

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
        make_generator(seed)  # checks the seed
        self.seed, like = seed, torch.empty(p, width, dtype=torch.float64)
        self._on_meta = like.is_meta
        self.register_buffer("matrix", like)
        if not like.is_meta:
            self.reset_parameters()

    def _made_tensors(self) -> dict[str, Tensor]:
        p, width = self.matrix.shape
        drawn = torch.randn(p, width, generator=make_generator(self.seed), dtype=torch.float64, device="cpu")
        return {"matrix": drawn / p**0.5}

    @property
    def width(self) -> int:
        """Number of random features."""
        return self.matrix.shape[1]

    def forward(self, x: Tensor) -> Tensor:
        """The random features of x."""
        return (x @ self.matrix.to(x)).relu_()


class KernelFeatures(nn.Module):
    """exp(b (cos(x, x_i) - 1)) with N fixed samples x_i: (B, N) of (B, p), in float32 at least.

    What a kernel's dual weights make of it is a small difference of large sums, so autocast is kept out as well.

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
        self.register_buffer("rows", _directions(rows))
        self.register_buffer("sharpness", rows.new_tensor(float(sharpness)))

    @property
    def width(self) -> int:
        """N."""
        return self.rows.shape[0]

    def forward(self, x: Tensor) -> Tensor:
        """The kernel of x with every sample."""
        with without_autocast(x):
            wide = x.to(torch.promote_types(x.dtype, torch.float32))
            cosines: Tensor = _directions(wide) @ self.rows.to(wide).T
            return ((cosines - 1) * self.sharpness.to(wide)).exp()


def _directions(x: Tensor) -> Tensor:
    """x / ||x||, (B, d), also where the norm is too small for :func:`unit_normalize`; zero for a zero row."""
    largest = x.abs().amax(-1, keepdim=True)
    return unit_normalize(x / torch.where(largest > 0, largest, 1))
