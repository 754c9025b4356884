"""Single steps: their text form, names separated by commas with parameters after colons; flip, crops, cutout."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from equiangular._validate import check_choice, check_int, did_you_mean
from equiangular.training.augment.operations import gather_pixels


def parse_steps(text: str, steps: Mapping[str, Callable[..., Any]], *, what: str) -> tuple[tuple[str, Any], ...]:
    """Read ``"name:1:2,other"`` with the given dataclasses; their fields say what the parameters are.

    ``"none"`` and an empty text are no step; ``what`` is what a step is called in messages.
    """
    words = [word.strip() for word in str(text).split(",")]
    if words in (["none"], [""]):
        return ()
    parsed: dict[str, Any] = {}
    for word in words:
        name, *given = (part.strip() for part in word.split(":"))
        if name == "none":
            raise ValueError(f"{what} 'none' stands alone, got {text!r}. Leave it out, or the others.")
        if name not in steps:
            known = [*steps, "none"]
            hint = did_you_mean(name, known)
            raise ValueError(
                f"unknown {what} {name!r} in {text!r}{hint} There are: {', '.join(known)}; separated by commas."
            )
        if name in parsed:
            raise ValueError(f"{what} {name!r} is named twice in {text!r}; once is enough.")
        parsed[name] = _make(steps[name], name, given, what)
    return tuple(parsed.items())


def step_text(name: str, step: Any) -> str:
    """The shortest text that gives this step: trailing parameters at their defaults are left out."""
    values = [(getattr(step, field.name), field.default) for field in fields(step)]
    while values and values[-1][0] == values[-1][1]:
        values.pop()
    return ":".join([name, *(f"{value:g}" if isinstance(value, float) else str(value) for value, _ in values)])


def _make(step: Callable[..., Any], name: str, given: list[str], what: str) -> Any:
    known = fields(step)  # type: ignore[arg-type]
    if len(given) > len(known):
        listed = ":".join([name, *(field.name.upper() for field in known)])
        raise ValueError(f"{what} {name!r} takes at most {len(known)} parameter(s), got {len(given)}. Write {listed}.")
    values = []
    for field, text in zip(known, given, strict=False):
        kind = type(field.default)
        try:
            values.append(kind(text))
        except ValueError:
            number = "a whole number" if kind is int else "a number"
            raise ValueError(f"{what} {name!r}: {field.name} must be {number}, got {text!r}.") from None
    return step(*values)


@dataclass(frozen=True)
class Flip:
    """Mirror an image left to right, with ``probability`` in [0, 1]."""

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


_ATTEMPTS = 10  # of the published procedure, before it falls back to the centre


@dataclass(frozen=True)
class Crop:
    """Pad on every side and cut the original size out at a random place (He et al. 2016, section 4.2).

    Attributes:
        padding: pixels on each side; 0 stands for an eighth of the image's height, 4 for CIFAR.
        outside: ``"zero"`` pads with black, ``"edge"`` repeats the border, which suits a white ground.
    """

    padding: int = 0
    outside: str = "zero"

    def __post_init__(self) -> None:
        check_int(self.padding, "the padding of crop", minimum=0, hint="Pixels; 'crop:4' pads by 4.")
        check_choice(self.outside, ("zero", "edge"), "the padding of crop")

    def draw(self, num: int, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """Offsets of row and column, (num, 2) int64 in [-padding, padding]."""
        reach = self.padding or max(1, shape[1] // 8)
        return torch.randint(-reach, reach + 1, (num, 2), generator=generator)

    def apply(self, images: Tensor, drawn: Tensor) -> Tensor:
        """Shift every image of (B, C, H, W) by its offset."""
        top, left = drawn.to(images.device)[:, :, None, None].unbind(1)
        rows = top + torch.arange(images.shape[2], device=images.device)[:, None]
        columns = left + torch.arange(images.shape[3], device=images.device)
        return gather_pixels(images, rows, columns, outside=self.outside)


@dataclass(frozen=True)
class ResizedCrop:
    """Cut out a random part and bring it back to the size of the image, bilinearly (Szegedy et al. 2015, section 6).

    The part has a uniform share of the area in [smallest, 1] and a log-uniform aspect ratio in [3/4, 4/3]; where ten
    draws do not fit into the image, it is the largest centred part with such a ratio. ``smallest`` lies in (0, 1].
    """

    smallest: float = 0.08  # for ImageNet

    def __post_init__(self) -> None:
        if not 0 < self.smallest <= 1:
            raise ValueError(f"the smallest share of resizedcrop must lie in (0, 1], got {self.smallest!r}.")

    def draw(self, num: int, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """Top, left, height and width of the part in pixels, (num, 4) int64."""
        height, width = shape[1:]
        uniform = torch.rand(num, _ATTEMPTS, 4, generator=generator, dtype=torch.float64)
        area = height * width * (self.smallest + (1 - self.smallest) * uniform[..., 0])
        ratio = (math.log(4 / 3) * (2 * uniform[..., 1] - 1)).exp()
        h, w = (area / ratio).sqrt().round().long(), (area * ratio).sqrt().round().long()
        fits = (h >= 1) & (h <= height) & (w >= 1) & (w <= width)
        first = fits.long().argmax(1, keepdim=True)  # the first that fits
        h, w = h.gather(1, first), w.gather(1, first)
        wide, tall = min(width, round(height * 4 / 3)), min(height, round(width * 4 / 3))
        none = ~fits.any(1, keepdim=True)
        h, w = torch.where(none, tall, h), torch.where(none, wide, w)
        place = uniform[..., 2:].gather(1, first[..., None].expand(-1, 1, 2))[:, 0]
        top, left = (place[:, :1] * (height - h + 1)).long(), (place[:, 1:] * (width - w + 1)).long()
        top, left = torch.where(none, (height - h) // 2, top), torch.where(none, (width - w) // 2, left)
        return torch.cat([top, left, h, w], 1)

    def apply(self, images: Tensor, drawn: Tensor) -> Tensor:
        """Resize the part of every image of (B, C, H, W) uint8 to H x W."""
        height, width = images.shape[2:]
        top, left, h, w = drawn.to(images.device).float()[:, :, None].unbind(1)
        y = _positions(top, h, height, images.device)
        x = _positions(left, w, width, images.device)
        grid = torch.stack(torch.broadcast_tensors(x[:, None, :], y[:, :, None]), -1)
        taken = F.grid_sample(images.float(), grid, padding_mode="border", align_corners=False)
        return taken.round().clamp(0, 255).to(torch.uint8)


def _positions(start: Tensor, length: Tensor, size: int, device: torch.device) -> Tensor:
    """Where ``size`` pixels come from within [start, start + length), in the coordinates of ``grid_sample``."""
    centre = (torch.arange(size, device=device) + 0.5) * length / size - 0.5
    inside = start + torch.minimum(centre.clamp(min=0), length - 1)
    return (2 * inside + 1) / size - 1


GREY = 128


@dataclass(frozen=True)
class Cutout:
    """Hide a square around a uniformly drawn pixel; what of it lies outside the image is lost.

    The publication fills with 0 after standardisation, the mean of the data; here the images are bytes, and the square
    is filled with middle grey. Its side is ``length`` pixels; 0 stands for half the image's height: 16 for CIFAR-10, as
    published.

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
