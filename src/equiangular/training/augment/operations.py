"""Operations that the policies choose from, by name, each image with a strength of its own; moving pixels."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from equiangular.training.augment import tone

_ONE = 1 << 16  # affine maps are computed in 1/65536 of a pixel, in integers: the same on every device


def gather_pixels(images: Tensor, rows: Tensor, columns: Tensor, *, outside: str = "zero") -> Tensor:
    """Take every pixel of the result from a place of its own.

    out[b, :, i, j] = images[b, :, rows[b, i, j], columns[b, i, j]]

    Images (B, C, H, W) of any dtype give (B, C, H', W'); rows and columns are int64 of shapes that broadcast to
    (B, H', W'). Outside the image lies ``"zero"``, or ``"edge"``, the closest pixel.

    Example:
        >>> image = torch.tensor([[[[1, 2], [3, 4]]]])
        >>> gather_pixels(image, torch.tensor([[[0], [1]]]), torch.tensor([[[1, 2]]])).tolist()
        [[[[2, 0], [4, 0]]]]
    """
    height, width = images.shape[2:]
    index = rows.clamp(0, height - 1) * width + columns.clamp(0, width - 1)
    flat = index.flatten(1)[:, None].expand(-1, images.shape[1], -1)
    taken = images.flatten(2).gather(2, flat).view(*images.shape[:2], *index.shape[1:])
    if outside == "edge":
        return taken
    inside = ((rows >= 0) & (rows < height)) & ((columns >= 0) & (columns < width))
    return taken * inside[:, None]


def affine(images: Tensor, matrix: Tensor) -> Tensor:
    """Affine map with the nearest pixel; what comes from outside is 0.

    The pixel at column x and row y comes from column floor(a (x + 1/2) + b (y + 1/2) + c) and row
    floor(d (x + 1/2) + e (y + 1/2) + f), Pillow's convention.

    ``matrix`` (B, 6) float64 has a, b, c, d, e, f for each image of (B, C, H, W) uint8.
    """
    a, b, c, d, e, f = matrix.T
    centred = torch.stack([a, b, c + (a + b) / 2, d, e, f + (d + e) / 2])
    a, b, c, d, e, f = (centred * _ONE + 0.5).floor().long().to(images.device)[:, :, None, None]
    y = torch.arange(images.shape[2], device=images.device)[:, None]
    x = torch.arange(images.shape[3], device=images.device)
    return gather_pixels(images, (d * x + e * y + f) >> 16, (a * x + b * y + c) >> 16)


SHEAR = 0.3  # tangent
TRANSLATE = 150 / 331  # share of the image's side; published as 150 pixels of 331
ROTATE = 30.0  # degrees
BLEND = 0.9  # factors 0.1 to 1.9
POSTERIZE = 4  # bits taken away
SOLARIZE = 256


def shear_x(images: Tensor, strength: Tensor) -> Tensor:
    """Shift row y by SHEAR * strength * y pixels."""
    return affine(images, _matrix(strength, b=SHEAR * strength))


def shear_y(images: Tensor, strength: Tensor) -> Tensor:
    """Shift column x by SHEAR * strength * x pixels."""
    return affine(images, _matrix(strength, d=SHEAR * strength))


def translate_x(images: Tensor, strength: Tensor) -> Tensor:
    """Shift sideways by whole pixels."""
    return affine(images, _matrix(strength, c=(TRANSLATE * images.shape[3] * strength).round()))


def translate_y(images: Tensor, strength: Tensor) -> Tensor:
    """Shift up or down by whole pixels."""
    return affine(images, _matrix(strength, f=(TRANSLATE * images.shape[2] * strength).round()))


def rotate(images: Tensor, strength: Tensor) -> Tensor:
    """Turn counterclockwise around the centre by ROTATE * strength degrees."""
    angle = torch.deg2rad(-ROTATE * strength)
    cos, sin = angle.cos(), angle.sin()
    y, x = images.shape[2] / 2, images.shape[3] / 2
    return affine(
        images, _matrix(strength, a=cos, b=sin, c=x - cos * x - sin * y, d=-sin, e=cos, f=y + sin * x - cos * y)
    )


def _matrix(like: Tensor, **entries: Tensor) -> Tensor:
    """(B, 6) entries a to f of affine maps; the identity where nothing is given."""
    one, zero = torch.ones_like(like), torch.zeros_like(like)
    identity = {"a": one, "b": zero, "c": zero, "d": zero, "e": one, "f": zero}
    return torch.stack(list((identity | entries).values()), 1)


def _factor(strength: Tensor) -> Tensor:
    return (1 + BLEND * strength).clamp(min=1 - BLEND)  # less would leave nothing of the image


# Every entry: images (B, C, H, W) uint8 and strengths (B,) float64 on the CPU -> images.
OPERATIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "identity": lambda images, strength: images,
    "shear_x": shear_x,
    "shear_y": shear_y,
    "translate_x": translate_x,
    "translate_y": translate_y,
    "rotate": rotate,
    "autocontrast": lambda images, strength: tone.autocontrast(images),
    "invert": lambda images, strength: 255 - images,
    "equalize": lambda images, strength: tone.equalize(images),
    "solarize": lambda images, strength: tone.solarize(images, (SOLARIZE * (1 - strength)).round().clamp(min=0)),
    "posterize": lambda images, strength: tone.posterize(images, (8 - (POSTERIZE * strength).round()).long().clamp(1)),
    "contrast": lambda images, strength: tone.contrast(images, _factor(strength)),
    "color": lambda images, strength: tone.saturation(images, _factor(strength)),
    "brightness": lambda images, strength: tone.brightness(images, _factor(strength)),
    "sharpness": lambda images, strength: tone.sharpness(images, _factor(strength)),
}
NAMES = tuple(OPERATIONS)
SIGNED = {"shear_x", "shear_y", "translate_x", "translate_y", "rotate"}
BLENDS = {"contrast", "color", "brightness", "sharpness"}


def apply_operations(images: Tensor, drawn: Tensor) -> Tensor:
    """Apply to each image its operations, one after the other; images with the same one are treated together.

    ``drawn`` (B, S, 2) float64 has the position in ``NAMES`` and the strength, for S operations in a row, best on the
    CPU, where looking at them stalls no device. Images (B, C, H, W) uint8 are not changed.
    """
    images = images.clone()
    for step in drawn.cpu().unbind(1):
        chosen, strength = step[:, 0].long(), step[:, 1]
        for operation in chosen.unique().tolist():
            if NAMES[operation] == "identity":
                continue
            rows = (chosen == operation).nonzero().flatten()
            index = rows.to(images.device)
            images[index] = OPERATIONS[NAMES[operation]](images[index], strength[rows])
    return images
