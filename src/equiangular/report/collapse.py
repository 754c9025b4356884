"""Tables and a page of collapse measures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from equiangular._extras import require
from equiangular._files import write_text
from equiangular.report._template import template
from equiangular.report.collapse_figures import collapse_figure, depth_figure, side_by_side_figure
from equiangular.report.figure import figure_svg
from equiangular.report.meanings import MEANINGS, SHORT


def collapse_table(measured: Mapping[str, float], title: str) -> Any:
    """A ``rich.table.Table``: one row for each measure, a column for each group."""
    groups = groups_of(measured)
    columns = {"all classes": measured}
    for group in groups:
        columns[group] = {key.removesuffix(f"/{group}"): v for key, v in measured.items() if key.endswith(f"/{group}")}
    return comparison_table(columns, title)


def comparison_table(columns: Mapping[str, Mapping[str, float]], title: str) -> Any:
    """A ``rich.table.Table``: one row for each measure, a column for each heading with its measures by name."""
    table = _table(title)
    table.add_column("measure", no_wrap=True)
    for heading in (*columns, "at collapse"):
        table.add_column(heading, justify="right", no_wrap=heading == "at collapse")
    table.add_column("what it is", style="dim")
    for key, (name, meaning, limit) in MEANINGS.items():
        if any(key in measured for measured in columns.values()):
            cells = [number(measured.get(key)) for measured in columns.values()]
            table.add_row(name, *cells, limit, meaning)
    return table


def rows_table(rows: Mapping[Any, Mapping[str, float]], heading: str, title: str) -> Any:
    """A ``rich.table.Table`` of the main measures: a row for each epoch, or for each layer."""
    table = _table(title)
    table.add_column(heading, no_wrap=True)
    keys = [key for key in SHORT if any(key in row for row in rows.values())]
    for key in keys:
        table.add_column(MEANINGS[key][0], justify="right")
    for name, row in rows.items():
        table.add_row(str(name), *(number(row.get(key)) for key in keys))
    return table


def write_collapse_page(results: dict[str, Any], path: str | Path) -> Path:
    """Write a self-contained page atomically: tables and curves of one or several series of measurements.

    Args:
        results: ``series``, a list of what :func:`as_series` makes, those with the same ``study`` side by side;
            ``provenance``; optionally ``title`` and ``introduction``.
        path: the file.
    """
    series = results["series"]
    studies: dict[str, list[dict[str, Any]]] = {}
    for one in series:
        studies.setdefault(one.get("study", "Side by side"), []).append(one)
    text = template("collapse.html").render(
        title=results.get("title", "Neural collapse, measured"),
        introduction=results.get("introduction", ""),
        studies={name: (together, _comparison(together)) for name, together in studies.items()},
        curve=lambda one: figure_svg(collapse_figure(one["curve"], one["epochs"])) if len(one["curve"]) > 1 else None,
        depth=lambda one: figure_svg(depth_figure(one["layers"])) if one["layers"] else None,
        groups_of=groups_of,
        meanings=MEANINGS,
        short=SHORT,
        number=number,
        provenance=results["provenance"],
    )
    return write_text(path, text)


def _comparison(series: list[dict[str, Any]]) -> str | None:
    curves = {one["name"]: (one["epochs"], one["curve"]) for one in series if len(one["curve"]) > 1}
    return figure_svg(side_by_side_figure(curves)) if len(curves) > 1 else None


def groups_of(measured: Mapping[str, float]) -> list[str]:
    """Names of the groups of classes that measures were taken of."""
    return list(dict.fromkeys(key.partition("/")[2] for key in measured if "/" in key))


def number(value: float | None) -> str:
    """Four digits, or a dash for what is not defined.

    Example:
        >>> number(0.123456), number(float("nan")), number(None)
        ('0.1235', '-', '-')
    """
    return "-" if value is None or value != value else f"{value:.4g}"


def _table(title: str) -> Any:
    table_class = require("rich.table", extra="train", purpose="Printing the table").Table
    return table_class(title=title, title_justify="left")


def as_series(
    name: str,
    rows: Sequence[Mapping[str, float]],
    epochs: Sequence[float],
    about: Mapping[str, Any],
    layers: Mapping[str, Mapping[str, float]] | None = None,
) -> dict[str, Any]:
    """One series of measurements, JSON-plain, as :func:`write_collapse_page` reads it.

    Args:
        name: heading.
        rows: measures by name, one mapping for each epoch; the last is the one shown in tables.
        epochs: their epochs.
        about: what was measured: lines below the table, by name.
        layers: measures of layers by name of the layer, in the order of the network.
    """
    return {
        "name": name,
        "measures": dict(rows[-1]),
        "epochs": list(epochs),
        "curve": [dict(row) for row in rows],
        "layers": dict(layers or {}),
        "about": dict(about),
    }
