"""Images of more than 8 bits to bytes: by a range of values that is found over a whole set."""

from __future__ import annotations

import io
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

# Per kind of number, "int" or "float": the values that become 0 and 255.
Spans = Mapping[str, "tuple[float, float]"]
_BITS = range(8, 33)  # all of them: from 16 to 24 at once a value of 66,000 would become 1


# How files hold channels of 16 bits of which Pillow keeps the upper 8; the order of the two bytes (B, L, N) follows.
_COLOURS = ("RGB;16", "RGBX;16", "RGBA;16", "LA;16")
_SWAPPED = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}


def is_wide(image: Any) -> bool:
    """Whether an image that Pillow has opened, and not yet decoded, has more than 8 bits a channel.

    They are grey ones of 16 and 32 bits and of floating point, and 16-bit grey with transparency and colour in PNG and
    TIFF. Of PPM and JPEG 2000 Pillow itself makes bytes, by the range that the file states.

    Example:
        >>> from PIL import Image
        >>> [is_wide(Image.new(mode, (1, 1))) for mode in ("I;16", "F", "RGB")]
        [True, True, False]
    """
    return image.mode[:1] in ("I", "F") or _layout(image)[:-1] in _COLOURS


def wide_values(image_module: Any, image: Any) -> tuple[np.ndarray, np.ndarray | None]:
    """All bits of an image that is wide: values (H, W), or (H, W, 3) of colours, and opacity (H, W) uint8 or None.

    Pillow has no mode for 16-bit colours and gives the upper byte of each. Decoded as if the bytes were in the other
    order, it gives the lower one.
    """
    layout = _layout(image)
    if layout[:-1] not in _COLOURS:
        return np.asarray(image), None
    other = image_module.open(io.BytesIO(image.fp.getvalue()))
    other_layout = "RGBA" if layout.startswith("LA") else layout[:-1] + _SWAPPED[layout[-1]]
    other.tile = [_with_layout(tile, other_layout) for tile in other.tile]
    if layout.startswith("LA"):  # grey and opacity, two bytes each
        image.load()
        pairs = np.asarray(other).astype(np.uint16)
        return pairs[..., 0] * 256 + pairs[..., 1], pairs[..., 2].astype(np.uint8)
    upper, lower = np.asarray(image), np.asarray(other)
    values = upper[..., :3].astype(np.uint16) * 256 + lower[..., :3]
    return values, upper[..., 3] if upper.shape[2] == 4 else None


def _layout(image: Any) -> str:
    """How the file holds the pixels, in Pillow's words; "" where it does not say."""
    tiles = getattr(image, "tile", None)
    if not tiles or tiles[0][0] not in ("zip", "raw", "libtiff"):
        return ""
    return tiles[0][3] if isinstance(tiles[0][3], str) else str(tiles[0][3][0])


def _with_layout(tile: Any, layout: str) -> Any:
    arguments = layout if isinstance(tile[3], str) else (layout, *tile[3][1:])
    return tile._replace(args=arguments) if hasattr(tile, "_replace") else (*tile[:3], arguments)


def kind_of(values: np.ndarray) -> str:
    """``"float"`` or ``"int"``."""
    return "float" if values.dtype.kind == "f" else "int"


def span_of(low: float, high: float, kind: str) -> tuple[float, float]:
    """The range that values between ``low`` and ``high`` are taken to be out of.

    Whole numbers from 0 on are out of the fewest bits, 8 to 32, that hold them; floats out of [0, 1], or of [0, 255] if
    one is above 1. With a value below 0, or floats above 255, the range is ``low`` to
    ``high`` itself.

    Example:
        >>> span_of(3, 4000, "int"), span_of(0.1, 0.9, "float"), span_of(-5, 9, "int")
        ((0.0, 4095.0), (0.0, 1.0), (-5.0, 9.0))
    """
    if low >= 0 and kind == "int":
        return 0.0, float(next(2**bits - 1 for bits in _BITS if high < 2**bits))
    if low >= 0 and high <= WHOLE:
        return 0.0, 1.0 if high <= 1 else WHOLE
    return float(low), float(high)


WHOLE = 255.0


def to_bytes(values: Any, spans: Spans | None = None) -> np.ndarray:
    """Values (H, W) or (H, W, C) of any kind as uint8; without a span of their kind they have that of their own values.

    Whole numbers of b bits lose the lower b - 8 of them, other values are mapped linearly and rounded; what lies
    outside the span becomes 0 or 255.

    Raises:
        ValueError: values that are NaN or infinite.

    Example:
        >>> to_bytes(np.array([[0, 256, 65535]], np.uint16)), to_bytes(np.array([[0.0, 0.5]]))
        (array([[  0,   1, 255]], dtype=uint8), array([[  0, 128]], dtype=uint8))
    """
    array = np.asarray(values)
    kind = kind_of(array)
    if kind == "float" and not np.isfinite(array).all():
        raise ValueError("it holds NaN or infinite values")
    low, high = (spans or {}).get(kind) or span_of(float(array.min()), float(array.max()), kind)
    if high == low:
        return np.zeros(array.shape, np.uint8)
    shifted = array.astype(np.float64) - low
    scaled = np.floor(shifted * 256 / (high - low + 1)) if kind == "int" else np.rint(shifted * 255 / (high - low))
    return np.clip(scaled, 0, 255).astype(np.uint8)
