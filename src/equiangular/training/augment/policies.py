"""RandAugment and AutoAugment: operations drawn for each image."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from equiangular._validate import check_choice, check_int
from equiangular.training.augment.operations import BLENDS, NAMES, SIGNED, apply_operations

_CIFAR10 = """
invert 1 - contrast 2 6          | rotate 7 2 translate_x 3 9       | sharpness 8 1 sharpness 9 3
shear_y 5 8 translate_y 7 9      | autocontrast 5 - equalize 9 -    | shear_y 2 7 posterize 3 7
color 4 3 brightness 6 7         | sharpness 3 9 brightness 7 9     | equalize 6 - equalize 5 -
contrast 6 7 sharpness 6 5       | color 7 7 translate_x 5 8        | equalize 3 - autocontrast 4 -
translate_y 4 3 sharpness 2 6    | brightness 9 6 color 2 8         | solarize 5 2 invert 0 -
equalize 2 - autocontrast 6 -    | equalize 2 - equalize 6 -        | color 9 9 equalize 6 -
autocontrast 8 - solarize 2 8    | brightness 1 3 color 7 0         | solarize 4 5 autocontrast 9 -
translate_y 9 9 translate_y 7 9  | autocontrast 9 - solarize 8 3    | equalize 8 - invert 1 -
translate_y 7 9 autocontrast 9 -
"""
_SVHN = """
shear_x 9 4 invert 2 -           | shear_y 9 8 invert 7 -           | equalize 6 - solarize 6 6
invert 9 - equalize 6 -          | equalize 6 - rotate 9 3          | shear_x 9 4 autocontrast 8 -
shear_y 9 8 invert 4 -           | shear_y 9 5 solarize 2 6         | invert 9 - autocontrast 8 -
equalize 6 - rotate 9 3          | shear_x 9 4 solarize 3 3         | shear_y 8 8 invert 7 -
equalize 9 - translate_y 6 6     | invert 9 - equalize 6 -          | contrast 3 3 rotate 8 4
invert 8 - translate_y 0 2       | shear_y 7 6 solarize 4 8         | invert 6 - rotate 8 4
shear_y 3 7 translate_x 9 3      | shear_x 1 6 invert 6 -           | solarize 7 2 translate_y 6 7
shear_y 8 4 invert 8 -           | shear_x 7 9 translate_y 8 3      | shear_y 8 5 autocontrast 7 -
shear_x 7 2 invert 1 -
"""
_IMAGENET = """
posterize 4 8 rotate 6 9         | solarize 6 5 autocontrast 6 -    | equalize 8 - equalize 6 -
posterize 6 7 posterize 6 6      | equalize 4 - solarize 2 4        | equalize 4 - rotate 8 8
solarize 6 3 equalize 6 -        | posterize 8 5 equalize 10 -      | rotate 2 3 solarize 6 8
equalize 6 - posterize 4 6       | rotate 8 8 color 4 0             | rotate 4 9 equalize 6 -
equalize 0 - equalize 8 -        | invert 6 - equalize 10 -         | color 6 4 contrast 10 8
rotate 8 8 color 10 2            | color 8 8 solarize 8 7           | sharpness 4 7 invert 6 -
shear_x 6 5 equalize 10 -        | color 4 0 equalize 6 -           | equalize 4 - solarize 2 4
solarize 6 5 autocontrast 6 -    | invert 6 - equalize 10 -         | color 6 4 contrast 10 8
equalize 8 - equalize 6 -
"""

SubPolicy = tuple[tuple[str, float, int], ...]


def _read(text: str) -> tuple[SubPolicy, ...]:
    entries = (entry.split() for entry in text.replace("\n", "|").split("|"))
    return tuple(
        tuple((w[i], int(w[i + 1]) / 10, int(w[i + 2].replace("-", "0"))) for i in (0, 3)) for w in entries if w
    )


POLICIES = {"cifar10": _read(_CIFAR10), "imagenet": _read(_IMAGENET), "svhn": _read(_SVHN)}


@dataclass(frozen=True)
class AutoAugment:
    """For each image one of 25 sub-policies: two operations, each done with its probability at its magnitude.

    Magnitude m of 0..9 is strength m / 9; the factors of colour, contrast, brightness and sharpness run from 0.1 (0) to
    1.9 (9), as in Table 6 of the publication. The sign of a geometric operation is drawn. ``policy`` is named by the
    data it was searched on: ``"cifar10"``, ``"imagenet"`` or ``"svhn"``.

    Source: Cubuk et al., AutoAugment: learning augmentation strategies from data, CVPR 2019, Tables 6 to 9.
    """

    policy: str = "cifar10"

    def __post_init__(self) -> None:
        check_choice(self.policy, POLICIES, "the policy of autoaugment")

    def draw(self, num: int, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """Operation (the identity where it is not done) and signed strength, (num, 2, 2) float64."""
        pairs = [
            [(NAMES.index(n), p, 2 * m / 9 - 1 if n in BLENDS else m / 9) for n, p, m in pair]
            for pair in POLICIES[self.policy]
        ]
        table = torch.tensor(pairs, dtype=torch.float64)
        chosen, probability, strength = table[torch.randint(len(table), (num,), generator=generator)].unbind(-1)
        done = torch.rand(num, 2, generator=generator, dtype=torch.float64) < probability
        sign = 1 - 2 * torch.randint(2, (num, 2), generator=generator)
        signed = torch.tensor([name in SIGNED for name in NAMES])[chosen.long()]
        chosen = torch.where(done, chosen, NAMES.index("identity"))
        return torch.stack([chosen, strength * torch.where(signed, sign, 1)], -1)

    def apply(self, images: Tensor, drawn: Tensor) -> Tensor:
        """Apply the drawn operations to (B, C, H, W) uint8."""
        return apply_operations(images, drawn)


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
