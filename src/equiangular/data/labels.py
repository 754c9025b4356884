"""Labels of a table: which column they are, and what it holds as indices into names of classes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from equiangular._extras import require
from equiangular._guarded import parse_json
from equiangular._validate import did_you_mean
from equiangular.data.base import check_names_differ
from equiangular.data.cells import NULL_WORDS, flat, is_text, plain_texts

LABEL = "label"
# Columns that are the labels without being named: the first of them that a table has, if it is the only one.
LABEL_NAMES = ("label", "labels", "target", "class", "y")


def find_label(names: Sequence[str], label: str | None, where: str, drop: Sequence[str] = ()) -> str:
    """The column of labels: the one that is asked for, ``label``, or the only one with another usual name.

    Columns to ``drop`` are none of those.

    Raises:
        ValueError: no such column, or several that could be it, or one to drop that is not there or is the column of
            labels; the columns are named.

    Example:
        >>> find_label(["size", "target"], None, "here"), find_label(["y", "target"], None, "here", drop=["y"])
        ('target', 'target')
    """
    columns = f"its columns are {', '.join(names)}"
    absent = next((name for name in drop if name not in names), None)
    if absent is not None:
        raise ValueError(
            f"{where} has no column {absent!r} to drop{did_you_mean(absent, list(names))[:-1]}; {columns}."
        )
    if label is not None and label in drop:
        raise ValueError(f"column {label!r} of {where} is the label, and to be dropped as well. Take it out of one.")
    left = [name for name in names if name not in drop]
    if label is not None:
        if label not in names:
            raise ValueError(f"{where} has no column {label!r}{did_you_mean(label, list(names))[:-1]}; {columns}.")
        return label
    if usual := usual_label(left):
        return usual
    found = [name for name in LABEL_NAMES if name in left]
    what = f"several columns that could be the labels, {' and '.join(found)}" if found else f"no column {LABEL!r}"
    if LABEL in drop:
        what += " but the one to drop"
    raise ValueError(f"{where} has {what}; {columns}. Name the one to learn with label='COLUMN' (--label).")


def usual_label(names: Sequence[str]) -> str | None:
    """The column that holds the labels by its name: ``label``, or the only one with another usual name.

    Example:
        >>> usual_label(["size", "target"]), usual_label(["y", "class"])
        ('target', None)
    """
    found = [name for name in LABEL_NAMES if name in names]
    return found[0] if LABEL in found or len(found) == 1 else None


_NUMBER = re.compile(r"[+-]?(?:(?:0|[1-9]\d*)(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?")


def read_labels(column: Any, name: str, stated: Sequence[str] | None) -> tuple[np.ndarray, list[str]]:
    """Labels as indices (N,) int64 into class names, and the names; -1 where there is none.

    Whole numbers are indices already where names are ``stated``, and -1 or less is none of them. Else labels are names,
    as they stand but for blanks at their ends: ``001`` and ``1`` are two of them. Where all are numbers, some of them
    with a point, ``1.0`` is ``1``; beside nothing but numbers ``NA`` and its like are no label. Names are in ascending
    order, by value if all are whole numbers.

    Raises:
        ValueError: a column of structs, lists or bytes, or of numbers that are not whole.

    Example:
        >>> import pyarrow as pa
        >>> read_labels(pa.array(["10", "9", None]), "label", None)
        (array([ 1,  0, -1]), ['9', '10'])
    """
    compute = require("pyarrow.compute", extra="data", purpose="Reading tables")
    types = require("pyarrow.types", extra="data", purpose="Reading tables")
    array = flat(column)
    if stated is not None and types.is_integer(array.type):
        return compute.fill_null(array, -1).to_numpy(zero_copy_only=False).astype(np.int64), list(stated)
    if types.is_nested(array.type) or types.is_binary(array.type) or types.is_large_binary(array.type):
        raise ValueError(f"column {name!r} holds {array.type}. Labels are texts or whole numbers.")
    coded = compute.dictionary_encode(array)
    names = [(text or "").strip() or None for text in plain_texts(coded.dictionary, name).to_pylist()]
    numbers = [n for n in names if n is not None and n not in NULL_WORDS]
    if is_text(array.type) and numbers and all(map(_NUMBER.fullmatch, numbers)):
        names = [n if n in numbers else None for n in names]
    if types.is_floating(array.type) or types.is_decimal(array.type) or _are_fractions(names):
        names = [None if n is None else _whole(n, name) for n in names]
    known = sorted({n for n in names if n is not None})
    if all(re.fullmatch(r"-?\d+", n) for n in known):
        known.sort(key=lambda n: (int(n), n))
    place = {n: i for i, n in enumerate(known)}
    mapped = np.array([-1 if n is None else place[n] for n in names] + [-1], dtype=np.int64)
    return mapped[compute.fill_null(coded.indices, len(names)).to_numpy(zero_copy_only=False)], known


def _are_fractions(names: Sequence[str | None]) -> bool:
    """Whether texts are numbers all of them, some written with a point, none with a 0 that a number would not have."""
    known = [n for n in names if n is not None]
    return any(re.search("[.eE]", n) for n in known) and all(map(_NUMBER.fullmatch, known))


def _whole(text: str, name: str) -> str:
    """A number of a column of labels without its point.

    Raises:
        ValueError: it is not whole.
    """
    if not re.fullmatch(r"[+-]?\d+(?:\.0*)?", text):
        raise ValueError(
            f"column {name!r} holds {text}: a class for every number is hardly meant. Labels are texts or whole "
            f"numbers; write 'n{text}', or cut the column into ranges and call each by a word."
        )
    return text.partition(".")[0]


def stated_class_names(metadata: dict[bytes, bytes] | None, label: str = LABEL) -> tuple[str, ...] | None:
    """The names of a ClassLabel feature in the metadata that ``datasets`` writes into a parquet schema."""
    try:
        features = parse_json((metadata or {})[b"huggingface"])["info"]["features"]
        names = tuple(str(name) for name in {key.strip(): f for key, f in features.items()}[label]["names"])
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    check_names_differ(names, "the file's list of class names")
    return names
