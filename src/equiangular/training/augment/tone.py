"""Changes of brightness and colour of uint8 images, each image by an amount of its own.

All but two treat every value 0..255 of a channel alike, so they are tables (B, C, 256) and one lookup. Results equal
Pillow's ``ImageOps`` and ``ImageEnhance``, to one grey level where Pillow's own rounding errors show.
"""

from __future__ import annotations

import torch
from torch import Tensor


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
