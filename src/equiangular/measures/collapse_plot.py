"""A quick picture of measures of collapse: dots for one measurement, curves for several. Needs the extra ``[plot]``."""

from collections.abc import Mapping, Sequence
from typing import Any

from equiangular._extras import require

# Measures that are 0 at collapse: one logarithmic axis shows them all.
ZERO_AT_COLLAPSE = (
    "nc1", "nc1_quotient", "cdnv", "vci", "nc2_equinorm", "nc2_equiangular", "nc2_std", "nc2_etf", "gnc2",
    "etf_distance", "nc3", "nc3_gram", "unc3", "nc5",
)  # fmt: skip
_MARKERS = ("o", "^", "s", "v", "D", "P")


def plot_collapse(
    values: Mapping[str, Any] | Sequence[Mapping[str, Any]], ax: Any = None, *, keys: Sequence[str] | None = None
) -> tuple[Any, Any]:
    """Draw measures by name.

    Example:
        >>> figure, ax = plot_collapse([{"nc1": 0.5, "nc3": 0.1}, {"nc1": 0.05, "nc3": 0.01}])
        >>> [text.get_text() for text in ax.get_legend().get_texts()]
        ['nc1', 'nc3']
    """
    pyplot = require("matplotlib.pyplot", extra="plot", purpose="Plotting collapse")
    rows = [values] if isinstance(values, Mapping) else list(values)
    if not rows:
        raise ValueError("nothing to plot: values is empty.")
    missing = [key for key in keys or () if key not in rows[0]]
    if missing:
        raise ValueError(f"{missing[0]!r} was not measured; there are: {', '.join(rows[0])}.")
    shown = list(keys) if keys else [key for key in ZERO_AT_COLLAPSE if key in rows[0]]
    figure, ax = (ax.figure, ax) if ax is not None else pyplot.subplots(layout="constrained")
    draw = _dots if isinstance(values, Mapping) else _curves
    draw(ax, rows, shown)
    ax.grid(alpha=0.3)
    if ax.get_legend_handles_labels()[0]:
        ax.legend(frameon=False, fontsize=8)
    return figure, ax


def _dots(ax: Any, rows: list[Mapping[str, Any]], shown: list[str]) -> None:
    (row,) = rows
    groups = ["", *dict.fromkeys(key.partition("/")[2] for key in row if "/" in key)]
    for group, marker in zip(groups, _MARKERS * len(groups), strict=False):
        names = [key if not group else f"{key}/{group}" for key in shown]
        points = [(float(row[name]), place) for place, name in enumerate(names) if name in row]
        if points:
            ax.plot(*zip(*points, strict=True), marker, alpha=0.8, label=group or "all classes")
    ax.set_yticks(range(len(shown)), shown)
    ax.invert_yaxis()
    ax.set_xscale("log")


def _curves(ax: Any, rows: list[Mapping[str, Any]], shown: list[str]) -> None:
    for number, key in enumerate(shown):
        line = ("-", "--", ":", "-.")[number // 10 % 4]  # ten colours
        ax.plot([float(row[key]) for row in rows], line, marker="o", markersize=3, label=key)
    ax.set_yscale("log")
    ax.set_xlabel("step")
