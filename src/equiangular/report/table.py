"""The table of a comparison on a terminal, by rich."""

from __future__ import annotations

from typing import Any

from equiangular._extras import require

_DIGITS = {"nc1": 3, "nc2_equiangular": 3, "nc3": 3, "head_parameters": 0, "seconds": 2}


def format_cell(cell: dict[str, Any], key: str) -> str:
    """``mean ± half width``; an empty group is ``-``, a quantity that does not vary stands alone.

    Example:
        >>> format_cell({"mean": 81.24, "ci95": 1.26}, "accuracy")
        '81.2 ± 1.3'
    """
    mean, half, digits = cell["mean"], cell["ci95"], _DIGITS.get(key, 1)
    if mean is None or mean != mean:
        return "-"
    text = f"{mean:,.{digits}f}"
    return text if not half or half != half or key == "head_parameters" else f"{text} ± {half:.{digits}f}"


def comparison_table(results: dict[str, Any], columns: tuple[tuple[str, str, str], ...], *, width: int = 210) -> Any:
    """A ``rich.table.Table`` with one row for each method, the best mean balanced accuracy in bold.

    Args:
        results: the dictionary that :func:`equiangular.compare.run_study` returns.
        columns: (key, heading, unit) of each column.
        width: characters there are. Where they are few, intervals go below their means; where they are very few,
            only the columns of accuracy are shown, and the caption says where the others are.
    """
    table_module = require("rich.table", extra="train", purpose="Printing the table")
    rows = results["table"]
    narrow = width < 205
    shown = [c for c in columns if c[2] == "%"] if width < 130 else list(columns)
    best = max(rows, key=lambda name: rows[name]["balanced_accuracy"]["mean"])
    table = table_module.Table(
        title=f"{results['config']['data']}: mean ± 95 % CI over {results['config']['seeds']} runs",
        title_justify="left",
        caption="all measures: results.json and report.html" if len(shown) < len(columns) else None,
    )
    table.add_column("method", no_wrap=not narrow)
    for _, heading, unit in shown:
        table.add_column(f"{heading}\n{unit}" if unit else heading, justify="right")
    for name, row in rows.items():
        cells = [format_cell(row[key], key) for key, _, _ in shown]
        cells = [cell.replace(" ± ", "\n±") if narrow else cell for cell in cells]
        table.add_row(row["label"], *cells, style="bold" if name == best else None)
    return table
