"""Figures of several studies together: effects, ranks, fixed against learnable. Reads what was computed."""

from __future__ import annotations

from typing import Any

from equiangular._extras import require
from equiangular.report.figure import COLORS, FIXED, LEARNED
from experiments.report.across import RULE, ranks_title
from experiments.studies.across import MARGIN, VERDICTS
from experiments.studies.summary import CONTRASTS

_GREY = "#7f7f7f"
_COLUMNS = 5
_PANELS = 4  # side by side in the figure of the contrasts
_STEP = 0.62  # between the labels of the diagram of ranks
_VERDICTS = dict(zip(VERDICTS, (FIXED, "black", LEARNED, _GREY), strict=True))


def effects_figure(summary: dict[str, Any]) -> Any:
    """A forest plot for every level of every factor: its effect on each data set, and the mean over them below.

    Levels run on the most data sets come first. Panels of a row share their data sets.

    Args:
        summary: what :func:`experiments.studies.across.summarise_across` returns.

    Returns:
        A ``matplotlib.figure.Figure``.

    Raises:
        ValueError: no study has an effect: each has one level of every factor.
        ImportError: matplotlib is missing.
    """
    figure_module = require("matplotlib.figure", extra="plot", purpose="Drawing the figure")
    if not summary["effects"]:
        raise ValueError("no effect to draw: every study has a single level of each factor.")
    effects = sorted(summary["effects"], key=lambda e: -e["overall"]["n"])
    rows = [effects[i : i + _COLUMNS] for i in range(0, len(effects), _COLUMNS)]
    names = [_data_sets_of(row, summary) for row in rows]
    heights = [len(n) + 4 for n in names]
    figure = figure_module.Figure(figsize=(14, 0.22 * sum(heights) + 0.4), layout="constrained")
    grid = figure.subplots(len(rows), _COLUMNS, height_ratios=heights, squeeze=False)
    for axes_row, row, shown in zip(grid, rows, names, strict=True):
        for i, axes in enumerate(axes_row):
            if i < len(row):
                _draw_forest(axes, row[i], shown, labels=i == 0)
            else:
                axes.set_axis_off()
    figure.supxlabel(
        "points of balanced accuracy, matched cells: mean and 95 % CI over runs; diamond: over data sets", fontsize=9
    )
    return figure


def ranking_figure(summary: dict[str, Any]) -> Any:
    """The critical-difference diagram: methods at their mean rank, bars over those that cannot be told apart.

    Args:
        summary: what :func:`experiments.studies.across.summarise_across` returns.

    Returns:
        A ``matplotlib.figure.Figure``.

    Raises:
        ValueError: the summary has no ranking.
        ImportError: matplotlib is missing.

    Source: Demsar, "Statistical comparisons of classifiers over multiple data sets", JMLR 7, 2006, figure 1.
    """
    figure_module = require("matplotlib.figure", extra="plot", purpose="Drawing the figure")
    ranking = summary["ranking"]
    if ranking is None:
        raise ValueError("no ranking to draw: it needs two data sets and three cells that were run on all of them.")
    methods = ranking["methods"]
    half = (len(methods) + 1) // 2
    first = 0.5 + 0.35 * len(ranking["cliques"])  # depth of the uppermost label below the axis
    depth = first + _STEP * half
    figure = figure_module.Figure(figsize=(11, 0.42 * (depth + 2.4)), layout="constrained")
    axes = figure.subplots()
    last, margin = len(methods), len(methods) - 1
    axes.set_xlim(1 - 0.68 * margin, last + 0.68 * margin)
    axes.set_ylim(depth, -2.4)
    axes.set_axis_off()
    axes.plot([1, last], [0, 0], color="black", linewidth=1)
    for rank in range(1, last + 1):
        axes.plot([rank, rank], [0, -0.15], color="black", linewidth=1)
        axes.text(rank, -0.3, str(rank), ha="center", va="bottom", fontsize=9)
    for i, method in enumerate(methods):
        left, rank = i < half, method["mean_rank"]
        y = first + _STEP * (i if left else last - 1 - i)
        end = 1 - 0.03 * margin if left else last + 0.03 * margin
        style = {"fontsize": 8, "color": COLORS[method["kind"]]}
        axes.plot([rank, rank, end], [0, y, y], color=style["color"], linewidth=0.9)
        text = f"{method['label']}  {rank:.2f}" if left else f"{rank:.2f}  {method['label']}"
        axes.text(end, y, text, ha="right" if left else "left", va="center", **style)
    for i, clique in enumerate(ranking["cliques"]):
        ends = [methods[clique[0]]["mean_rank"] - 0.05, methods[clique[-1]]["mean_rank"] + 0.05]
        axes.plot(ends, [0.3 + 0.35 * i] * 2, color="black", linewidth=3.5, solid_capstyle="round")
    distance = ranking["critical_difference"]
    axes.errorbar([1 + distance / 2], [-1.4], xerr=distance / 2, color="black", capsize=3, linewidth=1)
    axes.text(1, -1.55, f"critical difference {distance:.2f}", va="bottom", fontsize=8)
    colors = "orange: fixed classifier, pink: behind a learned map, blue: learned"
    figure.suptitle(f"{ranks_title(ranking)}\n{colors}", fontsize=10)
    return figure


