"""Files of rows and columns, read in one way by every command: CSV, TSV, parquet, feather."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from equiangular._extras import require

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
    except (OSError, ValueError) as error:  # pyarrow's own errors are among them
        raise ValueError(f"cannot read {str(file)!r} as {kind[1:]}: {_said(error)}") from error
    check_names(table.column_names, repr(str(file)))
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
                    yield from (block.slice(start, batch_size) for start in range(0, block.num_rows, batch_size))
        elif kind == ".parquet":
            module = require("pyarrow.parquet", extra="data", purpose="Reading parquet files")
            with module.ParquetFile(file) as source:
                check_names(source.schema_arrow.names, "it")
                yield from source.iter_batches(batch_size=batch_size)
        else:
            yield from read_table(file).combine_chunks().to_batches(max_chunksize=batch_size)
    except ValueError as error:
        raise ValueError(_said(error)) from error


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
    with file.open(encoding="utf-8-sig", newline="") as stream:
        line = stream.readline()
        delimiter = "\t" if file.suffix.lower() == ".tsv" else _delimiter(line)
        stream.seek(0)
        header = next(csv.reader(stream, delimiter=delimiter), [])
    if not header:
        raise ValueError("it is empty. A table begins with a line of column names.")
    check_names(header, "it")
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


def _delimiter(header: str) -> str:
    """The first of the usual delimiters that a header line has outside quotes; a comma where it has none."""
    bare = "".join(header.split('"')[::2])
    return next((delimiter for delimiter in _DELIMITERS if delimiter in bare), ",")


def _said(error: Exception) -> str:
    text = str(error)
    if "utf" in text.lower() and ("invalid" in text or "decode" in text):
        return "it is not UTF-8. Save it as UTF-8."
    return "it has no rows." if "Empty CSV" in text else text
