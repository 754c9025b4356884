"""Images that stay encoded until they are asked for, and a data set's parts as inputs: decoded, or streamed."""

from __future__ import annotations

import math
import os
import struct
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from equiangular._choices import MEMORIES, Memory
from equiangular._counted import counted
from equiangular._extras import require
from equiangular._validate import check_choice
from equiangular.data.cells import is_text
from equiangular.data.depth import Spans, is_wide, kind_of, span_of, wide_values
from equiangular.data.images import (
    PIXELS_VARIABLE,
    BrokenImageError,
    Decoded,
    Source,
    broken_lines,
    broken_message,
    cached_images,
    check_size,
    decode_image,
    decode_one,
    in_threads,
    opened,
    pixel_limit,
    quiet,
    read_source,
    shown_size,
)
from equiangular.data.listing import Paths
from equiangular.data.reading import Reading, constant_note, listed

AUTO_LIMIT = 4 * 2**30  # bytes of pixels above which "auto" streams
FEW_BROKEN = 20  # one image that cannot be read, or one in so many, is left out unasked
AUTO_SIZE = 64  # the largest size that is chosen where images differ: what small networks learn on a CPU in minutes


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
        spans: of images of more than 8 bits, see :func:`equiangular.data.depth.to_bytes`.

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
        spans: Spans | None = None,
    ) -> None:
        if not len(sources):
            raise ValueError(f"{where} holds no images.")
        self.sources, self.size, self.where, self.names, self.spans = sources, size, where, names, spans
        self.index = np.arange(len(sources)) if index is None else index
        with quiet():
            first = int(self.index[0]) if len(self.index) else 0
            height, width = (size, size) if size is not None else self._decode(first).shape[:2]
        self.shape = torch.Size([len(self.index), 3, height, width])

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, index: Any) -> Tensor:
        """Decode: (n, 3, H, W) uint8 for a tensor, array, list or slice of positions, (3, H, W) for one."""
        chosen = self.index[np.asarray(index) if not isinstance(index, slice) else index]
        with quiet():
            rows = np.atleast_1d(chosen).tolist()
            try:
                images = [check_size(self._decode(row), self.shape[2:], self._label(row)) for row in rows]
            except BrokenImageError as error:  # the others like it are named at once, which takes a look at all
                raise BrokenImageError(self.broken() or str(error)) from error
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

    def broken(self) -> str | None:
        """What cannot be read of the whole set, all of it, in a text; None where all can. Decodes every image."""
        found = _look_at_all(self.sources, self.index, self.size, self.spans)[0]
        return broken_message(broken_lines(found, self.where, self.names), len(self.index)) if found else None

    def _decode(self, row: int) -> np.ndarray:
        return decode_image(self.sources[row], size=self.size, label=self._label(row), spans=self.spans)

    def _label(self, row: int) -> str:
        return f"{self.where}: " + (f"row {row + 1}" if self.names is None else self.names[row])


def streams(memory: Memory, num_images: int, first: Source, size: int | None) -> bool:
    """Whether to stream: as told, or with ``"auto"`` if the pixels would take more than ``AUTO_LIMIT`` bytes.

    Where ``size`` is None the first image speaks for all.
    """
    check_choice(memory, MEMORIES, "memory")
    if memory != "auto":
        return memory == "stream"
    return 3 * num_images * (_pixels(first) if size is None else size * size) > AUTO_LIMIT


def _pixels(source: Source) -> int:
    try:
        with quiet(), opened(source) as (_, image):
            return int(image.width * image.height)
    except BrokenImageError:
        return 0  # decoding says what is wrong with it


@dataclass(frozen=True, eq=False)
class ImageSource:
    """Encoded images that belong together, a file of them or a folder; fields as for :class:`EncodedImages`."""

    sources: Sequence[Source]
    where: str
    names: Sequence[str] | None = None


class ArrowImages(Sequence[Source]):
    """An Arrow column of images: bytes, or structs of ``bytes`` and ``path``; read one by one, nothing is copied.

    Raises:
        ValueError: a column of another type.
    """

    def __init__(self, column: Any) -> None:
        types = require("pyarrow.types", extra="data", purpose="Reading images in tables")
        kind, fits = column.type, True
        if types.is_struct(kind):
            held = {field.name: field.type for field in kind}
            kind = held.get("bytes", column.type)
            fits = "path" not in held or types.is_null(held["path"]) or is_text(held["path"])
        binary = (
            types.is_binary,
            types.is_large_binary,
            types.is_binary_view,
            types.is_fixed_size_binary,
            types.is_null,
        )
        if not fits or not any(check(kind) for check in binary):
            raise ValueError(
                f"the column of images holds {column.type}, where encoded images are expected: bytes, or structs of "
                "bytes and path. Write them so, or give the column another name."
            )
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


