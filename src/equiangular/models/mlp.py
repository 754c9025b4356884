"""A multilayer perceptron for tables and texts."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from equiangular._validate import check_int


class MLP(nn.Module):
    """Linear, batch normalisation and ReLU for each hidden layer; the last hidden layer is the features.

    Args:
        in_features: number of inputs; images are flattened.
        hidden: sizes of the hidden layers, at least one.

    Attributes:
        num_features: size of the features.

    Shapes:
        (B, in_features) or (B, ...) with that many entries, floating point, to (B, num_features), not negative.

    Raises:
        ValueError: a size below 1, or no hidden layer.

    Example:
        >>> import torch
        >>> MLP(4, hidden=(16, 8))(torch.zeros(2, 4)).shape
        torch.Size([2, 8])
    """

    def __init__(self, in_features: int, hidden: Sequence[int] = (128, 64)) -> None:
        super().__init__()
        if len(hidden) == 0:
            raise ValueError("hidden must name at least one layer, got none; (128, 64) is the default.")
        sizes = [check_int(size, "the size of a layer", minimum=1) for size in (in_features, *hidden)]
        layers: list[nn.Module] = [nn.Flatten()]
        for before, after in pairwise(sizes):
            layers += [nn.Linear(before, after, bias=False), nn.BatchNorm1d(after), nn.ReLU()]
        self.layers = nn.Sequential(*layers)
        self.num_features = sizes[-1]

    def forward(self, x: Tensor) -> Tensor:
        """Inputs (B, ...) to features (B, num_features)."""
        return self.layers(x)
