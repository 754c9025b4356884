"""The strongest rival of a fixed head: a learnable cosine classifier."""

from __future__ import annotations

from torch import Tensor, nn

from equiangular.heads.base import Head
from equiangular.heads.normalize import unit_normalize
from equiangular.heads.random_vectors import random_unit_vectors


class CosineHead(Head):
    """Logits = scale cos(h, w_k) with learnable w_k, normalised at every use; they start as random unit vectors.

    ``weight`` holds the vectors as they are learned, of any norm; :meth:`class_vectors` and :meth:`targets` give them
    normalised.

    Args:
        in_features: width of the incoming features.
        num_classes: K >= 2; 0 makes the head return its features.
        options: see :class:`Head`.

    Raises:
        ValueError: an argument out of its range.

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
