"""Rows of tables that cannot be read: all of them named, or left out and told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from equiangular._counted import counted
from equiangular.data.base import Dataset
from equiangular.data.images import broken_message
from equiangular.data.reading import listed

if TYPE_CHECKING:
    from equiangular.data.tables import Part


class BrokenRowsError(ValueError):
    """Rows that cannot be read.

    Attributes:
        rows: their places and what is wrong with each, "it has no text", by the table that they are in.
    """

    def __init__(self, rows: Mapping[str, Mapping[int, str]], total: int) -> None:
        super().__init__(broken_message(lines_of(rows), total, "rows"))
        self.rows = rows


def lines_of(rows: Mapping[str, Mapping[int, str]]) -> list[str]:
    """A line for each row."""
    return [f"{where!r}: row {row + 1}: {found[row]}" for where, found in rows.items() for row in sorted(found)]


def without_broken_rows(read: Callable[[Sequence[Part]], Dataset], parts: Sequence[Part], *, skip: bool) -> Dataset:
    """What ``read`` makes of tables; with ``skip`` of their good rows, which the notes tell.

    Raises:
        BrokenRowsError: there are some, and none is to be left out.
    """
    lines: list[str] = []
    total = sum(len(part.codes) for part in parts)
    while True:
        try:
            data = read(parts)
            break
        except BrokenRowsError as error:
            if not skip:
                raise
            lines += lines_of(error.rows)
            parts = [_without(part, error.rows.get(part.where, {})) for part in parts]
            if gone := [part.where for part in parts if not len(part.codes)]:
                own = lines_of({gone[0]: error.rows[gone[0]]})
                raise ValueError(f"no row of {gone[0]!r} can be read: {listed(own, 3)}.") from error
    if not lines:
        return data
    note = f"left out {counted(len(lines), 'row')} of {total:,} that cannot be read: {listed(lines, 3)}"
    reading = replace(data.reading, left_out=(*data.reading.left_out, *lines))
    return replace(data, notes=(note, *data.notes), reading=reading)


def _without(part: Part, rows: Mapping[int, str]) -> Part:
    kept: Any = np.setdiff1d(np.arange(len(part.codes)), list(rows)).astype(np.int64)
    return replace(part, table=part.table.take(kept), codes=part.codes[kept])
