"""From records to plain values and back, and truth values as text. Plain Python."""

from __future__ import annotations

import base64
import math
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, Literal


def pack(correct: Sequence[bool]) -> str:
    """Truth values as text, eight to a byte, base64.

    Example:
        >>> pack([True, False, True]), unpack(pack([True, False, True]), 3)
        ('oA==', [True, False, True])
    """
    padded = [*map(bool, correct), *[False] * (-len(correct) % 8)]
    bits = (sum(bit << 7 - j for j, bit in enumerate(padded[i : i + 8])) for i in range(0, len(padded), 8))
    return base64.b64encode(bytes(bits)).decode()


def unpack(text: str, number: int) -> list[bool]:
    """The first ``number`` truth values of :func:`pack`.

    Raises:
        ValueError: there are not so many.
    """
    data = base64.b64decode(text)
    if not 0 <= 8 * len(data) - number < 8:
        raise ValueError(f"{8 * len(data)} truth values where {number} are expected; the record is damaged.")
    return [bool(data[i // 8] >> 7 - i % 8 & 1) for i in range(number)]


WHOLE_MATRIX = 1000  # classes up to which a confusion matrix is kept with its zeros


def pack_confusion(entries: Iterable[tuple[int, int, int]], num_classes: int) -> list[list[int]] | dict[str, Any]:
    """A confusion matrix (K, K) for a file, from what of it is not 0: (true class, predicted class, count), in order.

    Up to 1,000 classes a list of K rows of K counts. Beyond ``{"classes": K, "rows": [...]}`` with a text for each true
    class, ``predicted:count`` and blanks between: 10,000 classes as rows of counts are 700 MB.

    Example:
        >>> pack_confusion([(0, 0, 2), (1, 0, 3)], 2), pack_confusion([(1, 0, 3), (1, 7, 1)], 1001)["rows"][:2]
        ([[2, 0], [3, 0]], ['', '0:3 7:1'])
    """
    if num_classes <= WHOLE_MATRIX:
        matrix = [[0] * num_classes for _ in range(num_classes)]
        for true, predicted, count in entries:
            matrix[true][predicted] = count
        return matrix
    rows: list[list[str]] = [[] for _ in range(num_classes)]
    for true, predicted, count in entries:
        rows[true].append(f"{predicted}:{count}")
    return {"classes": num_classes, "rows": [" ".join(row) for row in rows]}


def unpack_confusion(value: list[list[int]] | Mapping[str, Any] | None) -> list[list[int]]:
    """[true class, predicted class, count] of each cell above 0, in order, of either form of :func:`pack_confusion`.

    Raises:
        ValueError: neither of the two forms.

    Example:
        >>> unpack_confusion([[2, 0], [3, 0]]), unpack_confusion({"classes": 2, "rows": ["0:2", "0:3"]})
        ([[0, 0, 2], [1, 0, 3]], [[0, 0, 2], [1, 0, 3]])
    """
    try:
        if not isinstance(value, Mapping):
            return [[i, j, n] for i, row in enumerate(value or ()) for j, n in enumerate(row) if n]
        return [[i, *map(int, pair.split(":", 1))] for i, row in enumerate(value["rows"]) for pair in row.split()]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"a confusion matrix is rows of counts, or of texts such as '0:3 7:1': {error}.") from error


def plain(value: Any) -> Any:
    """A record, or what it consists of, as JSON-plain values; NaN and infinity become None."""
    if is_dataclass(value):
        return {f.name: plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read(hint: Any, value: Any, where: str) -> Any:
    """``value`` in the type of a field; None is NaN where a number is wanted.

    Raises:
        ValueError: another type, or a field that is missing or unknown; ``where`` names it.
    """
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if isinstance(hint, type) and is_dataclass(hint):
        hints = typing.get_type_hints(hint)
        if not isinstance(value, Mapping):
            raise ValueError(f"{where} must be an object, got {type(value).__name__}.")
        if unknown := sorted(value.keys() - hints.keys()):
            raise ValueError(f"{where} has an unknown field {unknown[0]!r}.")
        try:
            return hint(**{name: read(hints[name], item, f"{where}.{name}") for name, item in value.items()})
        except TypeError as error:
            raise ValueError(f"{where} is incomplete: {error}.") from error
    if origin in (types.UnionType, typing.Union):
        kinds = [option for option in inner if option is not type(None)]
        if all(typing.get_origin(kind) is Literal for kind in kinds):
            return read(Literal[tuple(v for kind in kinds for v in typing.get_args(kind))], value, where)
        return None if value is None else read(kinds[0], value, where)
    if hint is Any:
        return value
    if origin is Literal:
        if value not in inner:
            raise ValueError(f"{where} must be one of {', '.join(map(repr, inner))}, got {value!r}.")
        return value
    if hint is float and (value is None or (isinstance(value, (int, float)) and not isinstance(value, bool))):
        return math.nan if value is None else float(value)
    if origin is list and isinstance(value, list):
        return [read(inner[0], item, where) for item in value]
    if origin is tuple and isinstance(value, list) and len(value) == len(inner):
        return tuple(read(h, item, where) for h, item in zip(inner, value, strict=True))
    if origin is dict and isinstance(value, Mapping):
        return {key: read(inner[1], item, f"{where}[{key!r}]") for key, item in value.items()}
    if origin is None and isinstance(value, hint) and (hint is bool or not isinstance(value, bool)):
        return value
    raise ValueError(f"{where} must be {getattr(hint, '__name__', hint)}, got {value!r}.")
