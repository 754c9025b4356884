"""What a table's columns are, and how rows become numbers by it: JSON-plain, nothing pickled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, get_args

import numpy as np

from equiangular._checks import check_choice
from equiangular._counted import counted
from equiangular._extras import require
from equiangular.data.cells import as_numbers, as_seconds, as_spans, as_texts
from equiangular.data.reading import constant_note
from equiangular.data.texts import vocabulary_features

Kind = Literal["number", "boolean", "time", "category", "date", "text"]
KINDS: tuple[Kind, ...] = get_args(Kind)
# A column whose values lie this many times their range away from 0 is centred, before float32 rounds the offset.
FAR = 1000.0
DAY = 86400.0
LARGEST = float(np.finfo(np.float32).max)
# Cycles of dates, in seconds: their phase is the same for a whole number of them after 1970.
CYCLES = {"year": 365.2425 * DAY, "week": 7 * DAY, "day": DAY}


class UnreadableError(ValueError):
    """Cells that cannot be read.

    Attributes:
        rows: the places of their rows, and what is wrong with each.
    """

    def __init__(self, rows: dict[int, str]) -> None:
        row = min(rows)
        super().__init__(f"row {row + 1}: {rows[row]}. Mend the value or drop the row.")
        self.rows = rows


def beyond_float32(name: str, value: float) -> str:
    """What is wrong with a number that is infinite in float32.

    Example:
        >>> beyond_float32("size", 1e300)
        "column 'size' holds 1e+300, beyond the 3.4e+38 that float32 can hold"
    """
    if np.isinf(value):
        return f"column {name!r} is infinite"
    return f"column {name!r} holds {value:g}, beyond the {LARGEST:.2g} that float32 can hold"


@dataclass(frozen=True)
class Column:
    """One column of a table and the numbers that stand for it.

    Attributes:
        name: its name.
        kind: a ``"number"`` or ``"boolean"`` is one number, a ``"time"`` of day or span of time its seconds; a
            ``"category"`` one number, 0 or 1, for each of its levels; a ``"date"`` the days from ``centre`` and the
            sine and cosine of its cycles; a ``"text"`` its TF-IDF by ``vocabulary``.
        missing: whether training rows lack it. One more number, 0 or 1, then says which rows do.
        centre: what is taken off a number, or off a date in seconds since 1970, in float64.
        fill: of a number: what stands where it is missing, after ``centre`` is taken off: the mean of training.
        levels: of a category: those seen in training. Another one is 0 for all of them.
        format: of a date in texts: how it is written, as for ``strptime``; "" is ISO 8601.
        cycles: of a date: ``"year"``, ``"week"`` and, where it has times of day, ``"day"``.
        vocabulary: of a text, see :func:`equiangular.data.texts.fit_vocabulary`.

    Example:
        >>> Column("island", "category", levels=("Biscoe", "Dream"), missing=True).names
        ('island = Biscoe', 'island = Dream', 'island missing')
    """

    name: str
    kind: Kind
    missing: bool = False
    centre: float = 0.0
    fill: float = 0.0
    levels: tuple[str, ...] = ()
    format: str = ""
    cycles: tuple[str, ...] = ()
    vocabulary: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        check_choice(self.kind, KINDS, "kind")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the numbers that stand for it."""
        own: tuple[str, ...] = (self.name,)
        if self.kind == "category":
            own = tuple(f"{self.name} = {level}" for level in self.levels)
        elif self.kind == "date":
            own = (f"{self.name} days", *(f"{self.name} {c} {part}" for c in self.cycles for part in ("sin", "cos")))
        elif self.kind == "text":
            own = tuple(f"{self.name}: {term}" for term in (self.vocabulary or {})["terms"])
        return own + (f"{self.name} missing",) * self.missing

    def encode(self, column: Any, encoded: Encoded, place: slice) -> None:
        """Write the numbers of an Arrow column into ``encoded.values[:, place]``; note what is odd."""
        values = encoded.values[:, place]
        if self.kind in ("number", "boolean", "time"):
            if self.kind == "time":
                numbers, bad = as_spans(column, self.name)
            else:
                numbers, bad = as_numbers(column, self.name, boolean=self.kind == "boolean")
            encoded.refuse(bad)
            with np.errstate(over="ignore"):  # what float32 cannot hold is refused below
                np.copyto(values[:, 0], numbers - self.centre if self.centre else numbers, casting="same_kind")
            missing = self._fill(numbers, values[:, 0], encoded)
        elif self.kind == "date":
            seconds, bad = as_seconds(column, self.name, self.format)
            encoded.refuse(bad)
            missing = np.isnan(seconds)
            seconds = np.where(missing, self.centre, seconds)
            values[:, 0] = (seconds - self.centre) / DAY
            for i, cycle in enumerate(self.cycles):
                phase = 2 * np.pi * (seconds % CYCLES[cycle]) / CYCLES[cycle]
                values[:, 1 + 2 * i], values[:, 2 + 2 * i] = np.sin(phase), np.cos(phase)
        elif self.kind == "category":
            missing = self._one_hot(as_texts(column, self.name), values, encoded)
        else:
            texts = as_texts(column, self.name)
            missing = np.asarray(texts.is_null())
            values[:, : len(self.names) - self.missing] = vocabulary_features(
                [text or "" for text in texts.to_pylist()], self.vocabulary or {}
            )
        if self.missing:
            values[:, -1] = 0 if missing is None else missing
        elif missing is not None:
            missing = missing.copy()
            missing[list(encoded.bad)] = False  # what cannot be read is refused, not missing
            encoded.odd["missing", self.name] += int(missing.sum())

    def _fill(self, numbers: np.ndarray, values: np.ndarray, encoded: Encoded) -> np.ndarray | None:
        """Fill the holes, refuse what is not finite in float32; and which were holes, or None where none were."""
        if np.isfinite(values.sum(dtype=np.float64)):
            return None
        missing: np.ndarray = np.isnan(numbers)
        beyond = ~np.isfinite(values) & ~missing
        encoded.refuse({int(i): beyond_float32(self.name, float(numbers[i])) for i in np.flatnonzero(beyond)})
        values[missing], values[beyond] = self.fill, 0
        return missing

    def _one_hot(self, texts: Any, values: np.ndarray, encoded: Encoded) -> np.ndarray:
        pa = require("pyarrow", extra="data", purpose="Reading tables")
        compute = require("pyarrow.compute", extra="data", purpose="Reading tables")
        level = compute.index_in(texts, value_set=pa.array(self.levels, pa.string()))
        missing, known = np.asarray(texts.is_null()), np.asarray(level.is_valid())
        rows = np.flatnonzero(known)
        values[rows, np.asarray(level.drop_null())] = 1
        unseen = np.flatnonzero(~known & ~missing)
        if len(unseen):
            encoded.odd["unseen", self.name] += len(unseen)
            encoded.examples.setdefault(self.name, texts[int(unseen[0])].as_py())
        return missing


