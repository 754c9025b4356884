"""Images that stay encoded until they are asked for, and a data set's parts as inputs: decoded, or streamed."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from equiangular._choices import MEMORIES, Memory
from equiangular._extras import require
from equiangular._validate import check_choice
from equiangular.data.images import Source, cached_images, check_size, decode_image, quiet, read_source

AUTO_LIMIT = 4 * 2**30  # bytes of pixels above which "auto" streams


class EncodedImages:
    """A set of images in encoded form, in memory or as files, indexed like a (N, 3, H, W) uint8 tensor.

    What is asked for by index is decoded, padded to a square on white and resized; what is not costs nothing. The
    pixels are those that :func:`equiangular.data.images.decode_images` gives, but always in three channels: whether
    all images are grey is not known before they are decoded. ``shape`` is (n, 3, H, W), ``dtype`` ``torch.uint8``.

    Args:
        sources: N encoded images, as bytes or as files.
        size: height and width of the result; None keeps the images' own, those of the first image for all.
        where: what the images belong to, for messages.
        names: N names for messages; by default row numbers.
        index: (n,) int64: the images that belong to the set, in its order; all by default.

    Raises:
        ValueError: no images, or a first one that cannot be read.

    Example:
        >>> import io
        >>> from PIL import Image
        >>> buffer = io.BytesIO()
        >>> Image.new("RGB", (6, 4), "red").save(buffer, "PNG")
        >>> images = EncodedImages([buffer.getvalue()] * 3, size=2, where="demo")
        >>> images.shape, images[torch.tensor([2, 0])].shape
        (torch.Size([3, 3, 2, 2]), torch.Size([2, 3, 2, 2]))
    """

    dtype = torch.uint8
    ndim = 4

    def __init__(
        self,
        sources: Sequence[Source],
        *,
        size: int | None,
        where: str,
        names: Sequence[str] | None = None,
        index: np.ndarray | None = None,
    ) -> None:
        if not len(sources):
            raise ValueError(f"{where} holds no images.")
        self.sources, self.size, self.where, self.names = sources, size, where, names
        self.index = np.arange(len(sources)) if index is None else index
        with quiet():
            height, width = (size, size) if size is not None else self._decode(0).shape[:2]
        self.shape = torch.Size([len(self.index), 3, height, width])

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, index: Any) -> Tensor:
        """Decode: (n, 3, H, W) uint8 for a tensor, array, list or slice of positions, (3, H, W) for one."""
        chosen = self.index[np.asarray(index) if not isinstance(index, slice) else index]
        with quiet():
            rows = np.atleast_1d(chosen).tolist()
            images = [check_size(self._decode(row), self.shape[2:], self._label(row)) for row in rows]
        stacked = np.stack(images) if images else np.empty((0, *self.shape[2:], 3), np.uint8)
        pixels = torch.from_numpy(stacked).permute(0, 3, 1, 2).contiguous()
        return pixels if np.ndim(chosen) else pixels[0]

    def select(self, index: Any) -> EncodedImages:
        """The images at these positions, still encoded; nothing is copied."""
        images = object.__new__(EncodedImages)
        images.__dict__ |= self.__dict__
        images.index = self.index[np.asarray(index)]
        images.shape = torch.Size([len(images.index), *self.shape[1:]])
        return images

    def _decode(self, row: int) -> np.ndarray:
        return decode_image(self.sources[row], size=self.size, label=self._label(row))

    def _label(self, row: int) -> str:
        return f"{self.where}: " + (f"row {row}" if self.names is None else self.names[row])


def streams(memory: Memory, num_images: int, first: Source, size: int | None) -> bool:
    """Whether to stream: as told, or with ``"auto"`` if the pixels would take more than ``AUTO_LIMIT`` bytes.

    Where ``size`` is None the first image speaks for all.
    """
    check_choice(memory, MEMORIES, "memory")
    if memory != "auto":
        return memory == "stream"
    return 3 * num_images * (_pixels(first) if size is None else size * size) > AUTO_LIMIT


def _pixels(source: Source) -> int:
    image_module = require("PIL.Image", extra="data", purpose="Decoding images")
    try:
        with quiet(), image_module.open(io.BytesIO(read_source(source) or b"")) as image:
            return image.width * image.height
    except (OSError, ValueError, SyntaxError, image_module.DecompressionBombError):
        return 0  # decoding says what is wrong with it


@dataclass(frozen=True, eq=False)
class ImageSource:
    """Encoded images that belong together, a file of them or a folder; fields as for :class:`EncodedImages`."""

    sources: Sequence[Source]
    where: str
    names: Sequence[str] | None = None


class ArrowImages(Sequence[Source]):
    """An Arrow column of images: bytes, or structs of ``bytes`` and ``path``; read one by one, nothing is copied."""

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
    """The inputs of each part: (n, C, H, W) uint8 with C = 1 if all images are grey, else 3, or encoded images.

    A part is images and the rows of them that make it; parts may share their images. ``size`` and ``memory``, for all
    parts alike, are those of :func:`equiangular.data.load_dataset`.
    """
    groups = list({id(images): images for images, _ in parts}.values())
    first = next((images.sources[0] for images in groups if len(images.sources)), None)
    if streams(memory, sum(len(images.sources) for images in groups), first, size):
        encoded = [EncodedImages(**vars(images), size=size, index=rows) for images, rows in parts]
        for images in encoded[1:]:  # the first image of all speaks for those of the other parts as well
            images.shape = torch.Size([len(images), *encoded[0].shape[1:]])
        return encoded
    arrays = {id(images): cached_images(**vars(images), size=size) for images in groups}
    channels = max(array.shape[1] for array in arrays.values())
    full = {key: a if a.shape[1] == channels else np.repeat(a, channels, axis=1) for key, a in arrays.items()}
    return [torch.from_numpy(full[id(images)][rows]) for images, rows in parts]
