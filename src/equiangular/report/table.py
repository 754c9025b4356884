"""The tables of a comparison on a terminal, and how their cells are written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from equiangular._extras import require
from equiangular.records import ABILITIES, COLUMNS, Comparison, Estimate, Row

# What the columns of the table of abilities are, on the terminal and on the page.
TAKEN = (
    "Time: of one fit or training, without tuning on validation data. Memory: by how much the resident memory of the "
    "process grew at its peak meanwhile, the largest of the runs (measured on Linux). Numbers kept: what a fit holds, "
    "or has at hand all along, beside the classifier: sums, or the samples themselves; none where it trains in batches."
)
_DIGITS = {"nc1": 3, "nc2_equiangular": 3, "nc3": 3, "head_parameters": 0, "seconds": 2}


def _table_class() -> Any:
    return require("rich.table", extra="train", purpose="Printing the table").Table


def new_table(title: str, *headings: str, numbers: Sequence[str] = (), wrap: bool = False) -> Any:
    """An empty ``rich.table.Table`` with columns of texts and then of numbers; headings of numbers do not wrap."""
    table = _table_class()(title=title, title_justify="left", title_style="bold")
    for heading in headings:
        table.add_column(heading, no_wrap=not wrap)
    for heading in numbers:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def format_cell(cell: Estimate, key: str) -> str:
    """``mean ± half width``; an empty group is ``-``, a quantity that does not vary stands alone.

    Example:
        >>> format_cell(Estimate(81.24, 1.26, []), "accuracy")
        '81.2 ± 1.3'
    """
    mean, half, digits = cell.mean, cell.ci95, _DIGITS.get(key, 1)
    if mean != mean:
        return "-"
    text = f"{mean:,.{digits}f}"
    return text if not half or half != half or key == "head_parameters" else f"{text} ± {half:.{digits}f}"


def best_row(results: Comparison) -> Row:
    """The method with the highest mean balanced accuracy; one whose runs diverged comes last."""
    means = {row.method: row.measures["balanced_accuracy"].mean for row in results.rows}
    return max(results.rows, key=lambda row: (means[row.method] == means[row.method], means[row.method]))


def measured_columns(results: Comparison) -> list[tuple[str, str, str]]:
    """The columns in which any row has a number: no network, no collapse."""
    return [c for c in COLUMNS if any(row.measures[c[0]].mean == row.measures[c[0]].mean for row in results.rows)]


def abilities_table(results: Comparison) -> Any | None:
    """What classifiers on features take and can do without a new fit; None where no row is one that is computed."""
    if not any(row.abilities for row in results.rows):
        return None
    numbers = ("time, s", "memory, MB", "numbers kept")
    table = new_table("what they take, and can do without a new fit", "method", numbers=numbers)
    table.caption, table.caption_justify = TAKEN, "left"
    for ability in ABILITIES:
        table.add_column(ability)
    for row in results.rows:
        able = ("yes" if ability in row.abilities else "-" for ability in ABILITIES)
        kept = f"{row.numbers_kept:,}" if row.numbers_kept else "-"
        table.add_row(
            row.label, format_cell(row.measures["seconds"], "seconds"), megabytes(row.peak_memory), kept, *able
        )
    return table


def megabytes(number: float) -> str:
    """Bytes in MB, ``-`` where there is no number.

    Example:
        >>> megabytes(12_340_000.0), megabytes(float("nan"))
        ('12.3', '-')
    """
    return "-" if number != number else f"{number / 1e6:,.1f}"


def comparison_table(results: Comparison, *, width: int = 210) -> Any:
    """A ``rich.table.Table`` with one row for each method, the best mean balanced accuracy in bold.

    Args:
        results: the comparison.
        width: characters there are. Where they are few, intervals go below their means; where they are very few,
            only the columns of accuracy are shown, and the caption says where the others are.
    """
    narrow, columns = width < 205, measured_columns(results)
    shown = [c for c in columns if c[2] == "%"] if width < 130 else columns
    best = best_row(results)
    table = _table_class()(
        title=f"{results.data.name}: mean ± 95 % CI over {results.config['seeds']} runs",
        title_justify="left",
        caption="all measures: results.json and report.html" if len(shown) < len(columns) else None,
    )
    table.add_column("method", no_wrap=not narrow)
    table.add_column("class vectors")
    for _, heading, unit in shown:
        table.add_column(f"{heading}\n{unit}" if unit else heading, justify="right")
    for row in results.rows:
        cells = [format_cell(row.measures[key], key) for key, _, _ in shown]
        cells = [cell.replace(" ± ", "\n±") if narrow else cell for cell in cells]
        table.add_row(row.label, row.kind, *cells, style="bold" if row is best else None)
    return table
