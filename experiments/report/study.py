"""The table and the figure of a factorial study. Reads its results, computes nothing."""

from __future__ import annotations

from typing import Any

from equiangular._extras import require
from equiangular.report.figure import FIXED, LEARNED

_TITLES = {"head": "head", "features": "features", "loss": "loss", "correction": "correction", "mix": "mixup"}
# One colour for each imbalance factor, light to dark (ColorBrewer's YlGnBu, from the third on).
_SHADES = ("#7fcdbb", "#41b6c4", "#1d91c0", "#225ea8", "#0c2c84")


def effects_table(part: dict[str, Any], data: str) -> Any:
    """The effect of every level of every factor at one imbalance factor, as a ``rich.table.Table``.

    Args:
        part: one entry of ``parts`` in a study's results.
        data: name of the data set.
    """
    table_module = require("rich.table", extra="train", purpose="Printing the table")
    contrast = part["contrast"]
    caption = None
    if contrast is not None:
        ours, theirs = (part["table"][contrast[side]] for side in ("fixed", "learnable"))
        caption = (
            f"fixed, chosen on validation: {ours['label']} {ours['balanced_accuracy']['mean']:.1f} %; best learnable: "
            f"{theirs['label']} {theirs['balanced_accuracy']['mean']:.1f} %; paired difference "
            f"{contrast['mean_difference']:+.1f} [{contrast['ci_low']:+.1f}, {contrast['ci_high']:+.1f}]"
        )
    table = table_module.Table(
        title=f"{data}, imbalance {part['imbalance']:g}: effect on balanced accuracy, all else equal",
        title_justify="left",
        caption=caption,
        caption_justify="left",
    )
    for heading in ("factor", "level", "against", "points", "pairs of cells"):
        table.add_column(heading, justify="right" if heading in ("points", "pairs of cells") else "left")
    for effect in part["effects"]:
        points = f"{effect['mean_difference']:+.1f} ± {effect['ci95']:.1f}"
        table.add_row(effect["factor"], effect["level"], effect["reference"], points, str(effect["pairs"]))
    return table


def study_figure(results: dict[str, Any]) -> Any:
    """Left: the effect of every level at every imbalance factor. Right: every head at its best, over the factors.

    Args:
        results: the dictionary that :func:`experiments.studies.run.run_factorial` returns.

    Returns:
        A ``matplotlib.figure.Figure``.

    Raises:
        ImportError: matplotlib is missing.
    """
    figure_module = require("matplotlib.figure", extra="plot", purpose="Drawing the figure")
    parts = results["parts"]
    levels = list(dict.fromkeys((e["factor"], e["level"], e["reference"]) for part in parts for e in part["effects"]))
    figure = figure_module.Figure(figsize=(12, 1.4 + 0.42 * max(8, len(levels))), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    _draw_effects(left, parts, levels)
    _draw_heads(right, parts)
    figure.suptitle(f"{results['study']['data']}: balanced accuracy of the test part, mean and 95 % CI", fontsize=11)
    return figure


def _draw_effects(axes: Any, parts: list[dict[str, Any]], levels: list[tuple[str, str, str]]) -> None:
    shades = _SHADES[-len(parts) :] if len(parts) > 1 else _SHADES[-1:]
    for i, (part, shade) in enumerate(zip(parts, shades, strict=False)):
        found = {(e["factor"], e["level"], e["reference"]): e for e in part["effects"]}
        offset = 0.6 * (i - (len(parts) - 1) / 2) / len(parts)
        axes.errorbar(
            [e["mean_difference"] for e in found.values()],
            [levels.index(key) + offset for key in found],
            xerr=[e["ci95"] for e in found.values()],
            fmt="o",
            color=shade,
            capsize=2,
            label=f"imbalance {part['imbalance']:g}",
        )
    names = [f"{_TITLES[factor]}: {level} − {reference}" for factor, level, reference in levels]
    axes.set_yticks(range(len(levels)), names)
    axes.invert_yaxis()
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_xlabel("points, matched cells")
    axes.grid(axis="x", alpha=0.3)
    axes.legend(frameon=False, fontsize=8)


def _draw_heads(axes: Any, parts: list[dict[str, Any]]) -> None:
    """Of every head the cell that validation data chose, its test result over the imbalance factors."""
    heads = list(dict.fromkeys(name.partition("/")[0] for name in parts[0]["table"]))
    for i, head in enumerate(heads):
        chosen = [_best_cell(part, head) for part in parts]
        cells = [part["table"][name]["balanced_accuracy"] for part, name in zip(parts, chosen, strict=True)]
        fixed = parts[0]["table"][chosen[0]]["fixed"]
        shift = 1 + 0.03 * (i - len(heads) / 2)
        axes.errorbar(
            [part["imbalance"] * shift for part in parts],
            [c["mean"] for c in cells],
            yerr=[c["ci95"] for c in cells],
            fmt=("o", "s", "^", "D", "v", "P")[i % 6] + ("-" if len(parts) > 1 else ""),
            color=FIXED if fixed else LEARNED,
            alpha=0.8,
            capsize=2,
            label=head,
        )
    axes.set_xscale("log")
    axes.set_xticks([part["imbalance"] for part in parts], [f"{part['imbalance']:g}" for part in parts])
    axes.minorticks_off()
    axes.set_xlabel("imbalance factor")
    axes.set_ylabel("%")
    axes.set_title("every head with what validation data chose", fontsize=9)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize=8)


def _best_cell(part: dict[str, Any], head: str) -> str:
    names = [name for name in part["table"] if name.partition("/")[0] == head]
    return max(names, key=lambda name: part["settings"][name]["validation"])
