"""The frozen random baseline: unit vectors in directions drawn once."""

from __future__ import annotations

import torch
from torch import Tensor

from equiangular._random import make_generator
from equiangular.heads.base import Head


def random_unit_vectors(num_classes: int, dim: int, *, seed: int) -> Tensor:
    """K directions drawn uniformly from the sphere, (K, d) float64 on the CPU: normalised Gaussian rows.

    Args:
        num_classes: K.
        dim: d.
        seed: seed of a local CPU generator.

    Raises:
        ValueError: a bad seed.

    Example:
        >>> float(random_unit_vectors(5, 3, seed=0).norm(dim=1).sum())
        5.0...
    """
    rows = torch.randn(num_classes, dim, generator=make_generator(seed), dtype=torch.float64)
    unit: Tensor = rows / torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    return unit


class RandomHead(Head):
    """Logits = scale cos(h, w_k) with frozen random unit w_k, a persistent buffer as in :class:`ETFHead`.

    It tells what the simplex adds to merely not learning the classifier.

    Args:
        in_features: width of the incoming features.
        num_classes: K >= 2; 0 makes the head return its features.
        options: see :class:`Head`.

    Raises:
        ValueError: an argument out of its range.

    Example:
        >>> RandomHead(64, 10).head_parameters()
        0
    """

    def _initial_vectors(self, num_classes: int, like: Tensor) -> Tensor:
        return random_unit_vectors(num_classes, self.dim, seed=self.seed).to(like)
