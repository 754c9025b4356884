"""Moving pixels: one gather for crops and for affine maps."""

from __future__ import annotations

import torch
from torch import Tensor

_ONE = 1 << 16  # affine maps are computed in 1/65536 of a pixel, in integers: the same on every device


def gather_pixels(images: Tensor, rows: Tensor, columns: Tensor, *, outside: str = "zero") -> Tensor:
    """Take every pixel of the result from a place of its own.

    out[b, :, i, j] = images[b, :, rows[b, i, j], columns[b, i, j]]

    Args:
        images: (B, C, H, W), any dtype.
        rows: int64, (B, H', W') or a shape that broadcasts to it, such as (B, H', 1).
        columns: int64, the same, such as (B, 1, W').
        outside: what lies outside the image: ``"zero"``, or ``"edge"``, the closest pixel.

    Returns:
        (B, C, H', W') in the dtype of the images.

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

    Args:
        images: (B, C, H, W) uint8.
        matrix: (B, 6) float64: a, b, c, d, e, f for each image.

    Returns:
        (B, C, H, W) uint8.
    """
    a, b, c, d, e, f = matrix.T
    centred = torch.stack([a, b, c + (a + b) / 2, d, e, f + (d + e) / 2])
    a, b, c, d, e, f = (centred * _ONE + 0.5).floor().long().to(images.device)[:, :, None, None]
    y = torch.arange(images.shape[2], device=images.device)[:, None]
    x = torch.arange(images.shape[3], device=images.device)
    return gather_pixels(images, (d * x + e * y + f) >> 16, (a * x + b * y + c) >> 16)
