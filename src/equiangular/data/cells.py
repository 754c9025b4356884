"""Cells of Arrow columns as numbers, seconds or texts: one way for every form of table, whatever its types are."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

import numpy as np

from equiangular._extras import require

# What stands for a missing value in texts, as pandas reads them.
NULL_WORDS = (
    "",
    "#N/A",
    "#N/A N/A",
    "#NA",
    "-1.#IND",
    "-1.#QNAN",
    "-NaN",
    "-nan",
    "1.#IND",
    "1.#QNAN",
    "<NA>",
    "N/A",
    "NA",
    "NULL",
    "NaN",
    "None",
    "n/a",
    "nan",
    "null",
)
NUMBER = r"^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$|^[+-]?(?i:inf|infinity)$"
TRUTHS = {"true": 1.0, "false": 0.0, "1": 1.0, "0": 0.0}


def _arrow() -> tuple[Any, Any, Any]:
    names = ("pyarrow", "pyarrow.compute", "pyarrow.types")
    pa, compute, types = (require(name, extra="data", purpose="Reading tables") for name in names)
    return pa, compute, types


def flat(column: Any) -> Any:
    """A column as one ``pyarrow.Array``, its dictionary decoded."""
    pa, _compute, types = _arrow()
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(array, pa.ChunkedArray):  # too long for one, or empty
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
    if types.is_dictionary(array.type):
        array = array.dictionary_decode()
    return array


def nulls(column: Any) -> np.ndarray:
    """(N,) bool: where a column has no value."""
    return np.asarray(flat(column).is_null())


def is_text(kind: Any) -> bool:
    """Whether an Arrow type is one of texts, or of a dictionary of texts."""
    types = _arrow()[2]
    kind = kind.value_type if types.is_dictionary(kind) else kind
    is_view = getattr(types, "is_string_view", None)  # from pyarrow 16 on
    return bool(types.is_string(kind) or types.is_large_string(kind) or (is_view is not None and is_view(kind)))


def is_number(kind: Any) -> bool:
    """Whether an Arrow type is one of numbers."""
    types = _arrow()[2]
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind))


def is_span(kind: Any) -> bool:
    """Whether an Arrow type is one of times of day or of spans of time."""
    types = _arrow()[2]
    return bool(types.is_time(kind) or types.is_duration(kind))


def is_date(kind: Any) -> bool:
    """Whether an Arrow type is one of dates."""
    types = _arrow()[2]
    return bool(types.is_timestamp(kind) or types.is_date(kind))


def as_texts(column: Any, name: str) -> Any:
    """A column as an Arrow array of texts without blanks at their ends; null where they say that there is no value.

    Whole numbers in floating point are written without a point.
    """
    pa, compute, _types = _arrow()
    array = flat(column)
    if not is_text(array.type):
        array = plain_texts(array, name)
    array = compute.utf8_trim_whitespace(compute.cast(array, pa.string()))
    return compute.if_else(compute.is_in(array, value_set=pa.array(NULL_WORDS)), pa.scalar(None, pa.string()), array)


def plain_texts(column: Any, name: str) -> Any:
    """A column as an Arrow array of texts as a CSV file has them; null where there is none.

    A date is ``2020-03-31``, with a time of the day ``2020-03-31 23:59:59``, of a second as many digits as it has; a
    number of 1e16 and more is written as Python does.

    Raises:
        ValueError: a column of lists, structs or bytes.
    """
    pa, compute, types = _arrow()
    array = flat(column)
    if is_text(array.type):
        return compute.cast(array, pa.string())
    if types.is_null(array.type):
        return array.cast(pa.string())
    if types.is_boolean(array.type):
        return compute.if_else(array, "True", "False")
    if types.is_floating(array.type):
        values = array.to_numpy(zero_copy_only=False).astype(np.float64)
        whole = [None if np.isnan(v) else repr(float(v) + 0.0).removesuffix(".0") for v in values]
        return pa.array(whole, pa.string())
    if is_date(array.type) or types.is_time(array.type):
        texts = compute.cast(array, pa.string())
        for cut, by in ((r"(\.[0-9]*?)0+(Z?)$", r"\1\2"), (r"\.(Z?)$", r"\1"), (r" 00:00:00$", "")):
            texts = compute.replace_substring_regex(texts, cut, by)
        return texts
    if types.is_duration(array.type):  # Arrow's own text is a number in whatever unit the file has
        micro = compute.cast(array, pa.duration("us"), safe=False).cast(pa.int64()).to_pylist()
        return pa.array([None if value is None else _span_text(value) for value in micro], pa.string())
    if is_number(array.type):
        return compute.cast(array, pa.string())
    raise ValueError(f"column {name!r} holds {array.type}, which is neither text nor number.")


def _span_text(micro: int) -> str:
    """A span of time in microseconds as pandas writes it into a CSV file.

    Example:
        >>> _span_text(3_600_000_000), _span_text(-500_000)
        ('0 days 01:00:00', '-1 days +23:59:59.500000')
    """
    days, rest = divmod(micro, 86_400_000_000)
    seconds, part = divmod(rest, 1_000_000)
    clock = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return f"{days} days {'+' if days < 0 else ''}{clock}{f'.{part:06d}' if part else ''}"


def as_numbers(column: Any, name: str, *, boolean: bool = False) -> tuple[np.ndarray, dict[int, str]]:
    """A column as (N,) float64, not to be written to, NaN where a value is missing; and the rows that hold no number.

    Raises:
        ValueError: a type that holds no numbers.
    """
    pa, compute, types = _arrow()
    array, bad = flat(column), {}
    if is_text(array.type):
        texts = as_texts(array, name)
        if boolean:
            lowered = compute.utf8_lower(texts)
            place = compute.index_in(lowered, value_set=pa.array(list(TRUTHS)))
            bad = _wrong(texts, place.is_valid(), f"column {name!r} holds {{}}, neither true nor false")
            array = compute.take(pa.array(list(TRUTHS.values())), place)
        else:
            try:
                array = compute.cast(texts, pa.float64())
            except pa.ArrowInvalid:
                right = compute.match_substring_regex(texts, NUMBER)
                bad = _wrong(texts, right, f"column {name!r} holds {{}}, not a number")
                array = compute.cast(compute.if_else(right, texts, pa.scalar(None, pa.string())), pa.float64())
    elif types.is_boolean(array.type):
        array = compute.cast(array, pa.uint8())
    elif types.is_null(array.type):
        array = array.cast(pa.float64())
    elif not is_number(array.type):
        raise ValueError(f"column {name!r} holds {array.type}, not numbers.")
    return compute.cast(array, pa.float64(), safe=False).to_numpy(zero_copy_only=False), bad


# Times of day and spans of time as texts: 8:30, 23:59:59.5, 8:30 PM; 1 days 02:03:04 and -1 days +22:58:20, as pandas
# and Python write them; 3 days; and ISO 8601 (P1DT2H30M).
SPANS = (
    r"^(?:(?P<days>[+-]?\d+) days?,? )?(?P<sign>[+-]?)(?P<h>\d+):(?P<m>[0-5]\d)(?::(?P<s>[0-5]\d(?:\.\d+)?))?"
    r"(?: ?(?P<half>[AaPp])\.?[Mm]\.?)?$",
    r"^(?P<days>[+-]?\d+) days?$",
    r"^(?P<all>[+-]?)P(?:(?P<days>\d+)D)?(?:T(?:(?P<h>\d+)H)?(?:(?P<m>\d+)M)?(?:(?P<s>\d+(?:\.\d+)?)S)?)?$",
)
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


def as_spans(column: Any, name: str) -> tuple[np.ndarray, dict[int, str]]:
    """Times of day and spans of time, in any unit, as (N,) float64 seconds; and the rows that hold something else.

    Raises:
        ValueError: a type that holds neither.
    """
    pa, compute, types = _arrow()
    array = flat(column)
    if types.is_null(array.type):
        array = array.cast(pa.duration("us"))
    if is_text(array.type):
        texts = as_texts(array, name)
        seconds = parsed_spans(texts)
        return seconds, _wrong(texts, pa.array(~np.isnan(seconds)), f"column {name!r} holds {{}}, not a time")
    if not is_span(array.type):
        raise ValueError(f"column {name!r} holds {array.type}, not times of day or spans of time.")
    whole = array.cast(pa.int32() if types.is_time32(array.type) else pa.int64())
    values = compute.cast(whole, pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return values / _PER_SECOND[array.type.unit], {}


def parsed_spans(texts: Any) -> np.ndarray:
    """Texts as (N,) float64 seconds, see :data:`SPANS`; NaN where one is no time.

    Example:
        >>> import pyarrow as pa
        >>> parsed_spans(pa.array(["0:01:30.5", "12:10 am", "-1 days +23:59:59", "PT2M", "13:00 PM"]))
        array([ 90.5, 600. ,  -1. , 120. ,   nan])
    """
    pa, compute, _ = _arrow()
    seconds = np.full(len(texts), np.nan)
    for pattern in SPANS:
        found = compute.extract_regex(texts, pattern)
        right = np.asarray(found.is_valid()) & np.asarray(compute.match_substring_regex(texts, r"\d").fill_null(False))
        if not right.any():
            continue
        fields = {f.name: compute.struct_field(found, f.name) for f in found.type}

        def part(key: str, fields: dict[str, Any] = fields) -> np.ndarray:
            if key not in fields:
                return np.zeros(len(texts))
            filled = compute.if_else(compute.equal(fields[key], ""), "0", fields[key])
            number: np.ndarray = compute.cast(compute.fill_null(filled, "0"), pa.float64()).to_numpy(False)
            return number

        def has(key: str, text: str, fields: dict[str, Any] = fields) -> np.ndarray:
            if key not in fields:
                return np.zeros(len(texts), dtype=bool)
            return np.asarray(compute.equal(compute.utf8_lower(fields[key]), text).fill_null(False))

        half = has("half", "a") | has("half", "p")
        right &= ~half | ((part("h") <= 12) & (part("days") == 0) & ~has("sign", "-"))  # 13:00 PM is no time
        hours = np.where(half, part("h") % 12 + 12 * has("half", "p"), part("h"))
        clock = (3600 * hours + 60 * part("m") + part("s")) * np.where(has("sign", "-"), -1, 1)
        total = (86400 * part("days") + clock) * np.where(has("all", "-"), -1, 1)
        seconds[right] = total[right]
    return seconds


# How dates are written, as for ``strptime``; "" is ISO 8601.
DATE_FORMATS = (
    "",
    "%Y/%m/%d",
    "%d.%m.%Y",
    "%d.%m.%y",
    "%m/%d/%y",
    "%d/%m/%y",
    "%m/%d/%Y",
    "%d/%m/%Y",
    "%d-%m-%Y",
    "%b %d %Y",
    "%d %b %Y",
    "%d-%b-%Y",
    "%d %b %y",
    "%d-%b-%y",
    "%B %d, %Y",
    "%Y/%m/%d %H:%M:%S",
    "%Y/%m/%d %H:%M",
    "%d.%m.%Y %H:%M",
    "%m/%d/%Y %H:%M",
    "%d/%m/%Y %H:%M",
)
_PARTS = {
    " ": r"\s+",
    "%d": r"(?P<day>\d{1,2})",
    "%Y": r"\d{4}",
    "%b": "[A-Za-z]{3}",
    "%B": "[A-Za-z]{3,}",
    "%y": r"\d{2}",
    **dict.fromkeys(("%m", "%H", "%M", "%S"), r"\d{1,2}"),
}


def as_seconds(column: Any, name: str, form: str) -> tuple[np.ndarray, dict[int, str]]:
    """A column of dates as (N,) float64 seconds since 1970, NaN where missing, and the rows that hold something else.

    Dates with a time zone are taken in UTC.

    Raises:
        ValueError: a type that holds no dates.
    """
    pa, compute, types = _arrow()
    array, bad = flat(column), {}
    if types.is_null(array.type):
        array = array.cast(pa.timestamp("us"))
    elif is_text(array.type):
        texts = as_texts(array, name)
        array = parsed_dates(texts, form)
        if array is None:
            values = [parsed_dates(texts.slice(i, 1), form) for i in range(len(texts))]
            right = pa.array([value is not None for value in values])
            shown = datetime(2020, 12, 31, 23, 59).strftime(form or "%Y-%m-%d")
            bad = _wrong(texts, right, f"column {name!r} holds {{}}, not a date as in training, such as {shown}")
            kept = [pa.nulls(1, pa.timestamp("us")) if value is None else value for value in values]
            array = pa.concat_arrays(kept) if kept else pa.array([], pa.timestamp("us"))
    elif not is_date(array.type):
        raise ValueError(f"column {name!r} holds {array.type}, not dates.")
    micro = compute.cast(array, pa.timestamp("us", getattr(array.type, "tz", None)), safe=False).cast(pa.int64())
    return compute.cast(micro, pa.float64(), safe=False).to_numpy(zero_copy_only=False) / 1e6, bad


def parsed_dates(texts: Any, form: str) -> Any:
    """Texts as Arrow dates in microseconds, in UTC where they have a zone; None where one of them is none."""
    pa, compute, _ = _arrow()
    if form:
        # Arrow takes 20 for the year 20 where four digits are due, and 31 February for 3 March.
        found = compute.extract_regex(texts, pattern=date_shape(form))
        if found.null_count > texts.null_count:
            return None
        try:
            dates = compute.strptime(texts, format=form, unit="us")
        except pa.ArrowInvalid:
            return None
        days = compute.struct_field(found, "day").cast(pa.int64())
        return dates if compute.all(compute.equal(compute.day(dates), days), min_count=0).as_py() is not False else None
    for kind in (pa.timestamp("us"), pa.timestamp("us", "UTC")):
        try:
            return compute.cast(texts, kind).cast(pa.timestamp("us"))
        except pa.ArrowInvalid:
            continue
    return None


def date_shape(form: str) -> str:
    """The regular expression of texts of a date format, the day as its group ``day``.

    Example:
        >>> re.match(date_shape("%d.%m.%Y"), "5.3.2020")["day"], re.match(date_shape("%d.%m.%Y"), "5.3.20")
        ('5', None)
    """
    if not form:
        return r"^\d{4}-\d{2}-\d{2}(?:[T ].*)?$"
    parts = re.split(r"(%[a-zA-Z]| )", form)
    return r"^\s*" + "".join(_PARTS.get(part, re.escape(part)) for part in parts) + r"\s*$"


def _wrong(texts: Any, right: Any, message: str) -> dict[int, str]:
    """The rows with a text that is not right, each with the message about it."""
    wrong = np.asarray(texts.is_valid()) & ~np.asarray(right.fill_null(False))
    return {int(i): message.format(repr(texts[int(i)].as_py()[:40])) for i in np.flatnonzero(wrong)}
