"""The tables and the figure of the transfer study, from its runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from equiangular._extras import require
from equiangular.measures import mean_ci, paired_comparison
from equiangular.report.figure import save_figure
from experiments.questions.transfer_design import COLLAPSE, HEADS, MEASURES, PLACES, REFERENCE, Source


def summarise(runs: dict[str, dict[str, dict[str, Any]]], sources: dict[str, Source]) -> dict[str, Any]:
    """Mean and 95 % CI of every head on every pair and of the mean over pairs, and paired differences from linear + CE.

    ``frame``: ETF + CE minus cosine + CE, whose only difference is that the frame is fixed. ``rank_correlation``:
    Spearman's, over the trained heads of a source, of a measure of collapse at the backbone's output with accuracy
    there; mean over its targets, then over seeds.
    """
    seeds = sorted(set.intersection(*[set(rows) for heads in runs.values() for rows in heads.values()]), key=int)
    pairs = {f"{title} → {target}": [(title, target)] for title in runs for target in sources[title].targets}
    everywhere = [pair for chosen in pairs.values() for pair in chosen]
    trained = [name for name in HEADS if HEADS[name] is not None]
    table: dict[str, Any] = {"seeds": len(seeds), "source": {}, "pairs": {}, "frame": {}, "rank_correlation": {}}
    for title, heads in runs.items():
        keys = heads[REFERENCE][seeds[0]]["source"]
        table["source"][title] = {
            name: {key: cell([heads[name][seed]["source"][key] for seed in seeds]) for key in keys} for name in trained
        }
    for label, chosen in {**pairs, "mean": everywhere}.items():
        table["pairs"][label] = {name: {place: {} for place in PLACES} for name in HEADS}
        table["frame"][label] = {}
        for place, measure in product(PLACES, MEASURES):
            scores = {
                name: [np.mean([runs[t][name][seed][target][place][measure] for t, target in chosen]) for seed in seeds]
                for name in HEADS
            }
            for name, values in scores.items():
                against = None if name == REFERENCE else scores[REFERENCE]
                table["pairs"][label][name][place][measure] = cell(values, against)
            table["frame"][label][f"{measure}, {place}"] = cell(scores["ETF + CE"], scores["cosine + CE"])
    for title, key, measure in product(runs, COLLAPSE, MEASURES):
        values = []
        for seed in seeds:
            of_seed = [runs[title][name][seed] for name in trained]
            collapse = [row["source"][f"{key} backbone"] for row in of_seed]
            scores = [[row[target]["backbone"][measure] for row in of_seed] for target in sources[title].targets]
            values.append(np.mean([rank_correlation(collapse, score) for score in scores]))
        table["rank_correlation"].setdefault(title, {})[f"{key}, {measure}"] = cell(values)
    return table


def rank_correlation(a: Sequence[float], b: Sequence[float]) -> float:
    """Spearman's; 0 where all numbers of one side are equal."""
    constant = len(set(a)) == 1 or len(set(b)) == 1
    return 0.0 if constant else float(spearmanr(a, b).statistic)


def cell(values: Sequence[float], reference: Sequence[float] | None = None) -> dict[str, Any]:
    """Mean and 95 % CI, and the paired difference from the reference."""
    entry: dict[str, Any] = dict(zip(("mean", "ci95"), mean_ci(values), strict=True))
    if reference is not None and len(values) > 1:
        compared = paired_comparison(values, reference)
        interval = [compared.ci_low, compared.ci_high]
        entry |= {"difference": compared.mean_difference, "difference_ci95": interval, "p": compared.p_value}
    return entry


