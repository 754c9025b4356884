"""The operations that the policies choose from, by name, each with a strength of its own for every image.

A strength of 1 is the end of the range in Table 6 of Cubuk et al. 2019 (AutoAugment), 0 changes nothing, and a sign
gives the direction where there are two. Larger strengths go further; what would leave its meaning is clipped.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from equiangular.training.augment import tone
from equiangular.training.augment.pixels import affine

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
    "invert": lambda images, strength: tone.invert(images),
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

    Args:
        images: (B, C, H, W) uint8.
        drawn: (B, S, 2) float64: position in ``NAMES`` and strength, for S operations in a row. Best on the CPU, where
            looking at them stalls no device.

    Returns:
        (B, C, H, W) uint8; the input is not changed.
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
