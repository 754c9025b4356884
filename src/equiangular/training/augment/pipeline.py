"""Augmentations in a row, read from a text such as ``crop,flip,cutout``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from equiangular.training.augment.policies import AutoAugment, RandAugment
from equiangular.training.augment.steps import Crop, Cutout, Flip, ResizedCrop, parse_steps, step_text

Draws = dict[str, Tensor]

STEPS: dict[str, Callable[..., Any]] = {
    "crop": Crop,
    "resizedcrop": ResizedCrop,
    "flip": Flip,
    "randaugment": RandAugment,
    "autoaugment": AutoAugment,
    "cutout": Cutout,
}


@dataclass(frozen=True)
class Augmentation:
    """What happens to training images, in the order written.

    The text names steps, separated by commas, each with its numbers after colons:

    - ``crop``, ``crop:4``, ``crop:4:edge``: pad (by an eighth of the height, if no number is given) and crop at random;
    - ``resizedcrop``, ``resizedcrop:0.08``: a random part, from that share of the area on, at the full size;
    - ``flip``, ``flip:0.5``: mirror with that probability;
    - ``randaugment``, ``randaugment:2:9``: number of operations and magnitude (10 is AutoAugment's end of the range);
    - ``autoaugment``, ``autoaugment:cifar10``: or ``imagenet``, ``svhn``;
    - ``cutout``, ``cutout:16``: hide a square of that many pixels (half the height, if no number is given);
    - ``none``: nothing.

    Example:
        >>> augment = Augmentation.parse("crop,flip")
        >>> images = torch.zeros(4, 3, 32, 32, dtype=torch.uint8)
        >>> draws = augment.draw(4, (3, 32, 32), torch.Generator().manual_seed(0))
        >>> augment.apply(images, draws).shape, str(augment)
        (torch.Size([4, 3, 32, 32]), 'crop,flip')
    """

    steps: tuple[tuple[str, Any], ...] = ()  # pairs of name and step

    @classmethod
    def parse(cls, text: str) -> Augmentation:
        """Read the text form.

        Raises:
            ValueError: an unknown step (the closest one is suggested), one named twice, or numbers out of range.
        """
        return cls(parse_steps(text, STEPS, what="augmentation"))

    def __str__(self) -> str:
        return ",".join(step_text(*step) for step in self.steps) or "none"

    def draw(self, num: int, image_shape: tuple[int, ...], generator: torch.Generator) -> Draws:
        """Draw what happens to each of ``num`` images: the whole global batch, whatever part a process treats.

        For ``image_shape`` (C, H, W) and a CPU generator; CPU tensors by step, each with leading dimension ``num``.

        Raises:
            ValueError: the inputs are not images.
        """
        if self.steps and len(image_shape) != 3:
            raise ValueError(
                f"augmentation {str(self)!r} is for images (C, H, W), got inputs of shape {tuple(image_shape)}. "
                "Use 'none' for tables and texts."
            )
        return {name: step.draw(num, tuple(image_shape), generator) for name, step in self.steps}

    def apply(self, images: Tensor, draws: Draws) -> Tensor:
        """Augment a batch (B, C, H, W) uint8 on any device into another of the same shape; the input is not changed.

        ``draws`` of these B images are those of :meth:`draw` and :func:`take_draws`. Leave them on the CPU: what a step
        needs elsewhere it moves.

        Raises:
            ValueError: images that are not uint8, or draws of another number of images.
        """
        if self.steps and (images.dtype != torch.uint8 or images.ndim != 4):
            raise ValueError(
                f"augmentation {str(self)!r} takes uint8 images (B, C, H, W), got {images.dtype} of shape "
                f"{tuple(images.shape)}. Augment before the conversion to floating point."
            )
        for name, step in self.steps:
            if len(draws[name]) != len(images):
                raise ValueError(f"got draws for {len(draws[name])} images and {len(images)} images; slice the draws.")
            images = step.apply(images, draws[name])
        return images


def take_draws(draws: Draws, index: Tensor | slice) -> Draws:
    """The draws of the images at ``index`` of a global batch: a process's slice, or the partners in mixup."""
    return {name: drawn[index] for name, drawn in draws.items()}
