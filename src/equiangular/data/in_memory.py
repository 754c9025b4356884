"""Tables that are in memory already: frames of pandas and polars, and what else Arrow can hand over."""

from __future__ import annotations

from typing import Any

from equiangular._checks import called
from equiangular._extras import require
from equiangular.data.table_files import trimmed


def arrow_table(frame: Any) -> tuple[Any, str, list[str]]:
    """A frame as a ``pyarrow.Table``, what it was, and what has to be said about it.

    Columns are what a parquet file of the frame has. Where pandas has objects that Arrow has no one type for, such as
    numbers among texts, and for periods and intervals, they are texts, as in a CSV file.

    Raises:
        ValueError: something else than a table.

    Example:
        >>> import pyarrow as pa
        >>> table, what, _ = arrow_table(pa.table({"a": [1, 2]}))
        >>> table.column_names, what
        (['a'], 'pyarrow.Table')
    """
    pa = require("pyarrow", extra="data", purpose="Reading a table in memory")
    what, notes = called(frame), []
    if isinstance(frame, (pa.Table, pa.RecordBatch)):
        table = frame if isinstance(frame, pa.Table) else pa.Table.from_batches([frame])
    elif what == "pandas.DataFrame":
        names = [str(name) for name in frame.columns]
        table = pa.table([_pandas_column(frame.iloc[:, i], pa) for i in range(len(names))], names=names)
        if type(frame.index).__name__ != "RangeIndex":
            notes.append("the index of the frame is not read; frame.reset_index() makes a column of it")
    elif what == "polars.DataFrame":
        table = frame.to_arrow()
    elif hasattr(frame, "__arrow_c_stream__") and hasattr(frame, "columns"):
        table = pa.table(frame)
    else:
        raise ValueError(f"load_dataset takes a name, a path or a table, got {what}. {_remedy(frame, what)}")
    if not table.num_rows:
        raise ValueError(f"the {what} has no rows; its columns are {', '.join(table.column_names)}.")
    return trimmed(table, f"the {what}"), what, notes


def _pandas_column(series: Any, pa: Any) -> Any:
    try:
        values = pa.array(series, from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
        values = None
    if values is None or isinstance(values.type, pa.BaseExtensionType):
        return pa.array([None if gone else str(v) for v, gone in zip(series, series.isna(), strict=True)], pa.string())
    return values


def _remedy(value: Any, what: str) -> str:
    if what in ("numpy.ndarray", "torch.Tensor"):
        return "Arrays and their labels go to equiangular.data.from_arrays(x, y)."
    if what.startswith("datasets."):
        return "Write it with .save_to_disk(FOLDER) and name the folder."
    if hasattr(value, "collect"):
        return "Call its .collect() first."
    return "A table is a DataFrame of pandas or polars or a pyarrow.Table, with the labels in a column of it."
