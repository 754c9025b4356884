"""Encoded images to bytes of pixels: decoded, padded and resized on request; whole sets are cached by content."""

import hashlib
import io
import json
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Union

import numpy as np
import torch

from equiangular._atomic import write_atomically
from equiangular._extras import require
from equiangular._files import cache_folder, read_numpy
from equiangular.data.depth import Spans, is_wide, to_bytes, wide_values
from equiangular.data.reading import SHOWN

_FORMAT = b"equiangular-images-4"
WHITE = 255
PIXELS_VARIABLE = "EQUIANGULAR_MAX_PIXELS"
MAX_PIXELS = 2**27  # of one image, 0.4 GB in colour; Pillow itself stops at 178,956,970
_ORIENTATION = 0x0112  # the tag of Exif
_PAD_FIRST = 2**24  # pixels of a square up to which an image is padded before it is resized

Source = Union[bytes, Path, None]  # noqa: UP007 - evaluated at run time on 3.10


class BrokenImageError(ValueError):
    """An image that cannot be read; the text says which and why."""


@dataclass(frozen=True)
class Decoded:
    """A set of images.

    Attributes:
        images: (N, C, H, W) uint8; zeros where an image is broken. C is 1 if every image is grey (stored as such, or
            with equal channels), else 3.
        broken: by row, why an image cannot be read: what follows its name in a message.
        constant: images all of whose pixels are equal, the broken ones not counted.
    """

    images: np.ndarray
    broken: dict[int, str]
    constant: int

    def kept(self) -> np.ndarray:
        """The rows that can be read."""
        return np.setdiff1d(np.arange(len(self.images)), list(self.broken)).astype(np.int64)


def cached_images(sources: Sequence[Source], *, size: int | None = None, spans: Spans | None = None) -> Decoded:
    """Decode images, or read what an earlier call has decoded.

    The cache is a folder of ``.npz`` files named by a hash of the encoded images and of ``size``, so that changed data
    never meets an old cache. The folder is ``$EQUIANGULAR_CACHE``, or ``equiangular`` in the user's cache folder; set
    the variable to ``off`` to have none. A cache that cannot be written or read is done without.

    Arguments, result and errors are those of :func:`decode_all`.
    """
    blobs = [_loaded(source) for source in sources]
    file = _cache_file(blobs, size, spans)
    if file is not None and file.exists():
        try:
            kept = read_numpy(file)
            images, constant = kept["images"], int(kept["constant"])
            broken = dict(zip(kept["broken"].tolist(), kept["reasons"].tolist(), strict=True))
            if images.dtype == np.uint8 and images.ndim == 4 and len(images) == len(blobs):
                return Decoded(images, broken, constant)
        except (ValueError, KeyError, TypeError):
            pass  # damaged: decode again and replace it
    decoded = decode_all(blobs, size=size, spans=spans)
    if file is not None:
        rows, reasons = np.array(list(decoded.broken), np.int64), np.array(list(decoded.broken.values()), np.str_)
        constant = decoded.constant
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(
                file,
                lambda path: np.savez(path, images=decoded.images, broken=rows, reasons=reasons, constant=constant),
            )
        except OSError:
            pass  # a full or read-only disk costs the next call some time, nothing else
    return decoded


def constant_images(images: torch.Tensor) -> int:
    """How many images (N, C, H, W) have one colour throughout, looked at in pieces.

    Example:
        >>> constant_images(torch.tensor([[[[3, 3]]], [[[3, 4]]]], dtype=torch.uint8))
        1
    """
    first = images[:, :, :1, :1]
    pieces = zip(images.split(4096), first.split(4096), strict=True)
    return sum(int((piece == own).flatten(1).all(1).sum()) for piece, own in pieces)


def decode_images(
    sources: Sequence[Source], *, size: int | None = None, where: str, names: Sequence[str] | None = None
) -> np.ndarray:
    """Decode images to one array (N, C, H, W) uint8; see :func:`decode_all`.

    Args:
        sources: N encoded images in any format that Pillow reads, as bytes or as files.
        size: height and width of the result; None keeps the images' own, which must all be equal.
        where: what the images belong to, for messages.
        names: N names for messages; by default row numbers.

    Raises:
        ValueError: images that cannot be decoded, all of them listed, or several sizes without ``size``.
    """
    if not len(sources):
        raise ValueError(f"{where} holds no images.")
    decoded = decode_all(sources, size=size)
    if decoded.broken:
        raise BrokenImageError(broken_message(broken_lines(decoded.broken, where, names), len(sources)))
    return decoded.images