def contrasts_figure(summary: dict[str, Any]) -> Any:
    """A fixed cell minus a learnable one on every data set, paired, with 95 % CI, and the mean over them.

    One panel for each of :data:`experiments.studies.summary.CONTRASTS` that was run. The band is the margin: an
    interval inside it is level.

    Args:
        summary: what :func:`experiments.studies.across.summarise_across` returns.

    Returns:
        A ``matplotlib.figure.Figure``.

    Raises:
        ValueError: no study has both fixed and learnable cells.
        ImportError: matplotlib is missing.
    """
    figure_module = require("matplotlib.figure", extra="plot", purpose="Drawing the figure")
    verdicts = summary["verdicts"]
    if not verdicts:
        raise ValueError("nothing to draw: no study has both a fixed and a learnable cell.")
    names = [d["name"] for d in summary["data_sets"] if any(c["data_set"] == d["name"] for c in summary["contrasts"])]
    columns = min(len(verdicts), _PANELS)
    rows = -(-len(verdicts) // columns)
    figure = figure_module.Figure(figsize=(15, rows * (0.26 * len(names) + 1.6)), layout="constrained")
    grid = figure.subplots(rows, columns, sharey=True, squeeze=False).ravel()
    for axes in grid[len(verdicts) :]:
        axes.set_axis_off()
    for axes, verdict in zip(grid, verdicts, strict=False):
        for c in summary["contrasts"]:
            if c["contrast"] == verdict["contrast"]:
                error = [[c["mean_difference"] - c["ci_low"]], [c["ci_high"] - c["mean_difference"]]]
                place = [c["mean_difference"]], [names.index(c["data_set"])]
                axes.errorbar(*place, xerr=error, fmt="o", color=_VERDICTS[c["verdict"]], capsize=2, markersize=5)
        if verdict["n"] > 2:
            _draw_overall(axes, verdict["mean_difference"], verdict["mean_difference"] - verdict["ci_low"], len(names))
        counts = ", ".join(f"{verdict[v]} {v}" for v in _VERDICTS)
        ours, rival = CONTRASTS[verdict["contrast"]].split(" − ")
        axes.set_title(f"{ours}\n− {rival}\n{counts}", fontsize=8)
        axes.set_yticks(range(len(names) + 1), [*names, "mean over data sets"], fontsize=8)
        axes.set_ylim(len(names) + 0.6, -0.6)
        axes.axvspan(-MARGIN, MARGIN, color=_GREY, alpha=0.2, linewidth=0)
        axes.axvline(0, color="black", linewidth=0.8)
        axes.grid(axis="x", alpha=0.3)
        for word, color in _VERDICTS.items():
            axes.plot([], [], "o", color=color, label=word)
    handles = grid[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower right", ncols=len(_VERDICTS), frameon=False, fontsize=8)
    figure.suptitle(f"A fixed classifier minus a learnable one. {RULE} (band: the margin)", fontsize=10)
    figure.supxlabel("points of balanced accuracy, paired by run, 95 % CI over runs", fontsize=9)
    return figure


def figures(summary: dict[str, Any]) -> dict[str, Any]:
    """The figures that there is something to draw for, by name."""
    found = {}
    if summary["effects"]:
        found["effects"] = effects_figure(summary)
    if summary["verdicts"]:
        found["fixed_against_learnable"] = contrasts_figure(summary)
    if summary["ranking"] is not None:
        found["ranking"] = ranking_figure(summary)
    return found


def _data_sets_of(effects: list[dict[str, Any]], summary: dict[str, Any]) -> list[str]:
    """Names of the data sets that some of these effects were measured on, in the order of the summary."""
    measured = {place["data_set"] for effect in effects for place in effect["data_sets"]}
    return [one["name"] for one in summary["data_sets"] if one["name"] in measured]


def _draw_forest(axes: Any, effect: dict[str, Any], names: list[str], *, labels: bool) -> None:
    places = effect["data_sets"]
    axes.errorbar(
        [p["mean_difference"] for p in places],
        [names.index(p["data_set"]) for p in places],
        xerr=[p["ci95"] for p in places],
        fmt="o",
        color="#225ea8",
        markersize=4,
        capsize=2,
        linewidth=1,
    )
    if effect["overall"]["n"] > 2:
        _draw_overall(axes, effect["overall"]["mean_difference"], effect["overall"]["ci95"], len(names))
    axes.set_yticks(range(len(names) + 1), [*names, "mean over data sets"] if labels else [], fontsize=8)
    axes.set_ylim(len(names) + 0.6, -0.6)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.grid(axis="x", alpha=0.3)
    axes.tick_params(axis="x", labelsize=8)
    axes.set_title(f"{effect['factor']}: {effect['level']} − {effect['reference']}", fontsize=9)


def _draw_overall(axes: Any, mean: float, half: float, y: int) -> None:
    """A diamond as wide as the interval over the data sets; of two it would be wider than all else in the figure."""
    axes.fill([mean - half, mean, mean + half, mean], [y, y - 0.3, y, y + 0.3], color="black")
