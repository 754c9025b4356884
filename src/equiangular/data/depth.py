"""Images of more than 8 bits to bytes: by a range of values that is found over a whole set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

# Per kind of number, "int" or "float": the values that become 0 and 255.
Spans = Mapping[str, "tuple[float, float]"]
_BITS = range(8, 33)  # all of them: from 16 to 24 at once a value of 66,000 would become 1


def is_wide(mode: str) -> bool:
    """Whether images of a mode of Pillow have more than 8 bits: 16-bit, 32-bit and floating-point grey.

    Example:
        >>> [is_wide(mode) for mode in ("I;16B", "F", "L")]
        [True, True, False]
    """
    return mode[:1] in ("I", "F")


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
    """Grey values (H, W) of any kind as uint8; without a span of their kind they have that of their own values.

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
