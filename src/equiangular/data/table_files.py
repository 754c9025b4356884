"""Files of rows and columns, read in one way by every command: CSV, TSV, parquet, feather."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from equiangular._counted import counted
from equiangular._extras import require
from equiangular.data.quotes import stray_quote

TABLE_FILES = (".csv", ".tsv", ".parquet", ".feather")
_DELIMITERS = (",", ";", "\t", "|")
_BLOCK = 8 * 2**20  # bytes of a CSV file that are parsed at a time: a row has to fit in


def read_table(file: Path) -> Any:
    """All rows of a file as a ``pyarrow.Table``. The columns of CSV and TSV files are texts, an empty cell is null.

    A delimited text does not say what its columns are, and types that are guessed from its first rows lose the others:
    what a column holds is decided over all rows, or known from the model (:mod:`equiangular.data.columns`).

    Raises:
        ValueError: a file that cannot be read, without rows, or with two columns of one name.
    """
    kind = file.suffix.lower()
    try:
        if kind in (".csv", ".tsv"):
            module = require("pyarrow.csv", extra="data", purpose="Reading .csv files")
            table = module.read_csv(file, **_csv_options(file, module))
        elif kind == ".parquet":
            module = require("pyarrow.parquet", extra="data", purpose="Reading parquet files")
            check_names(module.read_schema(file).names, "it")
            table = module.read_table(file)
        else:
            module = require("pyarrow.feather", extra="data", purpose="Reading feather files")
            table = module.read_table(file, memory_map=False)
            table.validate(full=True)  # Arrow believes the offsets in such a file, and reads where they point
    except MemoryError as error:
        raise ValueError(f"{str(file)!r} says that it holds more than fits into memory: {error}.") from error
    except (OSError, ValueError) as error:  # most of pyarrow's own errors are among them
        raise ValueError(f"cannot read {str(file)!r} as {kind[1:]}: {_said(error, file)}") from error
    table = trimmed(table, repr(str(file)))
    if not table.num_rows:
        raise ValueError(f"{str(file)!r} has no rows; its columns are {', '.join(table.column_names)}.")
    return table


def table_batches(file: Path, batch_size: int) -> Iterator[Any]:
    """The rows of a file as ``pyarrow.RecordBatch``es of at most ``batch_size`` rows, typed as by :func:`read_table`.

    Memory is O(batch), save for feather files, which are read whole.

    Raises:
        ValueError: a file that cannot be read, or with two columns of one name.
    """
    kind = file.suffix.lower()
    try:
        if kind in (".csv", ".tsv"):
            module = require("pyarrow.csv", extra="data", purpose="Reading .csv files")
            with module.open_csv(file, **_csv_options(file, module)) as reader:
                for block in reader:
                    own = trimmed(block, "it")
                    yield from (own.slice(start, batch_size) for start in range(0, own.num_rows, batch_size))
        elif kind == ".parquet":
            module = require("pyarrow.parquet", extra="data", purpose="Reading parquet files")
            with module.ParquetFile(file) as source:
                check_names(source.schema_arrow.names, "it")
                for batch in source.iter_batches(batch_size=batch_size):
                    yield trimmed(batch, "it")
        else:
            yield from read_table(file).combine_chunks().to_batches(max_chunksize=batch_size)
    except ValueError as error:
        raise ValueError(_said(error, file)) from error


def trimmed(table: Any, where: str) -> Any:
    """A table or batch whose column names have no blanks at their ends, such as those after commas; all different.

    Views of texts and of bytes, which few of Arrow's functions take, are texts and bytes.
    """
    pa = require("pyarrow", extra="data", purpose="Reading tables")
    views = {"string_view": pa.large_string(), "binary_view": pa.large_binary()}  # by name: older versions lack them
    given = schema = table.schema
    columns = list(table.columns)
    check_names([name.strip() for name in schema.names], where)
    for place, field in enumerate(given):
        kind = views.get(str(field.type), field.type)
        if (field.name, field.type) != (field.name.strip(), kind):
            schema = schema.set(place, field.with_name(field.name.strip()).with_type(kind))
            columns[place] = columns[place].cast(kind)
    return table if schema is given else type(table).from_arrays(columns, schema=schema)


@contextmanager
def arrow_errors(where: str) -> Iterator[None]:
    """What Arrow cannot do with a column is a ValueError, which most of its errors are not."""
    try:
        yield
    except (OSError, ValueError):
        raise
    except Exception as error:
        if type(error).__module__.partition(".")[0] != "pyarrow":
            raise
        raise ValueError(
            f"{where} has a column of a type that cannot be used: {error}. Write it as another."
        ) from error


def check_names(names: Sequence[str], where: str) -> None:
    """Raise where two columns have one name: which of them is meant nobody can say."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ValueError(f"{where} has several columns called {name!r}. Rename them, or leave one of them out.")
        seen.add(name)


