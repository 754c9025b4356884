"""RandAugment: a few operations drawn for each image, all at one strength."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from equiangular._validate import check_int
from equiangular.training.augment.operations import BLENDS, NAMES, SIGNED, apply_operations

# The 14 of the publication: all but the inversion.
CHOICES = tuple(name for name in NAMES if name != "invert")


@dataclass(frozen=True)
class RandAugment:
    """``number`` operations in a row for each image, each drawn uniformly from 14, at strength ``magnitude`` / 10.

    Where an operation has two directions (geometry, and the factors of colour, contrast, brightness and sharpness
    around 1), the sign is drawn as well, so that a larger magnitude always changes more.

    Attributes:
        number: N of the publication.
        magnitude: M of the publication, 0 to 30; 10 is the end of AutoAugment's ranges, beyond it they are exceeded.

    Source: Cubuk et al., RandAugment: practical automated data augmentation with a reduced search space, NeurIPS 2020.
    """

    number: int = 2
    magnitude: float = 9.0

    def __post_init__(self) -> None:
        check_int(self.number, "the number of operations of randaugment", minimum=1)
        if not 0 <= self.magnitude <= 30:
            raise ValueError(f"the magnitude of randaugment must lie in [0, 30], got {self.magnitude!r}.")

    def draw(self, num: int, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """Operation and signed strength, (num, number, 2) float64."""
        table = torch.tensor([NAMES.index(name) for name in CHOICES])
        chosen = table[torch.randint(len(CHOICES), (num, self.number), generator=generator)]
        sign = 1 - 2 * torch.randint(2, (num, self.number), generator=generator)
        two_sided = torch.tensor([name in SIGNED | BLENDS for name in NAMES])[chosen]
        strength = self.magnitude / 10 * torch.where(two_sided, sign, 1)
        return torch.stack([chosen.double(), strength.double()], -1)

    def apply(self, images: Tensor, drawn: Tensor) -> Tensor:
        """Apply the drawn operations to (B, C, H, W) uint8."""
        return apply_operations(images, drawn)