def markdown(table: dict[str, Any]) -> str:
    """The tables of the document: the sources, each measure at the backbone's output, and the mean at both places."""
    columns = ("accuracy", "nc1 backbone", "cdnv backbone")
    parts = [rows("on the source: accuracy / NC1 / CDNV", table["source"], lambda entry: " / ".join(
        f"{entry[key]['mean']:.1f}" if key == "accuracy" else f"{entry[key]['mean']:.3g}" for key in columns
    ))]  # fmt: skip
    for measure, title in zip(MEASURES, ("linear probe", "20 nearest neighbours"), strict=True):
        parts.append(rows(title, table["pairs"], lambda entry, measure=measure: text(entry["backbone"][measure])))
    places = {
        f"{measure}, {place}": {name: entry[place][measure] for name, entry in table["pairs"]["mean"].items()}
        for measure, place in product(MEASURES, PLACES)
    }
    parts.append(rows("mean over the pairs", places, text))
    parts.append(rows("ETF + CE minus cosine + CE", table["frame"], difference))
    return "\n\n".join(parts) + "\n"


def rows(title: str, columns: dict[str, dict[str, Any]], show: Callable[[Any], str]) -> str:
    """A Markdown table: a row for every name in them, a column for every entry of ``columns``."""
    lines = [f"| {title} | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for name in next(iter(columns.values())):
        lines.append(f"| {name} | " + " | ".join(show(column[name]) for column in columns.values()) + " |")
    return "\n".join(lines)


def text(entry: dict[str, Any]) -> str:
    """Mean ± CI (difference [its CI]), in percent."""
    shown = f"{entry['mean']:.1f} ± {entry['ci95']:.1f}"
    return f"{shown} ({difference(entry)})" if "difference" in entry else shown


def difference(entry: dict[str, Any]) -> str:
    low, high = entry["difference_ci95"]
    return f"{entry['difference']:+.1f} [{low:+.1f}, {high:+.1f}]".replace("-", "−")


def draw(results: dict[str, Any], sources: dict[str, Source], path: Path) -> None:
    """Accuracy of every head on every pair; below, of every run, the probe's mean over both targets against NC1."""
    figure_module = require("matplotlib.figure", extra="plot", purpose="Drawing the figure")
    figure = figure_module.Figure(figsize=(10, 9), layout="constrained")
    axes = figure.subplots(3, len(sources), squeeze=False)
    colors = dict(zip(HEADS, ("#0072B2", "#009E73", "#D55E00", "#E69F00", "#CC79A7", "#888888"), strict=True))
    for place, (title, source) in enumerate(sources.items()):
        column = axes[:, place]
        for axis, target in zip(column[:-1], source.targets, strict=True):
            table = results["table"]["pairs"][f"{title} → {target}"]
            for row, (name, entry) in enumerate(table.items()):
                for measure, offset, fill in zip(MEASURES, (-0.12, 0.12), (colors[name], "white"), strict=True):
                    found = entry["backbone"][measure]
                    axis.errorbar(found["mean"], row + offset, xerr=found["ci95"], fmt="o", color=colors[name],
                                  mfc=fill, ms=5, capsize=2)  # fmt: skip
            axis.set_title(f"{title}\n→ {target}", fontsize=9)
            axis.set_xlabel("accuracy, %: probe ●, neighbours ○", fontsize=8)
            axis.set_yticks(range(len(HEADS)), [""] * len(HEADS) if place else HEADS)
            axis.invert_yaxis()
        for name, seeds in results["runs"][title].items():
            if HEADS[name] is not None:
                collapse = [row["source"]["nc1 backbone"] for row in seeds.values()]
                probe = [np.mean([row[t]["backbone"]["probe"] for t in source.targets]) for row in seeds.values()]
                column[-1].plot(collapse, probe, "o", color=colors[name], label=name, ms=5)
        column[-1].set_title(title, fontsize=9)
        column[-1].set_xlabel("NC1 on the source, at the backbone's output", fontsize=8)
        column[-1].set_ylabel("probe, mean of both targets, %", fontsize=8)
        for axis in column:
            axis.grid(alpha=0.3)
            axis.tick_params(labelsize=8)
    figure.legend(*axes[-1, 0].get_legend_handles_labels(), loc="outside lower center", ncols=5, frameon=False)
    save_figure(figure, path)