def _csv_options(file: Path, module: Any) -> dict[str, Any]:
    """All columns as texts, the delimiter of the header, line breaks within quotes."""
    pa = require("pyarrow", extra="data", purpose="Reading .csv files")
    delimiter = _delimiter(file)
    stray = stray_quote(file, delimiter)
    if stray:
        raise ValueError(f'{stray}. Close the quote, or double it ("") where it is part of the text.')
    header = next(_rows(file, delimiter), (0, []))[1]
    if not header or (len(header) == 1 and not header[0].strip()):
        with file.open("rb") as stream:
            empty = not stream.read(_BLOCK).strip()
        raise ValueError(
            f"{'it is empty' if empty else 'its first line is blank'}. A table begins with a line of column names."
        )
    check_names([name.strip() for name in header], "it")
    return {
        "read_options": module.ReadOptions(block_size=_BLOCK),
        "parse_options": module.ParseOptions(
            delimiter=delimiter, newlines_in_values=True, ignore_empty_lines=len(header) > 1
        ),
        "convert_options": module.ConvertOptions(
            column_types=dict.fromkeys(header, pa.string()),
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    }


def _rows(file: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The rows of a delimited text, the header first, each with the line that it ends in."""
    with file.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.reader(stream, delimiter=delimiter)
        for cells in reader:
            yield reader.line_num, cells


def _delimiter(file: Path) -> str:
    """The first of the usual delimiters that the header line has outside quotes; where it has none a comma, or a tab.

    The suffix says which comes first: a ``.tsv`` file that has commas alone is read all the same.
    """
    with file.open(encoding="utf-8-sig", newline="") as stream:
        header = stream.readline()
    bare = "".join(header.split('"')[::2])
    usual = "\t" if file.suffix.lower() == ".tsv" else ","
    return next((delimiter for delimiter in (usual, *_DELIMITERS) if delimiter in bare), usual)


def _said(error: Exception, file: Path) -> str:
    """An error of pyarrow in the words and with the row numbers of every other message."""
    text = str(error)
    if "utf" in text.lower() and ("invalid" in text or "decode" in text):
        return "it is not UTF-8. Save it as UTF-8."
    if wrong := re.search(r"Expected (\d+) columns, got (\d+)", text):
        return _uneven_row(file, int(wrong[1])) or text
    return "it has no rows." if "Empty CSV" in text else text


def _uneven_row(file: Path, expected: int) -> str | None:
    """The first row with another number of cells than the header has."""
    delimiter = _delimiter(file)
    with suppress(csv.Error):  # of a cell of more than 131,072 characters
        rows = (row for row in _rows(file, delimiter) if row[1])
        for number, (line, cells) in enumerate(rows):
            if len(cells) == expected:
                continue
            shown = delimiter.join(cells)
            remedy = f"Put quotes around a cell that has {delimiter!r} in it."
            if len(cells) < expected:
                remedy = "Fill it up, or drop it."
            elif any(cell.lstrip()[:1] == '"' for cell in cells):
                remedy = f"A quote counts right after the {delimiter!r} only: take the blanks between them away."
            has = f"has {counted(len(cells), 'cell')}, the header {expected}"
            return f"row {number} (line {line}) {has}: {shown[:80]!r}. {remedy}"
    return None
