"""What was found and decided while data were read: told to the user, and kept with the model where it matters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from equiangular._counted import counted

SHOWN = 20  # lines of a list in a message


@dataclass(frozen=True)
class Reading:
    """How a data set was read.

    Attributes:
        size: height and width that images were padded and resized to; None where they came in one size.
        spans: of images of more than 8 bits: the values that became 0 and 255, for ``"int"`` and ``"float"``.
        left_out: images that cannot be read and were left out, each with the reason.
        apart: test samples of classes that the training part lacks, by class: counted, and not scored.

    Example:
        >>> Reading(size=32).left_out
        ()
    """

    size: int | None = None
    spans: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    apart: Mapping[str, int] = field(default_factory=dict)


def apart_note(apart: Mapping[str, int], part: str = "test") -> str:
    """The sentence on samples of classes that training lacks.

    Example:
        >>> apart_note({"zebra": 2, "yak": 1})
        "3 test samples of classes without training samples are not scored: 'yak' (1), 'zebra' (2)"
    """
    named = listed([f"{name!r} ({apart[name]})" for name in sorted(apart)], 6)
    samples = counted(sum(apart.values()), f"{part} sample")
    return f"{samples} of classes without training samples are not scored: {named}"


def constant_note(constant: int, total: int) -> str:
    """The sentence on images all of whose pixels are equal.

    Example:
        >>> constant_note(1, 2000)
        '1 image of 2,000 of one colour throughout'
    """
    return f"{counted(constant, 'image')} of {total:,} of one colour throughout"


def listed(items: Sequence[str], limit: int = SHOWN) -> str:
    """Items with commas, the rest as a number.

    Example:
        >>> listed(["a", "b", "c"], 2)
        'a, b and 1 more'
    """
    rest = len(items) - limit
    return ", ".join(items[:limit]) + (f" and {rest} more" if rest > 0 else "")
