"""What a table says that its owner may not mean: words that are nearly numbers, and quantities for labels."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from equiangular._extras import require
from equiangular.data.cells import DATE_FORMATS, NUMBER, date_shape, parsed_dates, parsed_spans

_DIGITS = r"\d[\d.,' \x{00a0}\x{202f}]*"
_MONEY = r"(?:[$€£¥₹]|USD|EUR|GBP|CHF)"
# With a percent sign or a currency, with a decimal comma, with marks between thousands.
NEARLY = (
    rf"^[+-]?{_DIGITS}\s*[%‰]$",
    rf"^[+-]?{_MONEY}\s*[+-]?{_DIGITS}$",
    rf"^[+-]?{_DIGITS}\s*{_MONEY}$",
    r"^[+-]?\d+,\d+$",
    r"^[+-]?\d{1,3}(?:[,.' \x{00a0}\x{202f}]\d{3})+(?:[.,]\d+)?$",
)
_LOOKED_AT = 10_000  # different values that are looked at
_FEW = 20  # classes that nobody doubts


def nearly_numbers(values: Any, name: str, read_as: str) -> list[str]:
    """A sentence on a column of texts most of which are numbers, dates or times to a reader, but not all to us.

    Args:
        values: Arrow array of its different values.
        name: of the column.
        read_as: what it is taken for.

    Example:
        >>> import pyarrow as pa
        >>> nearly_numbers(pa.array(["$5", "$1,200.50"]), "price", "a category")[0][:69]
        "column 'price': 2 of its 2 different values look like numbers, but '$"
        >>> nearly_numbers(pa.array(["red", "blue", "7"]), "colour", "a category")
        []
    """
    compute = require("pyarrow.compute", extra="data", purpose="Reading tables")
    values = values.slice(0, _LOOKED_AT)

    def matches(pattern: str) -> np.ndarray:
        found: np.ndarray = np.asarray(compute.match_substring_regex(values, pattern))
        return found

    plain = matches(NUMBER)
    like = plain.copy()
    for pattern in NEARLY:
        like |= matches(pattern)
    what, remedy = "numbers", "Write them as 1234.5"
    if 2 * like.sum() <= len(values):
        what, remedy = "times", "Write all of them as 23:59:59"
        plain = like = ~np.isnan(parsed_spans(values))
    if 2 * like.sum() <= len(values):
        what, remedy = "dates", "Write all of them alike, as 2020-03-31"
        shapes = [(matches(date_shape(form)), form) for form in DATE_FORMATS]
        like, form = max(shapes, key=lambda one: int(one[0].sum()))
        plain = (
            like
            if not like.all()
            else np.array([parsed_dates(values[i : i + 1], form) is not None for i in range(len(values))])
        )
    odd = np.flatnonzero(~plain)
    if 2 * like.sum() <= len(values) or not len(odd):
        return []
    example = values[int(odd[0])].as_py()[:40]
    return [
        f"column {name!r}: {like.sum():,} of its {len(values):,} different values look like {what}, but {example!r} is "
        f"not written as one, so that it is {read_as}. {remedy}, and leave cells without one empty, to have {what}"
    ]


def over_lines(texts: Any, name: str) -> list[str]:
    r"""A sentence on a column of which a few cells have line breaks with commas or their like on both sides.

    So does a cell that has taken up rows, because a quote was left open and another stray one closed it.

    Args:
        texts: Arrow array of all cells.
        name: of the column.

    Example:
        >>> import pyarrow as pa
        >>> over_lines(pa.array(["calm", "a,x\n2,5", "calm"] * 2 + ["calm"] * 200), "note")[0][:58]
        "column 'note': 2 cells go over several lines, the first in"
    """
    compute = require("pyarrow.compute", extra="data", purpose="Reading tables")
    pattern = r"[,;\t|][^\n]*\r?\n[^\n]*[,;\t|]"
    found = np.flatnonzero(np.asarray(compute.match_substring_regex(texts, pattern).fill_null(False)))
    if not len(found) or len(found) > max(2, len(texts) // 100):
        return []
    cells = "1 cell goes" if len(found) == 1 else f"{len(found)} cells go"
    return [
        f"column {name!r}: {cells} over several lines, the first in row {found[0] + 1}. Where they should be rows, a "
        "quote in front of them is one too many"
    ]


def _looks_like(names: Sequence[str]) -> str:
    """What most of these texts are to a reader: numbers, times, dates or nothing ("")."""
    pa = require("pyarrow", extra="data", purpose="Reading tables")
    compute = require("pyarrow.compute", extra="data", purpose="Reading tables")
    texts = pa.array(names[:_LOOKED_AT], pa.string())

    def matches(patterns: Iterable[str]) -> np.ndarray:
        found: np.ndarray = np.any([compute.match_substring_regex(texts, pattern) for pattern in patterns], axis=0)
        return found

    shapes = {
        "numbers": matches((NUMBER, *NEARLY)),
        "times": ~np.isnan(parsed_spans(texts)),
        "dates": matches(map(date_shape, DATE_FORMATS)),
    }
    return next((what for what, like in shapes.items() if 2 * like.sum() > len(texts)), "")


def doubtful_labels(names: Sequence[str], samples: int, where: str) -> list[str]:
    """A sentence on labels of which there are nearly as many as samples.

    Whole numbers with wide gaps between them, such as grams or years, and texts that look like numbers, times or dates
    are a quantity if most of them stand for one sample or two.

    Args:
        names: of the classes.
        samples: how many there are of all of them.
        where: for the message.

    Raises:
        ValueError: a quantity.

    Example:
        >>> doubtful_labels(["a", "b"], 2, "demo")
        []
        >>> doubtful_labels([str(25 * i) for i in range(94)], 342, "demo")[0][:62]
        'the labels are 94 different whole numbers, 3.6 samples of each'
    """
    k = len(names)
    if k <= _FEW or samples >= 10 * k:
        return []
    numbers = [int(name) for name in names if re.fullmatch(r"-?\d{1,18}", name)]
    gaps = len(numbers) == k and max(numbers) - min(numbers) >= 2 * k
    remedy = "Learn another column, or cut it into ranges and call each by a word"
    if gaps and 2 * k > samples:
        raise ValueError(
            f"{where}: the labels are {k:,} different numbers in {samples:,} samples, a quantity rather than classes. "
            f"{remedy}. Numbers that are names become classes with a letter before them, such as 'n{names[0]}'."
        )
    if len(numbers) < k and 2 * k > samples and (what := _looks_like(names)):
        raise ValueError(
            f"{where}: the labels are {k:,} different texts in {samples:,} samples that look like {what}, such as "
            f"{names[0]!r}: a quantity rather than classes. {remedy}."
        )
    if gaps:
        return [
            f"the labels are {k:,} different whole numbers, {samples / k:.1f} samples of each. Is it a quantity? "
            f"{remedy}"
        ]
    return [f"{k:,} classes for {samples:,} samples: most of them have one or two"] if 2 * k > samples else []
