"""Cutout: a square of each image is hidden."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from equiangular._validate import check_int

GREY = 128


@dataclass(frozen=True)
class Cutout:
    """Hide a square around a uniformly drawn pixel; what of it lies outside the image is lost.

    The publication fills with 0 after standardisation, the mean of the data; here the images are bytes, and the square
    is filled with middle grey.

    Attributes:
        length: side of the square in pixels; 0 stands for half the image's height: 16 for CIFAR-10, as published.

    Source: DeVries and Taylor, Improved regularization of convolutional neural networks with cutout, 2017.
    """

    length: int = 0

    def __post_init__(self) -> None:
        check_int(self.length, "the length of cutout", minimum=0, hint="Pixels; 'cutout:16' hides 16 x 16.")

    def draw(self, num: int, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """Row and column of the centres, (num, 2) int64."""
        return torch.cat([torch.randint(size, (num, 1), generator=generator) for size in shape[1:]], 1)

    def apply(self, images: Tensor, drawn: Tensor) -> Tensor:
        """Hide the square of every image of (B, C, H, W) uint8."""
        length = self.length or max(1, images.shape[2] // 2)
        start = (drawn.to(images.device) - length // 2)[:, :, None]
        row, column = start.unbind(1)
        y = torch.arange(images.shape[2], device=images.device) - row
        x = torch.arange(images.shape[3], device=images.device) - column
        hidden = ((y >= 0) & (y < length))[:, None, :, None] & ((x >= 0) & (x < length))[:, None, None, :]
        return images.masked_fill(hidden, GREY)
