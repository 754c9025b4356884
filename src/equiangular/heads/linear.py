"""The rivals of a fixed frame: learnable linear and cosine classifiers, and vectors drawn once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from equiangular._random import make_generator
from equiangular.heads.base import Head
from equiangular.heads.functional import linear_init, unit_normalize

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from equiangular.heads.options import CommonOptions


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
    rows = torch.randn(num_classes, dim, generator=make_generator(seed), dtype=torch.float64, device="cpu")
    unit: Tensor = rows / torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    return unit


class RandomHead(Head):
    """Logits = scale cos(h, w_k) with frozen random unit w_k, a persistent buffer as in :class:`ETFHead`.

    It tells what the simplex adds to merely not learning the classifier.

    Arguments and errors are those of :class:`Head`.

    Example:
        >>> RandomHead(64, 10).head_parameters()
        0
    """

    def _initial_vectors(self, num_classes: int, like: Tensor) -> Tensor:
        return random_unit_vectors(num_classes, self.dim, seed=self.seed).to(like)


class CosineHead(Head):
    """Logits = scale cos(h, w_k) with learnable w_k, normalised at every use; they start as random unit vectors.

    ``weight`` holds the vectors as they are learned, of any norm; :meth:`class_vectors` and :meth:`targets` give them
    normalised.

    Arguments and errors are those of :class:`Head`.

    Example:
        >>> CosineHead(64, 10).head_parameters()
        640

    Source: Wang et al., "NormFace: L2 hypersphere embedding for face verification", ACM Multimedia 2017.
    """

    def _initial_vectors(self, num_classes: int, like: Tensor) -> Tensor:
        return random_unit_vectors(num_classes, self.dim, seed=self.seed).to(like)

    def _set_vectors(self, vectors: Tensor) -> None:
        self.register_parameter("weight", nn.Parameter(vectors))

    def class_vectors(self) -> Tensor:
        """The learned vectors, normalised: (K, dim)."""
        return unit_normalize(self.weight)


class LinearHead(Head):
    """Logits = W x + b with learnable W and b, no normalisation and scale 1: what ``nn.Linear`` computes.

    Initial values have the distribution of ``nn.Linear``'s and come from a local generator.

    Args:
        bias: whether to learn a bias (K,).
        normalize: whether to normalise the features.
        in_features, num_classes, options: see :class:`Head`.

    Raises:
        ValueError: an argument out of its range.

    Example:
        >>> LinearHead(64, 10).head_parameters()
        650
    """

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        *,
        bias: bool = True,
        normalize: bool = False,
        **options: Unpack[CommonOptions],
    ) -> None:
        self.has_bias = bool(bias)
        super().__init__(in_features, num_classes, normalize=normalize, **options)

    def _initial_vectors(self, num_classes: int, like: Tensor) -> Tensor:
        return linear_init(num_classes, self.dim, make_generator(self.seed))[0].to(like)

    def _set_vectors(self, vectors: Tensor) -> None:
        self.register_parameter("weight", nn.Parameter(vectors))
        if self.has_bias:
            bias = linear_init(self.num_classes, self.dim, make_generator(self.seed))[1].to(vectors)
            self.register_parameter("bias", nn.Parameter(bias))
