"""The page of a comparison: one self-contained HTML file that works offline, light and dark."""

from __future__ import annotations

from pathlib import Path

from equiangular._files import write_text
from equiangular.records import COLUMNS, Comparison
from equiangular.report._template import template
from equiangular.report.figure import comparison_figure, curves_figure, figure_svg
from equiangular.report.table import best_row, format_cell


def comparison_page(results: Comparison) -> str:
    """Render a comparison as HTML; the text refers to no other file and no host."""
    return template("comparison.html").render(
        results=results,
        columns=COLUMNS,
        labels={row.method: row.label for row in results.rows},
        best=best_row(results),
        figure=figure_svg(comparison_figure(results)),
        curves=figure_svg(curves_figure(results)),
        cell=format_cell,
        provenance=results.provenance,
    )


def write_page(results: Comparison, path: str | Path) -> Path:
    """Write the page atomically."""
    return write_text(path, comparison_page(results))
