"""Horizontal mirror images."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Flip:
    """Mirror an image left to right.

    Attributes:
        probability: of doing so, in [0, 1].
    """

    probability: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.probability <= 1:
            raise ValueError(f"the probability of flip must lie in [0, 1], got {self.probability!r}.")

    def draw(self, num: int, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """Which images are mirrored, (num,) bool."""
        return torch.rand(num, generator=generator) < self.probability

    def apply(self, images: Tensor, drawn: Tensor) -> Tensor:
        """Mirror the chosen images of (B, C, H, W)."""
        return torch.where(drawn.to(images.device)[:, None, None, None], images.flip(3), images)
