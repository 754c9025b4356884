"""Encoded images of a data set's parts to inputs: all decoded into memory, or left encoded and streamed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from equiangular._choices import Memory
from equiangular.data.encoded import EncodedImages, streams
from equiangular.data.images import Source, cached_images


@dataclass(frozen=True, eq=False)
class ImageSource:
    """Encoded images that belong together: a file of them, or a folder.

    Attributes:
        sources: N encoded images, as bytes or as files.
        where: what they belong to, for messages.
        names: N names for messages; row numbers if None.
    """

    sources: Sequence[Source]
    where: str
    names: Sequence[str] | None = None


class ArrowImages(Sequence[Source]):
    """An Arrow column of images: bytes, or structs of ``bytes`` and ``path``; read one by one, nothing is copied.

    Args:
        column: a ``pyarrow.ChunkedArray``.
    """

    def __init__(self, column: Any) -> None:
        self.column = column

    def __len__(self) -> int:
        return len(self.column)

    def __getitem__(self, row: Any) -> Any:
        value = self.column[int(row)].as_py()
        if not isinstance(value, dict):
            return value
        if value.get("bytes") or not value.get("path"):
            return value.get("bytes")
        return Path(value["path"])


def image_inputs(
    parts: Sequence[tuple[ImageSource, np.ndarray]], *, size: int | None, memory: Memory
) -> list[Tensor | EncodedImages]:
    """The inputs of each part.

    Args:
        parts: images and the rows of them that make the part; parts may share their images.
        size: pad to a square and resize to this height and width.
        memory: ``"memory"``, ``"stream"`` or ``"auto"``, for all parts alike.

    Returns:
        For each part (n, C, H, W) uint8: a tensor with C = 1 if all images are grey, else 3, or encoded images.

    Raises:
        ValueError: as :func:`equiangular.data.images.decode_images`.
    """
    groups = list({id(images): images for images, _ in parts}.values())
    first = next((images.sources[0] for images in groups if len(images.sources)), None)
    if streams(memory, sum(len(images.sources) for images in groups), first, size):
        return [
            EncodedImages(images.sources, size=size, where=images.where, names=images.names, index=rows)
            for images, rows in parts
        ]
    arrays = {
        id(images): cached_images(images.sources, size=size, where=images.where, names=images.names)
        for images in groups
    }
    channels = max(array.shape[1] for array in arrays.values())
    full = {key: a if a.shape[1] == channels else np.repeat(a, channels, axis=1) for key, a in arrays.items()}
    return [torch.from_numpy(full[id(images)][rows]) for images, rows in parts]