def broken_message(lines: Sequence[str], total: int, what: str = "images") -> str:
    """The text about all images, or rows, of a set that cannot be read.

    Example:
        >>> print(broken_message(["demo: row 3 has no image data"], 9))
        demo: row 3 has no image data. Drop or replace it, or go on without it: skip_broken=True.
    """
    if len(lines) == 1:
        return f"{lines[0]}. Drop or replace it, or go on without it: skip_broken=True."
    shown = [*lines[:SHOWN]] + ([f"and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else [])
    return (
        f"{len(lines)} of {total:,} {what} cannot be read. Drop or replace them, or go on without them: "
        "skip_broken=True.\n  " + "\n  ".join(shown)
    )


def broken_lines(broken: Mapping[int, str], where: str, names: Sequence[str] | None) -> list[str]:
    """Name and reason of each image, in their order."""
    return [f"{where}: {f'row {row + 1}' if names is None else names[row]} {broken[row]}" for row in sorted(broken)]


def decode_all(sources: Sequence[Source], *, size: int | None = None, spans: Spans | None = None) -> Decoded:
    """Decode all images that can be, on as many threads as torch is set to use.

    With ``size``, an image is padded to a square on white, centred, and resized to ``size`` x ``size`` by area
    averaging (every source pixel counts with its share of the target pixel); shapes are kept, not stretched. Images of
    more than 8 bits become bytes as :func:`equiangular.data.depth.to_bytes` says.

    Args:
        sources: N encoded images in any format that Pillow reads, as bytes or as files.
        size: height and width of the result; None keeps the images' own: one that differs from the first is broken.
        spans: of images of more than 8 bits; by default each image's own.
    """

    def decode(row: int) -> np.ndarray | str:
        try:
            return decode_one(sources[row], size=size, spans=spans)
        except BrokenImageError as error:
            return str(error)

    broken: dict[int, str] = {}
    images: np.ndarray | None = None
    constant = 0
    with quiet(), in_threads() as mapped:
        for row, image in enumerate(mapped(decode, range(len(sources)))):
            if isinstance(image, str):
                broken[row] = image
                continue
            if images is None:
                images = np.zeros((len(sources), *image.shape), np.uint8)
            if image.shape != images.shape[1:]:
                broken[row] = _other_size(image.shape, images.shape[1:])
                continue
            images[row] = image
            constant += bool((image == image[:1, :1]).all())
    if images is None:
        side = size or 1
        images = np.zeros((len(sources), side, side, 3), np.uint8)
    if (images[..., :1] == images).all():
        images = images[..., :1]
    return Decoded(np.ascontiguousarray(images.transpose(0, 3, 1, 2)), broken, constant)


def decode_image(source: Source, *, size: int | None, label: str, spans: Spans | None = None) -> np.ndarray:
    """One image as (H, W, 3) uint8, padded and resized as :func:`decode_all` says.

    The orientation that a camera noted is applied, transparency is laid on white.

    Raises:
        BrokenImageError: it cannot be read; the text begins with ``label``.
    """
    try:
        return decode_one(source, size=size, spans=spans)
    except BrokenImageError as error:
        raise BrokenImageError(f"{label} {error}. Drop it or replace it.") from error.__cause__


def decode_one(source: Source, *, size: int | None, spans: Spans | None = None) -> np.ndarray:
    """One image; the text of the error is what follows the image's name in a message."""
    with opened(source) as (image_module, image):
        return np.asarray(_fit(image_module, as_rgb(image_module, image, spans), size))


@contextmanager
def opened(source: Source) -> Iterator[tuple[Any, Any]]:
    """Pillow and an image that it has opened, not yet decoded; whatever fails meanwhile is a broken image."""
    image_module = require("PIL.Image", extra="data", purpose="Decoding images")
    limit = pixel_limit()
    try:
        blob = read_source(source)
    except ValueError as error:
        reason = str(error).removesuffix(".").replace("cannot read ", "cannot be read from ", 1)
        raise BrokenImageError(reason) from error
    if not blob:
        raise BrokenImageError("has no image data")
    try:
        with image_module.open(io.BytesIO(blob)) as image:
            if (pixels := image.width * image.height) > limit:
                raise ValueError(
                    f"{image.width} x {image.height} = {pixels:,} pixels, and the limit is {limit:,}; raise it with "
                    f"the variable {PIXELS_VARIABLE}"
                )
            yield image_module, image
    except (OSError, ValueError, SyntaxError, image_module.DecompressionBombError) as error:
        reason = "unknown format" if isinstance(error, image_module.UnidentifiedImageError) else str(error)
        raise BrokenImageError(f"is not an image that can be read ({reason})") from error


def pixel_limit() -> int:
    """The most pixels that an image may have: ``$EQUIANGULAR_MAX_PIXELS``, or :data:`MAX_PIXELS`."""
    given = os.environ.get(PIXELS_VARIABLE, "")
    if given and not (given.isdecimal() and int(given)):
        raise ValueError(f"the variable {PIXELS_VARIABLE} must be a number of pixels, got {given!r}.")
    return int(given or MAX_PIXELS)


def shown_size(image: Any) -> tuple[int, int]:
    """Width and height of an opened image as it is shown: a camera that was turned has noted so."""
    turned = image.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8)
    turned &= not hasattr(image, "_tile_size")  # Pillow's TIFF gives the size as it is shown
    return (image.height, image.width) if turned else (image.width, image.height)


@contextmanager
def quiet() -> Iterator[None]:
    """Silence Pillow's warnings of odd metadata and of large images. Not for threads: filters belong to the process."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def in_threads() -> Iterator[Any]:
    """``map`` on as many threads as torch is set to use; with one without a pool, which costs as much as a decoder."""
    if (threads := torch.get_num_threads()) == 1:
        yield map
        return
    with ThreadPoolExecutor(threads) as pool:
        yield pool.map


def check_size(image: np.ndarray, expected: Sequence[int], label: str) -> np.ndarray:
    """Return the image (H, W, 3) if it has the height and width of ``expected``."""
    if image.shape[:2] != tuple(expected[:2]):
        raise ValueError(f"{label} {_other_size(image.shape, expected)}.")
    return image


def _other_size(shape: Sequence[int], expected: Sequence[int]) -> str:
    return (
        f"has size {shape[0]} x {shape[1]}, the ones before {expected[0]} x {expected[1]}; images that differ need "
        "size=32 or another number, to which they are padded and resized"
    )


def read_source(source: Source) -> bytes | None:
    """The encoded bytes; a file is read."""
    if not isinstance(source, Path):
        return source
    try:
        return source.read_bytes()
    except OSError as error:
        raise ValueError(f"cannot read {str(source)!r}: {error.strerror or error}.") from error


def _loaded(source: Source) -> Source:
    """The encoded bytes; the source itself where it cannot be read, which decoding says."""
    try:
        return read_source(source)
    except ValueError:
        return source


def as_rgb(image_module: Any, image: Any, spans: Spans | None = None) -> Any:
    """An image of Pillow in any mode as RGB, upright and opaque."""
    if is_wide(image):  # Pillow would clip it to 255, or keep the upper byte
        image = _narrowed(image_module, image, spans)
    image.load()  # a PNG may state its orientation after its pixels
    if image.getexif().get(_ORIENTATION, 1) != 1:  # asked here, as Pillow copies an image that is upright
        image = import_module("PIL.ImageOps").exif_transpose(image)
    if "A" in image.getbands() or "transparency" in image.info:
        opaque = image_module.new("RGBA", image.size, (WHITE,) * 4)
        return image_module.alpha_composite(opaque, image.convert("RGBA")).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _narrowed(image_module: Any, image: Any, spans: Spans | None) -> Any:
    """A wide image in 8 bits, with its transparency and the orientation that was noted."""
    values, opacity = wide_values(image_module, image)
    clear = image.info.get("transparency")
    if clear is not None:  # a value that stands for nothing, of a colour one in each channel
        same = np.equal(values, clear)
        opacity = np.where(same if same.ndim == 2 else same.all(2), 0, WHITE).astype(np.uint8)
    made = image_module.fromarray(to_bytes(values, spans))
    if opacity is not None:
        made.putalpha(image_module.fromarray(opacity))
    made.getexif()[_ORIENTATION] = image.getexif().get(_ORIENTATION, 1)
    return made


def _fit(image_module: Any, image: Any, size: int | None) -> Any:
    """Pad to a square on white and resize by area; of a very large square the long side is resized first.

    Both ways average the same areas. The second rounds to bytes in between by the other axis: a pixel may differ by 1.
    """
    if size is None:
        return image
    side, box = max(image.size), image_module.Resampling.BOX
    if image.width != image.height:
        width = height = side
        if side * side > _PAD_FIRST:
            if side * size > pixel_limit():
                raise ValueError(f"{image.width} x {image.height} pixels: too long for its width to be padded")
            width, height = (size, side) if image.width == side else (side, size)
            image = image.resize((min(width, image.width), min(height, image.height)), box)
        square = image_module.new("RGB", (width, height), (WHITE,) * 3)
        square.paste(image, ((width - image.width) // 2, (height - image.height) // 2))
        image = square
    return image if image.size == (size, size) else image.resize((size, size), box)


def _cache_file(blobs: Sequence[Source], size: int | None, spans: Spans | None) -> Path | None:
    folder = cache_folder()
    if folder is None:
        return None
    said = json.dumps([size, {kind: list(span) for kind, span in (spans or {}).items()}], sort_keys=True)
    digest = hashlib.sha256(_FORMAT + said.encode())
    for blob in blobs:
        if isinstance(blob, Path):  # a file that cannot be read now may be read the next time
            return None
        digest.update(len(blob or b"").to_bytes(8, "little"))
        digest.update(blob or b"")
    return folder / f"images-{digest.hexdigest()[:32]}.npz"
