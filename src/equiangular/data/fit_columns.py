"""Finding out what the columns of a training table are: numbers, categories, dates, texts, or nothing to learn from."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import numpy as np

from equiangular._counted import counted
from equiangular._extras import require
from equiangular.data.cells import (
    DATE_FORMATS,
    NUMBER,
    as_numbers,
    as_seconds,
    as_spans,
    as_texts,
    flat,
    is_date,
    is_number,
    is_span,
    is_text,
    parsed_dates,
    parsed_spans,
)
from equiangular.data.columns import DAY, FAR, LARGEST, Column, Columns, UnreadableError, beyond_float32
from equiangular.data.doubts import nearly_numbers, over_lines
from equiangular.data.texts import fit_vocabulary

MAX_LEVELS = 40  # values of a text column up to which they are levels of a category
MAX_TERMS = 256  # numbers that stand for a text column at most
_LOOKED_AT = 10_000  # rows, evenly spaced, on which a loss of values is looked for
_KEYS = {"id", "ids", "uuid", "guid", "identifier", "key", "index", "idx", "unnamed", "rowname", "rownames"}


def fit_columns(table: Any, rows: np.ndarray | None = None) -> tuple[Columns, list[str]]:
    """What the columns of a table are, and what has to be said about them.

    The kind of a column is told from all its values; means, levels and vocabularies come from ``rows`` alone.

    - Numbers are numbers, and so are texts that all read as numbers and none of which begins with a 0 that a number
      would not have. Times of day and spans of time, also as texts, are their seconds.
    - ``true`` and ``false`` are truth values.
    - Dates are dates, and so are texts that all read as one of the usual ways of writing them.
    - Texts with at most 40 values, of which some repeat, are categories; others are texts (TF-IDF, 256 terms at most).
    - Left out: identifiers (a name like ``id``, ``row_id``, ``index`` with another value in every row, or texts in
      most rows), single words that are different in every row, columns without values, and lists, structs and bytes.

    Args:
        table: a ``pyarrow.Table`` without its labels.
        rows: (n,) positions of the training rows; all by default.

    Raises:
        ValueError: no column is left, or a training row that cannot be read.

    Example:
        >>> import pyarrow as pa
        >>> table = pa.table({"id": [7, 8, 9], "size": ["1.5", "2", None], "kind": ["x", "y", "x"]})
        >>> columns, notes = fit_columns(table)
        >>> [(column.name, column.kind) for column in columns.columns]
        [('size', 'number'), ('kind', 'category')]
        >>> columns.left_out
        {'id': 'an identifier, by its name and its values'}
    """
    rows = np.arange(table.num_rows) if rows is None else rows
    found: list[Column] = []
    left_out: dict[str, str] = {}
    notes: list[str] = []
    for name, column in zip(table.column_names, table.columns, strict=True):
        fitted = _fit(column, name, rows, notes)
        if isinstance(fitted, Column):
            found.append(fitted)
        else:
            left_out[name] = fitted
    if not found:
        why = "; ".join(f"{name!r} is left out, {reason}" for name, reason in left_out.items())
        raise ValueError(f"there is nothing to learn from: {why or 'it has no column beside the label'}.")
    columns = Columns(tuple(found), left_out)
    notes += [f"column {name!r} is left out: {reason}" for name, reason in left_out.items()]
    return columns, [*_summary(columns), *notes]


def _summary(columns: Columns) -> list[str]:
    """What the columns are, where they are not numbers without holes all of them."""
    kinds = sorted(Counter(column.kind for column in columns.columns).items())
    missing = sum(column.missing for column in columns.columns)
    if not missing and [kind for kind, _ in kinds] == ["number"]:
        return []
    *first, last = [f"{count} {kind}" for kind, count in kinds]
    said = f"{', '.join(first)} and {last}" if first else last
    holes = f"; values are missing in {missing} of them" if missing else ""
    own, made = counted(len(columns.columns), "column"), counted(len(columns.names), "number")
    return [f"{own}, {said}, {'becomes' if len(columns.columns) == 1 else 'become'} {made}{holes}"]


def _fit(column: Any, name: str, rows: np.ndarray, notes: list[str]) -> Column | str:
    """A column, or why it is none."""
    compute = require("pyarrow.compute", extra="data", purpose="Reading tables")
    types = require("pyarrow.types", extra="data", purpose="Reading tables")
    if column.null_count == len(column):
        return "no value in it"
    kind = column.type
    if types.is_dictionary(kind) and not is_text(kind):
        column = flat(column)
        kind = column.type
    if is_text(kind):
        texts = as_texts(column, name)
        values = compute.unique(texts.drop_null())
        present = len(texts) - texts.null_count
        if not len(values):
            return "no value in it"
        if _is_key(name) and 2 * len(values) > present:
            return "an identifier, by its name and its values"
        fitted = _fit_text(texts, values, present, name, rows, notes)
        kind = fitted.kind if isinstance(fitted, Column) else ""
        if kind in ("", "category", "text"):
            notes += nearly_numbers(values, name, {"": "left out", "text": "read as words"}.get(kind, "a category"))
            notes += over_lines(texts, name)
        return fitted
    if types.is_boolean(kind):
        return _number(as_numbers(column, name)[0], name, rows, notes, kind="boolean")
    if is_number(kind):
        numbers = as_numbers(column, name)[0]
        whole = not types.is_floating(kind)
        if _is_key(name) and whole and compute.count_distinct(column, mode="all").as_py() == len(column) > 1:
            return "an identifier, by its name and its values"
        return _number(numbers, name, rows, notes, exact=column if whole else None)
    if is_span(kind):
        return _number(as_spans(column, name)[0], name, rows, notes, kind="time")
    if is_date(kind):
        return _date(as_seconds(column, name, "")[0], name, rows, "")
    return f"it holds {kind}"


def _fit_text(texts: Any, values: Any, present: int, name: str, rows: np.ndarray, notes: list[str]) -> Column | str:
    """A column of texts: ``values`` are its different values, ``present`` how many rows have one."""
    compute = require("pyarrow.compute", extra="data", purpose="Reading tables")

    def all_match(pattern: str) -> bool:
        return bool(compute.all(compute.match_substring_regex(values, pattern)).as_py())

    if all_match(NUMBER) and not compute.any(compute.match_substring_regex(values, r"^[+-]?0\d")).as_py():
        numbers = as_numbers(texts, name)[0]
        whole = all_match(r"^[+-]?\d+$")
        if _is_key(name) and whole and len(values) == present > 1:
            return "an identifier, by its name and its values"
        return _number(numbers, name, rows, notes, exact=texts if whole else None)
    if not np.isnan(parsed_spans(values.slice(0, 20))).any() and not np.isnan(parsed_spans(values)).any():
        return _number(as_spans(texts, name)[0], name, rows, notes, kind="time")
    if all_match("^(?i:true|false)$"):
        return _number(as_numbers(texts, name, boolean=True)[0], name, rows, notes, kind="boolean")
    form = _date_format(values, name, notes)
    if form is not None:
        return _date(as_seconds(texts, name, form)[0], name, rows, form)
    own = texts.take(rows)
    missing = bool(own.null_count)
    if len(values) <= MAX_LEVELS and len(values) < max(present, 3):
        levels = tuple(sorted(compute.unique(own.drop_null()).to_pylist()))
        return Column(name, "category", missing, levels=levels) if levels else "no value in the training part"
    if len(values) == present and not compute.any(compute.match_substring_regex(values, r"\s")).as_py():
        return "another word in every row"
    try:
        terms = fit_vocabulary([text or "" for text in own.to_pylist()], max_features=MAX_TERMS)
    except ValueError:
        return "no word in it"
    return Column(name, "text", missing, vocabulary=terms)


def _number(
    numbers: np.ndarray, name: str, rows: np.ndarray, notes: list[str], *, kind: Any = "number", exact: Any = None
) -> Column | str:
    """A column of ``numbers`` (N,) float64; ``exact`` is the Arrow column of whole numbers that they are read from."""
    own = numbers if len(rows) == len(numbers) else numbers.take(rows)
    with np.errstate(over="ignore", invalid="ignore"):
        mean, missing = own.mean(), False
    if not np.isfinite(mean):
        _check_range(numbers, name)
        missing, own = bool(np.isnan(own).any()), own[~np.isnan(own)]
        if not len(own):
            return "no value in the training part"
        mean = own.mean()
    low, high = float(own.min()), float(own.max())
    if max(abs(low), abs(high)) > LARGEST:
        _check_range(numbers, name)
    centre = 0.0
    if max(abs(low), abs(high)) > FAR * (high - low) > 0:
        centre = float(np.round(mean))
        notes.append(f"column {name!r}: its values lie far from 0 for their range; {centre:.15g} is taken off them")
    step = max(1, len(own) // _LOOKED_AT)
    sample = own[::step] - centre
    before, after = len(np.unique(sample)), len(np.unique(sample.astype(np.float32)))
    if exact is not None and max(abs(low), abs(high)) > 2**53:  # float64 has rounded them already
        before = len(flat(exact).take(rows).drop_null()[::step].unique())
    if after < before:
        notes.append(
            f"column {name!r}: float32 keeps {after:,} of {before:,} different values; scale it, or take an offset off"
        )
    return Column(name, kind, missing, centre=centre, fill=float(mean) - centre)


def _check_range(numbers: np.ndarray, name: str) -> None:
    """Raise if numbers (N,) of a column are infinite in float32: of all of them, of the test part too, at once."""
    beyond = np.flatnonzero(np.abs(numbers) > LARGEST)
    if len(beyond):
        raise UnreadableError({int(at): beyond_float32(name, float(numbers[at])) for at in beyond})


def _date(seconds: np.ndarray, name: str, rows: np.ndarray, form: str) -> Column | str:
    own = seconds[rows]
    known = own[~np.isnan(own)]
    if not len(known):
        return "no value in the training part"
    centre = float(np.round(known.mean() / DAY) * DAY)
    cycles = ("year", "week", *(("day",) if (known % DAY != 0).any() else ()))
    return Column(name, "date", len(known) < len(own), centre=centre, format=form, cycles=cycles)


def _date_format(values: Any, name: str, notes: list[str]) -> str | None:
    """How the dates of a column are written; None where they are none."""
    head = values.slice(0, 20)
    fits = [form for form in DATE_FORMATS if parsed_dates(head, form) is not None]
    fits = [form for form in fits if parsed_dates(values, form) is not None]
    if not fits:
        return None
    if {"%m/%d/%Y", "%d/%m/%Y"} <= set(fits) or {"%m/%d/%y", "%d/%m/%y"} <= set(fits):
        notes.append(f"column {name!r}: its dates could have the day or the month first; read as {fits[0]}")
    return fits[0]


def _is_key(name: str) -> bool:
    """Whether a name is one of identifiers: ``id``, ``customer_id``, ``PassengerId``, ``Unnamed: 0``, or none at all.

    Example:
        >>> [_is_key(name) for name in ("", "Individual ID", "PassengerId", "rownames", "width", "period")]
        [True, True, True, True, False, False]
    """
    words = re.findall(r"[a-z]+|[A-Z]+(?![a-z])|[A-Z][a-z]+", name)
    lowered = [word.lower() for word in words]
    if not lowered:
        return not name.strip()
    return lowered[0] in _KEYS or lowered[-1] in _KEYS or "".join(lowered) in _KEYS
