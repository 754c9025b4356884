"""Operations that the policies choose from, by name, each image with a strength of its own.

Images are uint8. Changes of tone equal Pillow's ``ImageOps`` and ``ImageEnhance``, to one grey level where Pillow's own
rounding errors show. All but two treat every value 0..255 of a channel alike: a table (B, C, 256) and one lookup.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

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


def apply_table(images: Tensor, table: Tensor) -> Tensor:
    """Replace value v of channel c by table[b, c, v]; a table (B, C or 1, 256) is truncated and clipped to 0..255."""
    table = table.clamp(0, 255).to(torch.uint8).expand(-1, images.shape[1], -1)
    return table.gather(2, images.flatten(2).long()).view(images.shape)


def solarize(images: Tensor, threshold: Tensor) -> Tensor:
    """Invert values from ``threshold`` (B,) on."""
    values = torch.arange(256, device=images.device)
    kept = values < threshold.to(images.device)[:, None, None]
    return apply_table(images, torch.where(kept, values, 255 - values))


def posterize(images: Tensor, bits: Tensor) -> Tensor:
    """Keep the upper ``bits`` (B,) int64, 1 to 8, of every value."""
    return images & _each(256 - (1 << (8 - bits)), images).to(torch.uint8)


def brightness(images: Tensor, factor: Tensor) -> Tensor:
    """factor * v; ``factor`` is (B,), 1 changes nothing, 0 is black."""
    return apply_table(images, _blend_values(torch.zeros_like(factor), factor, images))


def contrast(images: Tensor, factor: Tensor) -> Tensor:
    """m + factor * (v - m) with the mean grey level m of each image; ``factor`` is (B,), 1 changes nothing."""
    grey = luminance(images).long().flatten(1)
    mean = (2 * grey.sum(1) + grey.shape[1]) // (2 * grey.shape[1])
    return apply_table(images, _blend_values(mean, factor, images))


def autocontrast(images: Tensor) -> Tensor:
    """Stretch every channel so that its lowest value becomes 0 and its highest 255; a flat channel stays."""
    low, high = (f(images.flatten(2), 2, keepdim=True).long() for f in (torch.amin, torch.amax))
    values = torch.arange(256, device=images.device)
    return apply_table(images, torch.where(high > low, (values - low) * 255 // (high - low).clamp(min=1), values))


def equalize(images: Tensor) -> Tensor:
    """Make the histogram of every channel as level as its values allow (Pillow's ``ImageOps.equalize``)."""
    flat = images.flatten(2).long()
    counts = torch.zeros(*flat.shape[:2], 256, dtype=torch.long, device=images.device)
    counts.scatter_add_(2, flat, torch.ones_like(flat))
    step = (flat.shape[2] - counts.gather(2, flat.amax(2, keepdim=True))) // 255
    table = (step // 2 + counts.cumsum(2) - counts) // step.clamp(min=1)
    return apply_table(images, torch.where(step > 0, table, torch.arange(256, device=images.device)))


def saturation(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with the grey image; ``factor`` is (B,), 1 changes nothing, 0 is grey."""
    return _blend(luminance(images)[:, None], images, factor)


def sharpness(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with the smoothed image; ``factor`` is (B,), 1 changes nothing, 0 is smooth, above 1 sharper.

    Smoothing weights the 3 x 3 neighbourhood 1 and the pixel itself 5, over 13; the border stays.
    """
    if min(images.shape[2:]) < 3:
        return images
    values = images.float()
    lines = values[..., :-2, :] + values[..., 1:-1, :] + values[..., 2:, :]
    total = lines[..., :-2] + lines[..., 1:-1] + lines[..., 2:] + 4 * values[..., 1:-1, 1:-1]
    smooth = values.clone()
    smooth[..., 1:-1, 1:-1] = (total / 13).round()
    return _blend(smooth, images, factor)


def luminance(images: Tensor) -> Tensor:
    """Grey levels (B, H, W) uint8: 0.299 R + 0.587 G + 0.114 B in integers (ITU-R 601); else the first channel."""
    if images.shape[1] != 3:
        return images[:, 0]
    red, green, blue = images.int().unbind(1)
    return ((19595 * red + 38470 * green + 7471 * blue + 0x8000) >> 16).to(torch.uint8)


def _each(values: Tensor, images: Tensor) -> Tensor:
    return values.to(images.device)[:, None, None, None]


def _blend_values(base: Tensor, factor: Tensor, images: Tensor) -> Tensor:
    """The table (B, 1, 256) of base + factor * (v - base)."""
    base, factor = (t.to(images.device, torch.float32)[:, None, None] for t in (base, factor))
    return base + factor * (torch.arange(256, device=images.device) - base)


def _blend(base: Tensor, images: Tensor, factor: Tensor) -> Tensor:
    start = base.float()
    mixed = start + _each(factor.float(), images) * (images.float() - start)
    return mixed.clamp(0, 255).to(torch.uint8)


SHEAR = 0.3  # tangent: row (or column) number n is shifted by SHEAR * strength * n pixels
TRANSLATE = 150 / 331  # share of the image's side; published as 150 pixels of 331
ROTATE = 30.0  # degrees
BLEND = 0.9  # factors 0.1 to 1.9
POSTERIZE = 4  # bits taken away
SOLARIZE = 256


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


def _shift(side: int, strength: Tensor) -> Tensor:
    return (TRANSLATE * side * strength).round()  # whole pixels


def _factor(strength: Tensor) -> Tensor:
    return (1 + BLEND * strength).clamp(min=1 - BLEND)  # less would leave nothing of the image


# Every entry: images (B, C, H, W) uint8 and strengths (B,) float64 on the CPU -> images.
OPERATIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "identity": lambda images, strength: images,
    "shear_x": lambda images, strength: affine(images, _matrix(strength, b=SHEAR * strength)),
    "shear_y": lambda images, strength: affine(images, _matrix(strength, d=SHEAR * strength)),
    "translate_x": lambda images, strength: affine(images, _matrix(strength, c=_shift(images.shape[3], strength))),
    "translate_y": lambda images, strength: affine(images, _matrix(strength, f=_shift(images.shape[2], strength))),
    "rotate": rotate,
    "autocontrast": lambda images, strength: autocontrast(images),
    "invert": lambda images, strength: 255 - images,
    "equalize": lambda images, strength: equalize(images),
    "solarize": lambda images, strength: solarize(images, (SOLARIZE * (1 - strength)).round().clamp(min=0)),
    "posterize": lambda images, strength: posterize(images, (8 - (POSTERIZE * strength).round()).long().clamp(1)),
    "contrast": lambda images, strength: contrast(images, _factor(strength)),
    "color": lambda images, strength: saturation(images, _factor(strength)),
    "brightness": lambda images, strength: brightness(images, _factor(strength)),
    "sharpness": lambda images, strength: sharpness(images, _factor(strength)),
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