@dataclass(frozen=True, eq=False)
class ReadImages:
    """The images of a data set, each group of them by itself.

    Attributes:
        inputs: of each group, those that can be read: (n, C, H, W) uint8 with C = 1 if all images are grey, else 3, or
            encoded images.
        rows: (n,) of each group, which of its images they are.
        reading: the size and range of values that were chosen, and what was left out.
        notes: the same in words.
    """

    inputs: list[Tensor | EncodedImages]
    rows: list[np.ndarray]
    reading: Reading
    notes: list[str]


def read_images(
    groups: Sequence[ImageSource],
    *,
    size: int | None,
    memory: Memory,
    raw: bool = False,
    skip_broken: bool | None = None,
) -> ReadImages:
    """The one reader of images of a data set, the training ones first; how they are read is the same for all groups.

    Where images differ in size and none is asked for, it is the median of the longer sides of the first group, at most
    ``AUTO_SIZE``, a multiple of 8 from 8 on. Images of more than 8 bits are brought to bytes by a range that suits all
    of the first group, see :func:`equiangular.data.depth.span_of`.

    Args:
        groups: the training images first.
        size, memory, skip_broken: those of :func:`equiangular.data.load_dataset`.
        raw: for an encoder: encoded, in the sizes that they have.

    Raises:
        ValueError: no images, or images that cannot be read and are not left out, all of them listed. Streamed images
            are looked at when they are needed, unless ``skip_broken`` is true.
    """
    for group in groups:
        if not len(group.sources):
            raise ValueError(f"{group.where} holds no images.")
    if size is not None and size * size > (limit := pixel_limit()):
        raise ValueError(
            f"size={size} makes images of {size * size:,} pixels, and the limit is {limit:,}. "
            f"Take at most size={math.isqrt(limit)}, or raise the limit with the variable {PIXELS_VARIABLE}."
        )
    total = sum(len(group.sources) for group in groups)
    headers = [_headers(group.sources, sizes=size is None and not raw) for group in groups]
    spans = _spans([groups[0].sources[row] for row in headers[0].wide])
    notes = [_span_note(kind, span) for kind, span in spans.items()]
    met = set().union(*(header.sizes for header in headers))
    if len(met) > 1:
        size = _choose_size(headers[0].sizes)
        notes.append(
            f"images of {len(met):,} sizes: padded to a square and resized to {size} x {size}; size=N takes another"
        )
    stream = raw or streams(memory, total, groups[0].sources[0], size)
    everything = [np.arange(len(group.sources)) for group in groups]
    decoded: list[Decoded] = []
    faults: list[Mapping[int, str]] = [{} for _ in groups]
    constant = 0
    if not stream:
        decoded = [cached_images(group.sources, size=size, spans=spans) for group in groups]
        faults, constant = [part.broken for part in decoded], sum(part.constant for part in decoded)
    elif skip_broken:
        looks = [_look_at_all(group.sources, all_, size, spans) for group, all_ in zip(groups, everything, strict=True)]
        faults, constant = [look[0] for look in looks], sum(look[1] for look in looks)
    rows = [np.setdiff1d(a, list(f)).astype(np.int64) for a, f in zip(everything, faults, strict=True)]
    named = zip(faults, groups, strict=True)
    lines = [line for f, group in named for line in broken_lines(f, group.where, group.names)]
    few = skip_broken or (skip_broken is None and len(lines) <= max(1, total // FEW_BROKEN))
    if lines and (not few or not all(map(len, rows))):
        raise BrokenImageError(broken_message(lines, total))
    inputs: list[Tensor | EncodedImages]
    if stream:
        inputs = [EncodedImages(**vars(g), size=size, index=k, spans=spans) for g, k in zip(groups, rows, strict=True)]
    else:
        parts = zip(decoded, rows, strict=True)
        inputs = [torch.from_numpy(part.images[kept] if part.broken else part.images) for part, kept in parts]
    if lines:
        notes.append(f"left out {counted(len(lines), 'image')} of {total:,} that cannot be read: {listed(lines, 3)}")
    if constant:
        notes.append(constant_note(constant, total))
    return ReadImages(_alike(inputs), rows, Reading(size, spans, tuple(lines)), notes)


def _alike(inputs: list[Tensor | EncodedImages]) -> list[Tensor | EncodedImages]:
    """Inputs of as many channels, and encoded ones of the height and width of the first."""
    channels = max(part.shape[1] for part in inputs)
    for position, part in enumerate(inputs):
        if isinstance(part, EncodedImages):
            part.shape = torch.Size([len(part), *inputs[0].shape[1:]])
        elif part.shape[1] != channels:
            inputs[position] = part.repeat(1, channels, 1, 1)
    return inputs


@dataclass(frozen=True)
class _Headers:
    """What is known of images before they are decoded: how often each (width, height), and the rows of wide ones."""

    sizes: Counter[tuple[int, int]]
    wide: list[int]


# How files of formats begin that have 8 bits at most: JPEG, GIF, BMP, WebP.
_EIGHT_BITS = (b"\xff\xd8", b"GIF8", b"BM", b"RIFF")
_EIGHT_BIT_SUFFIXES = (".jpg", ".jpeg", ".gif", ".bmp", ".webp")
_PNG = b"\x89PNG\r\n\x1a\n"
_HEADER = 27  # bytes of a PNG that hold its width, height, depth and colours


def _headers(sources: Sequence[Source], *, sizes: bool) -> _Headers:
    """Look at the headers of all images; without ``sizes`` only of those that may have more than 8 bits."""
    headers = _Headers(Counter(), [])
    with quiet():
        for row, source in enumerate(sources.texts if isinstance(sources, Paths) else sources):
            if not sizes and isinstance(source, (str, Path)):
                if os.fspath(source).lower().endswith(_EIGHT_BIT_SUFFIXES):
                    continue
                if (start := _start(source)).startswith(_PNG) and len(start) == _HEADER:
                    if start[24] == 16:
                        headers.wide.append(row)
                    continue
            with suppress(BrokenImageError, ValueError):  # decoding says what is wrong with it
                _look(read_source(sources[row]) or b"", row, headers, sizes=sizes)
    return headers


def _start(file: str | Path) -> bytes:
    """The header of a PNG file, or as much of another; nothing of one that cannot be read, which decoding says."""
    try:
        handle = os.open(file, os.O_RDONLY | getattr(os, "O_BINARY", 0))  # half the time of a file object
    except OSError:
        return b""
    try:
        return os.read(handle, _HEADER)
    except OSError:
        return b""
    finally:
        os.close(handle)


def _look(blob: bytes, row: int, headers: _Headers, *, sizes: bool) -> None:
    # Its header without Pillow, 50 times faster.
    if blob.startswith(_PNG) and len(blob) >= _HEADER and b"eXIf" not in blob:
        if sizes:
            headers.sizes[struct.unpack(">II", blob[16:24])] += 1
        if blob[24] == 16:
            headers.wide.append(row)
        return
    if sizes or not blob.startswith(_EIGHT_BITS):
        with opened(blob) as (_, image):
            if is_wide(image):  # before a look at the orientation, for which Pillow decodes a PNG
                headers.wide.append(row)
            if sizes:
                headers.sizes[shown_size(image)] += 1


def _choose_size(sizes: Mapping[tuple[int, int], int]) -> int:
    """The median of the longer sides, at most ``AUTO_SIZE``; a multiple of 8 from 8 on."""
    sides = np.repeat([max(pair) for pair in sizes], list(sizes.values()))
    side = min(AUTO_SIZE, int(np.median(sides)))
    return side - side % 8 if side >= 8 else side


def _spans(sources: Sequence[Source]) -> dict[str, tuple[float, float]]:
    """The range of values of the wide images among these, for each kind of number."""
    met: dict[str, list[float]] = {}
    for source in sources:
        with suppress(BrokenImageError), quiet(), opened(source) as (image_module, image):
            values, _ = wide_values(image_module, image)
            if np.isfinite(values).all():
                met.setdefault(kind_of(values), []).extend((float(values.min()), float(values.max())))
    return {kind: span_of(min(ends), max(ends), kind) for kind, ends in met.items()}


def _span_note(kind: str, span: tuple[float, float]) -> str:
    what = "floating-point images" if kind == "float" else "images of more than 8 bits"
    return f"{what}: values from {span[0]:g} to {span[1]:g} become 0 to 255"


def _look_at_all(
    sources: Sequence[Source], rows: np.ndarray, size: int | None, spans: Spans | None
) -> tuple[dict[int, str], int]:
    """Decode all images and keep none: why some cannot be read, by row, and how many are of one colour."""

    def look(row: int) -> str | bool:
        try:
            image = decode_one(sources[row], size=size, spans=spans)
        except BrokenImageError as error:
            return str(error)
        return bool((image == image[:1, :1]).all())

    with quiet(), in_threads() as mapped:
        found = list(mapped(look, rows.tolist()))
    broken = {int(row): why for row, why in zip(rows, found, strict=True) if isinstance(why, str)}
    return broken, sum(flat is True for flat in found)
