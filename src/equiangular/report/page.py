"""The page of a comparison: one self-contained HTML file that works offline, light and dark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from equiangular._files import write_text
from equiangular.report._template import template
from equiangular.report.figure import comparison_figure, curves_figure, figure_svg
from equiangular.report.table import format_cell


def comparison_page(results: dict[str, Any], columns: tuple[tuple[str, str, str], ...]) -> str:
    """Render ``results.json`` as HTML.

    Args:
        results: the dictionary that :func:`equiangular.compare.run_study` returns.
        columns: (key, heading, unit) of each column of the table.

    Returns:
        The text of the page; it refers to no other file and no host.
    """
    rows = results["table"]
    return template("comparison.html").render(
        results=results,
        columns=columns,
        rows=rows,
        best=max(rows, key=lambda name: rows[name]["balanced_accuracy"]["mean"]),
        figure=figure_svg(comparison_figure(results)),
        curves=figure_svg(curves_figure(results)),
        cell=format_cell,
        provenance=results["provenance"],
    )


def write_page(results: dict[str, Any], columns: tuple[tuple[str, str, str], ...], path: str | Path) -> Path:
    """Write the page atomically."""
    return write_text(path, comparison_page(results, columns))
