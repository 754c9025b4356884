"""Image files of kinds that Pillow does not write: 16 bits in each channel, as PNG and TIFF."""

from __future__ import annotations

import struct
import zlib

import numpy as np


def png16(values: np.ndarray, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of values (H, W, C): C = 1 grey, 2 grey and opacity, 3 colour, 4 colour and opacity; and other chunks."""
    height, width, channels = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    head = struct.pack(">IIBBBBB", width, height, 16, {1: 0, 2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    body = ((b"IHDR", head), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in body
    )


def tiff16(values: np.ndarray, order: str = "<", *, compressed: bool = False, orientation: int = 1) -> bytes:
    """A TIFF of values (H, W, C), C = 1, 3 or 4, in one strip; ``order`` of the bytes as in :mod:`struct`."""
    height, width, channels = values.shape
    pixels = values.astype(f"{order}u2").tobytes()
    pixels = zlib.compress(pixels) if compressed else pixels
    padded = pixels + b"\0" * (len(pixels) % 2)
    short, long = 3, 4
    tags = [
        (256, long, 1, width),
        (257, long, 1, height),
        (258, short, channels, 16),  # bits of each channel
        (259, short, 1, 8 if compressed else 1),
        (262, short, 1, 2 if channels > 1 else 1),
        (273, long, 1, 8),  # where the pixels begin
        (274, short, 1, orientation),
        (277, short, 1, channels),
        (278, long, 1, height),
        (279, long, 1, len(pixels)),
    ]
    tags += [(338, short, 1, 2)] if channels == 4 else []  # the fourth is opacity
    start = 8 + len(padded)
    after = start + 2 + 12 * len(tags) + 4  # where the bits of several channels stand, which do not fit into a tag
    directory = struct.pack(f"{order}H", len(tags))
    for tag, kind, count, value in tags:
        held = after if count > 2 else value
        form = "HHIHxx" if kind == short and count == 1 else "HHII"
        directory += struct.pack(order + form, tag, kind, count, held)
    directory += struct.pack(f"{order}I", 0) + struct.pack(f"{order}H", 16) * channels
    mark = b"II*\0" if order == "<" else b"MM\0*"
    return mark + struct.pack(f"{order}I", start) + padded + directory
