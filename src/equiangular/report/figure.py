"""The figure of a comparison: accuracy of every run with mean and interval, and many/medium/few side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from equiangular._extras import require
from equiangular._files import write_atomically

# Okabe and Ito's palette: distinguishable with any colour vision.
LEARNED, FIXED = "#0072B2", "#D55E00"
GROUPS = (("many", "#56B4E9"), ("medium", "#009E73"), ("few", "#E69F00"))


def comparison_figure(results: dict[str, Any]) -> Any:
    """Draw ``results.json`` as a matplotlib figure.

    Args:
        results: the dictionary that :func:`equiangular.compare.run_study` returns.

    Returns:
        A ``matplotlib.figure.Figure``, made without pyplot: no global state, no window.

    Raises:
        ImportError: matplotlib is missing.
    """
    figure_module = require("matplotlib.figure", extra="plot", purpose="Drawing the figure")
    table = results["table"]
    names = list(table)[::-1]
    figure = figure_module.Figure(figsize=(11, 0.46 * len(names) + 1.6), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    for position, name in enumerate(names):
        row, color = table[name], FIXED if table[name]["fixed"] else LEARNED
        cell = row["balanced_accuracy"]
        left.plot(cell["values"], [position] * len(cell["values"]), "o", color=color, alpha=0.3, markersize=4)
        left.errorbar(cell["mean"], position, xerr=cell["ci95"], fmt="D", color=color, capsize=3, markersize=6)
        for offset, (group, tint) in zip((0.24, 0, -0.24), GROUPS, strict=True):
            value = row[group]["mean"]
            if value is not None and value == value:
                right.barh(position + offset, value, height=0.22, color=tint)
    left.set_yticks(range(len(names)), [table[name]["label"] for name in names])
    left.set_xlabel("balanced test accuracy, % (dots: runs; diamond: mean with 95 % CI)")
    low, high = left.get_xlim()
    left.set_xlim(max(low, 0), min(high, 101))  # an interval over a few runs may reach beyond what accuracy can be
    left.grid(axis="x", alpha=0.3)
    left.plot([], [], "D", color=LEARNED, label="classifier learned")
    left.plot([], [], "D", color=FIXED, label="classifier fixed")
    right.set_xlabel("accuracy by group, %")
    right.set_xlim(0, 100)
    right.grid(axis="x", alpha=0.3)
    for group, tint in GROUPS:
        right.barh([0], [0], color=tint, label=f"{group}-shot")
    figure.legend(loc="outside upper center", ncols=5, frameon=False)
    return figure


def curves_figure(results: dict[str, Any]) -> Any:
    """NC1, NC2 and NC3 of the training features over the epochs of the first run, one line for each training."""
    figure_module = require("matplotlib.figure", extra="plot", purpose="Drawing the figure")
    figure = figure_module.Figure(figsize=(11, 3.6), layout="constrained")
    axes = figure.subplots(1, 3)
    drawn = [r for r in results["runs"] if r["curve"] and not r["method"].endswith("-pc")]
    styles = ("-", "--", ":", "-.")
    for axis, key, title in zip(axes, ("nc1", "nc2_equiangular", "nc3"), ("NC1", "NC2", "NC3"), strict=True):
        count = {True: 0, False: 0}
        for run in drawn:
            row = results["table"][run["method"]]
            points = [(p["epoch"], p[key]) for p in run["curve"] if p[key] is not None and p[key] > 0]
            color, style = (FIXED if row["fixed"] else LEARNED), styles[count[row["fixed"]] % len(styles)]
            count[row["fixed"]] += 1
            axis.plot(*zip(*points, strict=True), style, color=color, label=row["label"])
        axis.set_yscale("log")
        axis.set_xlabel("epoch")
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.set_title(title)
        axis.grid(alpha=0.3)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize=8)
    return figure


def save_figure(figure: Any, path: str | Path) -> Path:
    """Write a figure atomically; the suffix chooses the format (.png, .svg, .pdf)."""
    return write_atomically(path, lambda p: figure.savefig(p, dpi=150))


def figure_svg(figure: Any) -> str:
    """A figure as an inline ``<svg>`` element: text stays text, nothing is fetched."""
    import io

    import matplotlib

    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "equiangular"}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]
