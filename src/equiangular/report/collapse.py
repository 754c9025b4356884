"""Tables, figures and a page of collapse measures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from equiangular._files import write_text
from equiangular.report.figure import figure_svg, new_figure, template
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


_CURVES = (("nc1", "cdnv", "vci"), ("nc2_equinorm", "nc2_equiangular", "etf_distance"), ("nc3", "unc3"))
_PANELS = (("nc1", "NC1"), ("nc2_equiangular", "NC2, equiangular"), ("nc3", "NC3"), ("nc4", "NC4"))
_DEPTH = ("nc1", "nc1_quotient", "cdnv", "nc2_equinorm", "nc2_equiangular")
# Okabe and Ito's palette: distinguishable with any colour vision.
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


def collapse_figure(rows: Sequence[Mapping[str, float]], epochs: Sequence[float]) -> Any:
    """Curves of the measures by name of one training over epochs, on logarithmic axes; a single epoch is a point."""
    figure, axes = _figure(3)
    for axis, keys, title in zip(axes, _CURVES, ("NC1", "NC2", "NC3"), strict=True):
        for key, color in zip(keys, _COLORS, strict=False):
            _line(axis, epochs, [row.get(key) for row in rows], MEANINGS[key][0], color)
        _finish(axis, title, "epoch")
    return figure


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


def depth_figure(layers: Mapping[str, Mapping[str, float]]) -> Any:
    """Collapse through the depth of one network: name of a layer -> measures by name, in the network's order."""
    figure, (axis,) = _figure(1, width=max(6.0, 0.7 * len(layers) + 2))
    places = list(range(len(layers)))
    for key, color in zip(_DEPTH, _COLORS, strict=False):
        _line(axis, places, [row.get(key) for row in layers.values()], MEANINGS[key][0], color)
    axis.set_xticks(places, list(layers), rotation=45, ha="right", fontsize=8)
    _finish(axis, "collapse through the depth", "layer")
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
    studies: dict[str, list[dict[str, Any]]] = {}
    for one in results["series"]:
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
