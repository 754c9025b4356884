"""Tables, figures and a page of collapse measures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from equiangular.report import charts
from equiangular.report.drawn import curve_parts
from equiangular.report.figure import new_figure
from equiangular.report.page import Cell, Facts, Figure, Line, Page, Part, Section, Series, Table, numbered, write
from equiangular.report.provenance import made
from equiangular.report.table import new_table

# What each measure says: key -> (name, meaning, value at collapse).
MEANINGS = {
    "nc1": ("NC1", "within-class covariance against between-class covariance, tr(S_W S_B^+)/K", "0"),
    "nc1_quotient": ("NC1, quotient", "tr S_W / tr S_B", "0"),
    "cdnv": ("CDNV", "class-distance normalised variance, mean over pairs", "0"),
    "vci": ("VCI", "variability collapse index", "0"),
    "nc2_equinorm": ("NC2, equinorm", "std / mean of the norms of centred class means", "0"),
    "nc2_equiangular": ("NC2, equiangular", "mean |cos + 1/(K-1)| of centred class means", "0"),
    "nc2_std": ("NC2, std", "standard deviation of the cosines", "0"),
    "nc2_etf": ("NC2, ETF error", "distance of the normalised Gram matrix to an ETF's", "0"),
    "gnc2": ("GNC2", "variance of log distances on the sphere", "0"),
    "etf_distance": ("ETF distance", "root mean squared distance to the nearest ETF", "0"),
    "nc3": ("NC3", "|| W/||W|| - M/||M|| ||^2, twice its trace form", "0"),
    "nc3_gram": ("NC3, Gram", "distance of normalised W M^T to an ETF's Gram matrix", "0"),
    "unc3": ("UNC3", "variance of cos(w_c, mu_c)", "0"),
    "nc4": ("NC4", "share of samples decided as by the nearest class mean", "1"),
    "nc5": ("NC5", "mean |cos| of class means and the mean of unknown samples", "0"),
    "max_cosine": ("largest cosine", "closest pair of class means", "-1/(K-1)"),
    "mean_cosine": ("mean cosine", "of class means", "-1/(K-1)"),
    "weight_mean_cosine": ("mean cosine, W", "of classifier vectors", "-1/(K-1)"),
    "effective_rank": ("effective rank", "of centred class means", "K-1"),
    "classes_seen": ("classes", "classes with samples", ""),
}
# The main ones, for tables with a row for each epoch, layer or run.
SHORT = ("nc1", "cdnv", "nc2_equinorm", "nc2_equiangular", "etf_distance", "nc3", "nc4")


_PANELS = (("nc1", "NC1"), ("nc2_equiangular", "NC2, equiangular"), ("nc3", "NC3"), ("nc4", "NC4"))
_DEPTH = ("nc1", "nc1_quotient", "cdnv", "nc2_equinorm", "nc2_equiangular")
# Okabe and Ito's palette: distinguishable with any colour vision.
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


def side_by_side_figure(series: Mapping[str, tuple[Sequence[float], Sequence[Mapping[str, float]]]]) -> Any:
    """NC1 to NC4 of several trainings over epochs, one line for each: label -> (epochs, measures of each by name)."""
    shown = [(k, t) for k, t in _PANELS if any(k in row for _, rows in series.values() for row in rows)]
    figure, axes = _figure(len(shown), legend=True)
    for axis, (key, title) in zip(axes, shown, strict=True):
        for number, (label, (epochs, rows)) in enumerate(series.items()):
            color = _COLORS[number % len(_COLORS)]
            style = ("-", "--", ":", "-.")[number // len(_COLORS) % 4]
            _line(axis, epochs, [row.get(key) for row in rows], label, color, style)
        _finish(axis, title, "epoch", log=key != "nc4", legend=False)
    if axes:
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=min(4, len(labels) or 1), frameon=False)
    return figure


def _figure(columns: int, *, width: float = 11, legend: bool = False) -> tuple[Any, list[Any]]:
    figure = new_figure(width, 3.8 if legend else 3.4)
    return figure, list(figure.subplots(1, columns, squeeze=False)[0]) if columns else []


def _line(
    axis: Any, x: Sequence[float], values: Sequence[float | None], label: str, color: str, style: str = "-"
) -> None:
    points = [(at, v) for at, v in zip(x, values, strict=True) if v is not None and 0 < v < float("inf")]
    if points:
        axis.plot(*zip(*points, strict=True), style, marker="o", markersize=3, label=label, color=color)


def _finish(axis: Any, title: str, x: str, *, log: bool = True, legend: bool = True) -> None:
    axis.set(xlabel=x, title=title, yscale="log" if log else "linear")
    if x == "epoch":
        axis.xaxis.get_major_locator().set_params(integer=True)
    axis.grid(alpha=0.3)
    if legend and axis.lines:
        axis.legend(frameon=False, fontsize=8)


def collapse_table(measured: Mapping[str, float], title: str) -> Any:
    """A ``rich.table.Table``: one row for each measure, a column for each group."""
    columns = {"all classes": measured}
    for group in groups_of(measured):
        columns[group] = {key.removesuffix(f"/{group}"): v for key, v in measured.items() if key.endswith(f"/{group}")}
    return comparison_table(columns, title)


def comparison_table(columns: Mapping[str, Mapping[str, float]], title: str) -> Any:
    """A ``rich.table.Table``: one row for each measure, a column for each heading with its measures by name."""
    table = new_table(title, "measure")
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
    keys = [key for key in SHORT if any(key in row for row in rows.values())]
    table = new_table(title, heading, numbers=[MEANINGS[key][0] for key in keys])
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
    return write(collapse_page(results), path)


def collapse_page(results: Mapping[str, Any]) -> Page:
    """The page of measurements, as parts; arguments as for :func:`write_collapse_page`."""
    studies: dict[str, list[Mapping[str, Any]]] = {}
    for one in results["series"]:
        studies.setdefault(one.get("study", ""), []).append(one)
    sections = [
        Section(f"study-{place}", study or ("Side by side" if len(series) > 1 else "Measures"), _study(place, series))
        for place, (study, series) in enumerate(studies.items())
    ]
    depths = [part for place, one in enumerate(results["series"]) for part in _depth(place, one)]
    about = [(f"{one['name']}: {key}", value) for one in results["series"] for key, value in one["about"].items()]
    names = list(dict.fromkeys(one["name"] for one in results["series"]))
    title = results.get("title") or (", ".join(names) if len(names) < 4 else f"{len(names)} side by side")
    return Page(
        title=title,
        heading="Neural collapse, measured",
        effect=results.get("introduction", ""),
        series=[Series(name) for name in names],
        sections=[
            *sections,
            Section("depth", "Through the depth", depths),
            Section("origin", "How it was made", [Facts([*about, *made(results["provenance"])])]),
        ],
    )


def _study(place: int, series: Sequence[Mapping[str, Any]]) -> list[Part]:
    """Curves over epochs and the table of all measures of series that stand side by side."""
    own = [Series(one["name"]) for one in series]
    curves = [
        (
            of,
            [
                {"epoch": epoch, **{key: value for key, value in row.items() if key in MEANINGS}}
                for epoch, row in zip(one["epochs"], one["curve"], strict=True)
            ],
        )
        for of, one in zip(own, series, strict=True)
    ]
    parts = curve_parts(curves, [of.label for of in own])
    columns: dict[str, Mapping[str, float]] = {one["name"]: one["measures"] for one in series}
    if len(series) == 1:
        (measured,) = columns.values()
        columns = {"all classes": measured}
        for group in groups_of(measured):
            columns[group] = {k.removesuffix(f"/{group}"): v for k, v in measured.items() if k.endswith(f"/{group}")}
    lines = [
        Line([Cell(name), *(_value(of.get(key)) for of in columns.values()), Cell(limit), Cell(meaning)])
        for key, (name, meaning, limit) in MEANINGS.items()
        if any(key in of for of in columns.values())
    ]
    headings = ("measure", *columns, "at collapse", "what it is")
    table = Table("all-measures", "All measures", headings, lines, texts=(0, len(headings) - 1))
    return numbered([*parts, table], place)


def _depth(place: int, one: Mapping[str, Any]) -> list[Part]:
    layers = one["layers"]
    if not layers:
        return []
    rows = [
        {"x": layer, "line": MEANINGS[key][0], "y": value}
        for layer, of in layers.items()
        for key in _DEPTH
        if (value := of.get(key)) is not None and 0 < value < float("inf")
    ]
    keys = [key for key in SHORT if any(key in of for of in layers.values())]
    lines = [Line([Cell(layer), *(_value(of.get(key)) for key in keys)]) for layer, of in layers.items()]
    about = f"Collapse of the features of each layer of {one['name']}, from the input on; 0 is collapse."
    names = [MEANINGS[key][0] for key in _DEPTH]
    figure = Figure(f"depth-{place}", one["name"], charts.depth(rows, list(layers), names), about)
    headings = ("layer", *(MEANINGS[key][0] for key in keys))
    return [figure, Table(f"layers-{place}", f"Layers of {one['name']}", headings, lines)]


def _value(value: float | None) -> Cell:
    return Cell(number(value), value)


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


def as_series(
    name: str,
    rows: Sequence[Mapping[str, float]],
    epochs: Sequence[float],
    about: Mapping[str, Any],
    layers: Mapping[str, Mapping[str, float]] | None = None,
) -> dict[str, Any]:
    """One series of measurements, JSON-plain, as :func:`write_collapse_page` reads it.

    ``rows`` are the measures at each of ``epochs``, the last shown in tables; ``about`` has lines below the table by
    name; ``layers`` the measures of layers by name of the layer, in the order of the network.
    """
    return {
        "name": name,
        "measures": dict(rows[-1]),
        "epochs": list(epochs),
        "curve": [dict(row) for row in rows],
        "layers": dict(layers or {}),
        "about": dict(about),
    }
