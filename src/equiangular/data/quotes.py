"""Quotes of delimited texts that nobody closed: they would make one cell of the rows that follow."""

from __future__ import annotations

import mmap
import re
from pathlib import Path

import numpy as np

_QUOTE, _LINE_ENDS = 34, (10, 13)
_CHUNK = 16 * 2**20  # bytes that are looked at together
_BOM = b"\xef\xbb\xbf"


def stray_quote(file: Path, delimiter: str) -> str | None:
    r"""Which line of a file has a quote that is never closed, or closed in the midst of another row; None if none has.

    A quote opens a cell where the cell begins with it, and two of them within are one; elsewhere it is a character.
    Text after a closing quote is read as part of the cell, unless the cell has gone over the end of a line by then, or
    a backslash stands before it: whoever wrote that meant another quote within the cell.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "t.csv"
        >>> _ = file.write_text('size,label\n1,"a\n2,b\n')
        >>> stray_quote(file, ",")
        'line 2: the cell that a quote opens there goes on to the end of the file'
    """
    if not file.stat().st_size:
        return None
    with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if data.find(b'"') < 0 or _is_regular(data, ord(delimiter)):
            return None
        return _first_stray(data, delimiter.encode())


def _start(data: mmap.mmap) -> int:
    return len(_BOM) if data[: len(_BOM)] == _BOM else 0


def _is_regular(data: mmap.mmap, delimiter: int) -> bool:
    """Whether every other quote stands at the start of a cell, and those between at the end, or two are together.

    True says that all are closed. It is the usual case, and told by whole arrays.
    """
    ends = np.zeros(256, dtype=bool)
    ends[[delimiter, *_LINE_ENDS, _QUOTE]] = True
    first, seen = _start(data), 0
    for start in range(first, len(data), _CHUNK):
        stop = min(start + _CHUNK, len(data))
        # The byte before and the byte after belong to each; beyond the file stands the end of a line.
        before = data[start - 1 : start] if start > first else b"\n"
        after = data[stop : stop + 1] or b"\n"
        window = np.frombuffer(before + data[start:stop] + after, dtype=np.uint8)
        quotes = 1 + np.flatnonzero(window[1:-1] == _QUOTE)
        opening = (np.arange(len(quotes)) + seen) % 2 == 0
        if not (ends[window[quotes[opening] - 1]].all() and ends[window[quotes[~opening] + 1]].all()):
            return False
        seen += len(quotes)
    return seen % 2 == 0


def _first_stray(data: mmap.mmap, delimiter: bytes) -> str | None:
    """The same as :func:`stray_quote`, cell by cell."""
    ends = rb"[" + re.escape(delimiter) + rb"\r\n]"
    opening = re.compile(rb"(?:(?<=" + ends + rb')|\A)"')
    closed = re.compile(rb"[ \t]*(?:" + ends + rb"|\Z)")
    position = _start(data)
    found = position if data[position : position + 1] == b'"' else None
    while True:
        if found is None:
            match = opening.search(data, position)
            if match is None:
                return None
            found = match.start()
        close = data.find(b'"', found + 1)
        while close >= 0 and data[close + 1 : close + 2] == b'"':
            close = data.find(b'"', close + 2)
        if close < 0 or (_line_ends(data[found:close]) and not closed.match(data, close + 1)):
            to = "the end of the file" if close < 0 else f"the quote in line {1 + _line_ends(data[:close])}"
            return f"line {1 + _line_ends(data[:found])}: the cell that a quote opens there goes on to {to}"
        if data[close - 1 : close] == b"\\" and close - 1 > found and not closed.match(data, close + 1):
            return f"line {1 + _line_ends(data[:close])}: a backslash stands before a quote within a cell"
        position, found = close + 1, None


def _line_ends(text: bytes) -> int:
    return text.count(b"\n") or text.count(b"\r")
