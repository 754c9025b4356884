"""Rows of a data set as an encoder takes them: texts, and images decoded while the encoder is at the batch before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from torch import Tensor

from equiangular._extras import require
from equiangular.data import EncodedImages, Texts
from equiangular.data.images import BrokenImageError, as_rgb, decode_image, quiet


def read_ahead(inputs: Any, batches: Sequence[np.ndarray], where: str) -> Iterator[list[Any]]:
    """Each batch as the encoder takes it; images of the next are decoded while the encoder is at this one."""
    if isinstance(inputs, Texts):
        for batch in batches:
            yield [_checked_text(inputs[row], f"{where}: row {row + 1}") for row in batch]
        return
    with quiet(), ThreadPoolExecutor(max(1, torch.get_num_threads())) as pool:
        ahead: list[list[Any]] = []
        for batch in batches:
            ahead.append([pool.submit(read_image, inputs, int(row), where) for row in batch])
            if len(ahead) > 1:
                yield [image.result() for image in ahead.pop(0)]
        for images in ahead:
            yield [image.result() for image in images]


def _checked_text(text: str, label: str) -> str:
    if not text.strip():
        raise ValueError(f"{label} is an empty text, which has no meaning to encode. Drop the row or fill it in.")
    return text


def pil_image(pixels: np.ndarray) -> Any:
    """(H, W, 3) uint8 as ``PIL.Image`` in RGB."""
    return require("PIL.Image", extra="encoders", purpose="Reading images").fromarray(pixels)


def read_image(inputs: EncodedImages | Tensor, row: int, where: str) -> Any:
    """One image as ``PIL.Image`` in RGB, in the size that it has."""
    image_module = require("PIL.Image", extra="encoders", purpose="Reading images")
    if isinstance(inputs, EncodedImages):
        position = int(inputs.index[row])
        label = inputs._label(position)
        try:
            return pil_image(decode_image(inputs.sources[position], size=None, label=label, spans=inputs.spans))
        except BrokenImageError as error:
            raise ValueError(inputs.broken() or str(error)) from error
    pixels = inputs[row].permute(1, 2, 0).numpy()
    if pixels.shape[2] == 1:
        return image_module.fromarray(pixels[..., 0]).convert("RGB")
    return as_rgb(image_module, image_module.fromarray(np.ascontiguousarray(pixels)))
