"""AutoAugment: sub-policies of two operations each that were searched for on CIFAR-10, SVHN and ImageNet."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from equiangular._validate import check_choice
from equiangular.training.augment.operations import BLENDS, NAMES, SIGNED, apply_operations
from equiangular.training.augment.policies import POLICIES


@dataclass(frozen=True)
class AutoAugment:
    """For each image one of 25 sub-policies: two operations, each done with its probability at its magnitude.

    Magnitude m of 0..9 is strength m / 9; the factors of colour, contrast, brightness and sharpness run from 0.1 (0) to
    1.9 (9), as in Table 6 of the publication. The sign of a geometric operation is drawn.

    Attributes:
        policy: ``"cifar10"``, ``"imagenet"`` or ``"svhn"``, by the data it was searched on.

    Source: Cubuk et al., AutoAugment: learning augmentation strategies from data, CVPR 2019, Tables 6 to 9.
    """

    policy: str = "cifar10"

    def __post_init__(self) -> None:
        check_choice(self.policy, POLICIES, "the policy of autoaugment")

    def draw(self, num: int, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """Operation (the identity where it is not done) and signed strength, (num, 2, 2) float64."""
        table = torch.tensor(
            [
                [(NAMES.index(name), probability, _strength(name, m)) for name, probability, m in pair]
                for pair in POLICIES[self.policy]
            ],
            dtype=torch.float64,
        )
        chosen, probability, strength = table[torch.randint(len(table), (num,), generator=generator)].unbind(-1)
        done = torch.rand(num, 2, generator=generator, dtype=torch.float64) < probability
        sign = 1 - 2 * torch.randint(2, (num, 2), generator=generator)
        signed = torch.tensor([name in SIGNED for name in NAMES])[chosen.long()]
        chosen = torch.where(done, chosen, NAMES.index("identity"))
        return torch.stack([chosen, strength * torch.where(signed, sign, 1)], -1)

    def apply(self, images: Tensor, drawn: Tensor) -> Tensor:
        """Apply the drawn operations to (B, C, H, W) uint8."""
        return apply_operations(images, drawn)


def _strength(name: str, magnitude: int) -> float:
    return 2 * magnitude / 9 - 1 if name in BLENDS else magnitude / 9
