"""Encoded images to bytes of pixels: decoded, padded and resized on request; whole sets are cached by content."""

import hashlib
import io
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, Union

import numpy as np
import torch

from equiangular._extras import require
from equiangular._files import cache_folder, write_atomically

_FORMAT = b"equiangular-images-2"
WHITE = 255

Source = Union[bytes, Path, None]  # noqa: UP007 - evaluated at run time on 3.10


def cached_images(
    sources: Sequence[Source], *, size: int | None = None, where: str, names: Sequence[str] | None = None
) -> np.ndarray:
    """Decode images, or read what an earlier call has decoded.

    The cache is a folder of ``.npz`` files named by a hash of the encoded images and of ``size``, so that changed data
    never meets an old cache. The folder is ``$EQUIANGULAR_CACHE``, or ``equiangular`` in the user's cache folder; set
    the variable to ``off`` to have none. A cache that cannot be written or read is done without.

    Arguments, result and errors are those of :func:`decode_images`.
    """
    blobs = [read_source(source) for source in sources]
    file = _cache_file(blobs, size)
    if file is not None and file.exists():
        try:
            with np.load(file, allow_pickle=False) as archive:
                images = archive["images"]
            if images.dtype == np.uint8 and images.ndim == 4 and len(images) == len(blobs):
                return images
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            pass  # damaged: decode again and replace it
    images = decode_images(blobs, size=size, where=where, names=names)
    if file is not None:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(file, lambda path: np.savez(path, images=images))
        except OSError:
            pass  # a full or read-only disk costs the next call some time, nothing else
    return images


def decode_images(
    sources: Sequence[Source], *, size: int | None = None, where: str, names: Sequence[str] | None = None
) -> np.ndarray:
    """Decode images to one array, on as many threads as torch is set to use.

    With ``size``, an image is padded to a square on white, centred, and resized to ``size`` x ``size`` by area
    averaging (every source pixel counts with its share of the target pixel); shapes are kept, not stretched. Returns
    (N, C, H, W) uint8; C is 1 if every image is grey (stored as such, or with equal channels), else 3.

    Args:
        sources: N encoded images in any format that Pillow reads, as bytes or as files.
        size: height and width of the result; None keeps the images' own, which must all be equal.
        where: what the images belong to, for messages.
        names: N names for messages; by default row numbers.

    Raises:
        ValueError: an image that cannot be decoded, or images of several sizes without ``size``; the first is named.
    """
    if not len(sources):
        raise ValueError(f"{where} holds no images.")

    def label(row: int) -> str:
        return f"{where}: " + (f"row {row}" if names is None else names[row])

    def decode(row: int) -> np.ndarray:
        return decode_image(sources[row], size=size, label=label(row))

    with quiet(), ThreadPoolExecutor(torch.get_num_threads()) as pool:
        first = decode(0)
        images = np.empty((len(sources), *first.shape), np.uint8)
        try:
            for row, image in enumerate(pool.map(decode, range(len(sources)))):
                images[row] = check_size(image, first.shape, label(row))
        except ValueError:
            pool.shutdown(cancel_futures=True)
            raise
    if (images[..., :1] == images).all():
        images = images[..., :1]
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2))


def decode_image(source: Source, *, size: int | None, label: str) -> np.ndarray:
    """One image as (H, W, 3) uint8, padded and resized as :func:`decode_images` says.

    The orientation that a camera noted is applied, transparency is laid on white.
    """
    image_module = require("PIL.Image", extra="data", purpose="Decoding images")
    blob = read_source(source)
    if not blob:
        raise ValueError(f"{label} has no image data. Drop it or embed the image's bytes.")
    try:
        with image_module.open(io.BytesIO(blob)) as image:
            return np.asarray(_fit(image_module, _as_rgb(image_module, image), size))
    except (OSError, ValueError, SyntaxError, image_module.DecompressionBombError) as error:
        reason = "unknown format" if isinstance(error, image_module.UnidentifiedImageError) else error
        raise ValueError(f"{label} is not an image that can be read ({reason}). Drop it or replace it.") from error


@contextmanager
def quiet() -> Iterator[None]:
    """Silence Pillow's warnings of odd metadata and of large images. Not for threads: filters belong to the process."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def check_size(image: np.ndarray, expected: Sequence[int], label: str) -> np.ndarray:
    """Return the image (H, W, 3) if it has the height and width of ``expected``."""
    if image.shape[:2] != tuple(expected[:2]):
        raise ValueError(
            f"{label} has size {image.shape[0]} x {image.shape[1]}, the ones before {expected[0]} x {expected[1]}. "
            "Images that differ in size need --size 32, or another number (in Python size=32): they are padded to a "
            "square and resized."
        )
    return image


def read_source(source: Source) -> bytes | None:
    """The encoded bytes; a file is read."""
    if not isinstance(source, Path):
        return source
    try:
        return source.read_bytes()
    except OSError as error:
        raise ValueError(f"cannot read {str(source)!r}: {error.strerror or error}.") from error


def _as_rgb(image_module: Any, image: Any) -> Any:
    if image.mode.startswith("I;16"):  # Pillow would clip 16 bits of grey to 255
        return image_module.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    image = import_module("PIL.ImageOps").exif_transpose(image)
    if "A" in image.getbands() or "transparency" in image.info:
        opaque = image_module.new("RGBA", image.size, (WHITE,) * 4)
        return image_module.alpha_composite(opaque, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")


def _fit(image_module: Any, image: Any, size: int | None) -> Any:
    """Pad to a square on white and resize by area."""
    if size is None:
        return image
    side = max(image.size)
    if image.width != image.height:
        square = image_module.new("RGB", (side, side), (WHITE,) * 3)
        square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
        image = square
    return image if side == size else image.resize((size, size), image_module.Resampling.BOX)


def _cache_file(blobs: Sequence[bytes | None], size: int | None) -> Path | None:
    folder = cache_folder()
    if folder is None:
        return None
    digest = hashlib.sha256(_FORMAT + str(size).encode())
    for blob in blobs:
        digest.update(len(blob or b"").to_bytes(8, "little"))
        digest.update(blob or b"")
    return folder / f"images-{digest.hexdigest()[:32]}.npz"
