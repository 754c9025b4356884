"""The classical baseline: a learnable linear classifier."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from equiangular._random import make_generator
from equiangular.heads.base import Head
from equiangular.heads.projection import linear_init

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from equiangular.heads.options import CommonOptions


class LinearHead(Head):
    """Logits = W x + b with learnable W and b, no normalisation and scale 1: what ``nn.Linear`` computes.

    Initial values have the distribution of ``nn.Linear``'s and come from a local generator.

    Args:
        in_features: width of the incoming features.
        num_classes: K >= 2; 0 makes the head return its features.
        bias: whether to learn a bias (K,).
        normalize: whether to normalise the features.
        options: see :class:`Head`.

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
