"""Training images that grow with the epochs: the first ones see small images, which cost less."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

FULL_AT = 0.6  # share of the epochs from which on images have their size
_GRID = 4  # sizes are multiples of it: networks halve them


def grown_to(epoch: int, epochs: int, start: float) -> float:
    """The share of their height and width that images have in ``epoch``, from 0: from ``start``, linearly, to 1.

    Example:
        >>> [round(grown_to(epoch, 10, 0.5), 2) for epoch in (0, 3, 6, 9)]
        [0.5, 0.75, 1.0, 1.0]
    """
    return min(1.0, start + (1 - start) * epoch / max(1, round(FULL_AT * epochs)))


def resized(x: Tensor, share: float) -> Tensor:
    """Images (B, C, H, W) float at that share of their size, to the nearest multiple of 4 pixels; never larger.

    Example:
        >>> resized(torch.zeros(2, 3, 32, 30), 0.5).shape, resized(torch.zeros(2, 3, 32, 30), 1.0).shape
        (torch.Size([2, 3, 16, 16]), torch.Size([2, 3, 32, 30]))

    Source: Page, "How to train your ResNet", 2019; Howard et al. in the DAWNBench of 2018.
    """
    if share >= 1:
        return x
    size = [min(side, max(_GRID, _GRID * round(share * side / _GRID))) for side in x.shape[2:]]
    if size == list(x.shape[2:]):
        return x
    last = x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
    small = F.interpolate(x, size, mode="bilinear", antialias=True, align_corners=False)
    return small.contiguous(memory_format=torch.channels_last) if last else small