@dataclass
class Encoded:
    """Rows as numbers, and what was odd about them.

    Attributes:
        values: (N, d) float32.
        bad: rows that cannot be read, with the reason.
        odd: how often, by ``("missing", column)`` and ``("unseen", column)``: what training rows did not have.
        examples: a value that training rows did not have, by column.
    """

    values: np.ndarray
    bad: dict[int, str] = field(default_factory=dict)
    odd: Counter[tuple[str, str]] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)

    def refuse(self, bad: dict[int, str]) -> None:
        """Add rows that cannot be read; the first reason stays."""
        self.bad = {**bad, **self.bad}


@dataclass(frozen=True)
class Columns:
    """The columns of a table in order, and those that are left out.

    Attributes:
        columns: what a row is made of.
        left_out: name -> why, of the columns of the training table that are no input.

    Example:
        >>> import pyarrow as pa
        >>> columns = Columns((Column("a", "number", centre=1.0), Column("b", "category", levels=("x", "y"))))
        >>> columns.encode(pa.table({"b": ["y", "z"], "a": [1.5, 3.0]})).values.tolist()
        [[0.5, 0.0, 1.0], [2.0, 0.0, 0.0]]
        >>> Columns.from_dict(columns.as_dict()) == columns
        True
    """

    columns: tuple[Column, ...]
    left_out: dict[str, str] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all numbers of a row, (d,)."""
        return tuple(name for column in self.columns for name in column.names)

    def encode(self, table: Any) -> Encoded:
        """A ``pyarrow.Table`` or ``RecordBatch`` as numbers; other columns than ours are passed over.

        Raises:
            ValueError: a column that is missing, or of a type that it did not have in training.
        """
        present = table.schema.names
        absent = [column.name for column in self.columns if column.name not in present]
        if absent:
            more = f" ({len(absent)} such columns)" if len(absent) > 1 else ""
            raise ValueError(f"it has no column {absent[0]!r}{more}; its columns are {', '.join(present)}.")
        # By columns in memory, which makes writing one of them fast; turned once in the end.
        store = np.zeros((len(self.names), table.num_rows), dtype=np.float32)
        encoded, start = Encoded(store.T), 0
        for column in self.columns:
            width = len(column.names)
            column.encode(table.column(present.index(column.name)), encoded, slice(start, start + width))
            start += width
        encoded.values = np.ascontiguousarray(store.T)
        return encoded

    def as_dict(self) -> dict[str, Any]:
        """JSON-plain values; those that say nothing are left out."""
        plain = {f.name: f.default for f in fields(Column)}
        listed = [{k: v for k, v in asdict(column).items() if v != plain[k]} for column in self.columns]
        texts = [{k: list(v) if isinstance(v, tuple) else v for k, v in values.items()} for values in listed]
        return {"columns": texts, "left_out": dict(self.left_out)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Columns:
        """The inverse of :meth:`as_dict`.

        Raises:
            ValueError: something else.
        """
        try:
            listed: list[dict[str, Any]] = [
                {k: tuple(v) if isinstance(v, list) else v for k, v in c.items()} for c in values["columns"]
            ]
            return cls(tuple(Column(**column) for column in listed), dict(values.get("left_out", {})))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"this is no description of columns: {error}.") from error


@dataclass
class Told:
    """What is worth telling of inputs, above all of tables read by :class:`Columns`: counted over batches, said once.

    Attributes:
        odd, examples: as of :class:`Encoded`, added up.
        ignored: columns that are none of training's, by file.
        images, constant: images that were decoded, and those all of whose pixels are equal.
    """

    odd: Counter[tuple[str, str]] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    ignored: dict[str, list[str]] = field(default_factory=dict)
    images: int = 0
    constant: int = 0

    def add(self, encoded: Encoded) -> None:
        """Add what was odd about some rows."""
        self.odd.update(encoded.odd)
        self.examples = {**encoded.examples, **self.examples}

    def lines(self) -> list[str]:
        """All of it in words, a line each."""
        lines = [
            f"{file}: columns that training did not have are ignored: {', '.join(map(repr, names))}"
            for file, names in self.ignored.items()
            if names
        ]
        for (what, name), count in sorted((+self.odd).items()):
            if what == "missing":
                remedy = "none was in training; the mean, or none of the levels, stands there"
                lines.append(f"column {name!r}: {count:,} missing, and {remedy}")
            else:
                example = f"such as {self.examples.get(name)!r}; counted as none of its levels"
                lines.append(f"column {name!r}: {counted(count, 'value')} that training did not have, {example}")
        if self.constant:
            lines.append(constant_note(self.constant, self.images))
        return lines


def plain_columns(names: Sequence[str]) -> Columns:
    """Columns of numbers as they are, of which none may be missing."""
    return Columns(tuple(Column(name, "number", fill=float("nan")) for name in names))


def far_columns(values: np.ndarray) -> Columns | None:
    """What a column is, for each of an array (N, d) of numbers, where one is far from 0 for its range; else None.

    Example:
        >>> far_columns(np.array([[1.0, 1e9], [2.0, 1e9 + 1]])).columns[1].centre
        1000000000.0
        >>> far_columns(np.array([[1.0], [2.0]])) is None
        True
    """
    low, high = values.min(0).astype(float), values.max(0).astype(float)
    with np.errstate(over="ignore", invalid="ignore"):  # what float32 cannot hold is refused elsewhere
        far = np.maximum(abs(low), abs(high)) > FAR * (high - low)
        far &= high > low
    if not far.any():
        return None
    mean = values.mean(0, dtype=np.float64)
    centres = np.where(far, np.round(mean), 0)
    listed = zip(centres.tolist(), (mean - centres).tolist(), strict=True)
    return Columns(tuple(Column(str(i), "number", centre=c, fill=f) for i, (c, f) in enumerate(listed)))


def lossy_columns(values: np.ndarray, kept: np.ndarray) -> list[str]:
    """A sentence for each column of numbers (N, d) that has fewer different values as ``kept`` in float32.

    Only columns of values above 2^24 are looked at, the whole numbers that float32 has, and evenly spaced rows.

    Example:
        >>> lossy_columns(np.array([[2**60], [2**60 + 1]]), np.array([[2.0**60], [2.0**60]], dtype=np.float32))
        ['column 0: float32 keeps 1 of 2 different values; scale it, or take an offset off']
    """
    step = max(1, len(values) // 10_000)
    counts = []
    for i in np.flatnonzero(np.abs(kept).max(0, initial=0) >= 2**24):
        pair = (len(np.unique(values[::step, i])), len(np.unique(kept[::step, i])))
        counts += [(i, *pair)] if pair[1] < pair[0] else []
    return [
        f"column {i}: float32 keeps {after:,} of {before:,} different values; scale it, or take an offset off"
        for i, before, after in counts
    ]
