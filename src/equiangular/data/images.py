"""Encoded images to one array of bytes: decoded once, padded and resized on request, cached by content."""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from equiangular._extras import require
from equiangular._files import write_atomically

CACHE_VARIABLE = "EQUIANGULAR_CACHE"
_FORMAT = b"equiangular-images-1"
WHITE = 255


def cached_images(
    blobs: Sequence[bytes | None], *, size: int | None = None, where: str, names: Sequence[str] | None = None
) -> np.ndarray:
    """Decode images, or read what an earlier call has decoded.

    The cache is a folder of ``.npz`` files named by a hash of the encoded images and of ``size``, so that changed data
    never meets an old cache. The folder is ``$EQUIANGULAR_CACHE``, or ``equiangular`` in the user's cache folder; set
    the variable to ``off`` to have none. A cache that cannot be written or read is done without.

    Args:
        blobs: N encoded images, in any format that Pillow reads.
        size: see :func:`decode_images`.
        where: what the images belong to, for messages.
        names: N names for messages; by default row numbers.

    Returns:
        (N, C, H, W) uint8; C is 1 if every image is grey (stored as such, or with equal channels), else 3.

    Raises:
        ValueError: as :func:`decode_images`.
    """
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
    blobs: Sequence[bytes | None], *, size: int | None = None, where: str, names: Sequence[str] | None = None
) -> np.ndarray:
    """Decode images to one array.

    With ``size``, an image is padded to a square on white, centred, and resized to ``size`` x ``size`` by area
    averaging (every source pixel counts with its share of the target pixel); shapes are kept, not stretched.

    Args:
        blobs: N encoded images.
        size: height and width of the result; None keeps the images' own, which must all be equal.
        where: what the images belong to, for messages.
        names: N names for messages; by default row numbers.

    Returns:
        (N, C, H, W) uint8, C = 1 or 3.

    Raises:
        ValueError: an image that cannot be decoded, or images of several sizes without ``size``; the first is named.
        ImportError: Pillow is missing.
    """
    image_module = require("PIL.Image", extra="data", purpose="Decoding images")
    images = []
    for row, blob in enumerate(blobs):
        label = f"{where}: " + (f"row {row}" if names is None else names[row])
        if not blob:
            raise ValueError(f"{label} has no image data. Drop it or embed the image's bytes.")
        try:
            with image_module.open(io.BytesIO(blob)) as image:
                rgb = _fit(image_module, image.convert("RGB"), size)
        except (OSError, ValueError, SyntaxError, image_module.DecompressionBombError) as error:
            raise ValueError(f"{label} is not an image that can be read ({error}). Drop it or replace it.") from error
        array = np.asarray(rgb)
        if images and array.shape != images[0].shape:
            height, width = images[0].shape[:2]
            raise ValueError(
                f"{label} has size {array.shape[0]} x {array.shape[1]}, the ones before {height} x {width}. Images "
                "that differ in size need size=, for instance size=32: they are padded to a square and resized."
            )
        images.append(array)
    if not images:
        raise ValueError(f"{where} holds no images.")
    stacked = np.stack(images)
    if (stacked[..., :1] == stacked).all():
        stacked = stacked[..., :1]
    return np.ascontiguousarray(stacked.transpose(0, 3, 1, 2))


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
    chosen = os.environ.get(CACHE_VARIABLE, "")
    if chosen.lower() == "off":
        return None
    base = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "equiangular"
    folder = Path(chosen).expanduser() if chosen else base
    digest = hashlib.sha256(_FORMAT + str(size).encode())
    for blob in blobs:
        digest.update(len(blob or b"").to_bytes(8, "little"))
        digest.update(blob or b"")
    return folder / f"images-{digest.hexdigest()[:32]}.npz"
