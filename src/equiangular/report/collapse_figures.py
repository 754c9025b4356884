"""Figures of collapse: one training over epochs, several side by side, and one network through its depth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from equiangular._extras import require
from equiangular.report.meanings import MEANINGS

_CURVES = (("nc1", "cdnv", "vci"), ("nc2_equinorm", "nc2_equiangular", "etf_distance"), ("nc3", "unc3"))
_PANELS = (("nc1", "NC1"), ("nc2_equiangular", "NC2, equiangular"), ("nc3", "NC3"), ("nc4", "NC4"))
_DEPTH = ("nc1", "nc1_quotient", "cdnv", "nc2_equinorm", "nc2_equiangular")
# Okabe and Ito's palette: distinguishable with any colour vision.
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


def collapse_figure(rows: Sequence[Mapping[str, float]], epochs: Sequence[float]) -> Any:
    """Curves of the measures of one training over epochs, on logarithmic axes; a single epoch is a point.

    Args:
        rows: measures by name, one mapping for each epoch.
        epochs: their epochs.

    Returns:
        A ``matplotlib.figure.Figure``.
    """
    figure, axes = _figure(3)
    for axis, keys, title in zip(axes, _CURVES, ("NC1", "NC2", "NC3"), strict=True):
        for key, color in zip(keys, _COLORS, strict=False):
            _line(axis, epochs, [row.get(key) for row in rows], MEANINGS[key][0], color)
        _finish(axis, title, "epoch")
    return figure


def side_by_side_figure(series: Mapping[str, tuple[Sequence[float], Sequence[Mapping[str, float]]]]) -> Any:
    """NC1 to NC4 of several trainings over epochs, one line for each.

    Args:
        series: label -> (epochs, measures by name for each of them).

    Returns:
        A ``matplotlib.figure.Figure``.
    """
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
    """Collapse through the depth of one network.

    Args:
        layers: name of a layer -> measures by name, in the order of the network.

    Returns:
        A ``matplotlib.figure.Figure``.
    """
    figure, (axis,) = _figure(1, width=max(6.0, 0.7 * len(layers) + 2))
    places = list(range(len(layers)))
    for key, color in zip(_DEPTH, _COLORS, strict=False):
        _line(axis, places, [row.get(key) for row in layers.values()], MEANINGS[key][0], color)
    axis.set_xticks(places, list(layers), rotation=45, ha="right", fontsize=8)
    _finish(axis, "collapse through the depth", "layer")
    return figure


def _figure(columns: int, *, width: float = 11, legend: bool = False) -> tuple[Any, list[Any]]:
    figure_class = require("matplotlib.figure", extra="plot", purpose="Drawing the curves").Figure
    figure = figure_class(figsize=(width, 3.8 if legend else 3.4), layout="constrained")
    return figure, list(figure.subplots(1, columns, squeeze=False)[0]) if columns else []


def _line(
    axis: Any, x: Sequence[float], values: Sequence[float | None], label: str, color: str, style: str = "-"
) -> None:
    points = [
        (at, value) for at, value in zip(x, values, strict=True) if value is not None and 0 < value < float("inf")
    ]
    if points:
        axis.plot(*zip(*points, strict=True), style, marker="o", markersize=3, label=label, color=color)


def _finish(axis: Any, title: str, x: str, *, log: bool = True, legend: bool = True) -> None:
    if log:
        axis.set_yscale("log")
    axis.set_xlabel(x)
    if x == "epoch":
        axis.xaxis.get_major_locator().set_params(integer=True)
    axis.set_title(title)
    axis.grid(alpha=0.3)
    if legend and axis.lines:
        axis.legend(frameon=False, fontsize=8)
