"""Tables and figures of the study, from its records alone. Computes nothing but means of what the summary has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from equiangular._extras import require
from equiangular._files import json_plain, write_json
from equiangular.report.figure import save_figure
from experiments.common import DOCS, FIGURES, RESULTS
from experiments.pretrained.arms import COMPUTED, NAMED_RIVAL, RIVALS, VARIANTS
from experiments.pretrained.summary import DUELS, LEVEL, SUMMARY, read_records, summarise

FOLDER = RESULTS / "pretrained"
KINDS = {"text": "texts", "image": "images", "table": "tables"}
Summary = dict[str, Any]


def signed(value: float) -> str:
    """A difference with a true minus sign."""
    return f"{value:+.1f}".replace("-", "−")


def interval(row: dict[str, Any]) -> str:
    """A difference with its wider interval."""
    return f"{signed(row['mean'])} [{signed(row['low'])}, {signed(row['high'])}]"


def told(row: dict[str, Any]) -> str:
    """A difference with its interval, bold where Holm's p is below the level, and that p."""
    text = f"{interval(row)}, p {p_text(row['holm'])}"
    return f"**{text}**" if row["holm"] < LEVEL else text


def p_text(p: float) -> str:
    """A p-value of Holm's."""
    return "< .001" if p < 0.001 else f"{p:.3f}".lstrip("0") if p < 1 else "1"


def markdown(head: list[str], rows: list[list[str]]) -> str:
    """A table."""
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows))


def short(arm: str) -> str:
    """An arm in a cell of a table."""
    return arm.replace(" | ", ", ").replace("logistic regression", "LR")


def duel_table(summary: Summary) -> str:
    """By cell: the fixed classifier of least held-out loss against the ordinary and against any learned rival."""
    sizes = {cell["cell"]: cell for cell in summary["cells"]}
    rows = []
    for own, any_ in zip(*(summary["duels"][name]["cells"] for name in list(DUELS)[:2]), strict=True):
        size = sizes[own["cell"]]
        mean, half = own["rival_accuracy"]
        rows.append([
            own["cell"], f"{size['samples']}, {size['classes']}", short(own["fixed"]), short(own["rival"]),
            f"{mean:.1f} ± {half:.1f}", told(own), short(any_["rival"]), told(any_),
        ])  # fmt: skip
    head = ["cut", "samples, classes", "fixed", "ordinary rival", "its accuracy", "fixed − ordinary",
            "any learned rival", "fixed − any learned"]  # fmt: skip
    return markdown(head, rows)


def set_table(summary: Summary) -> str:
    """By set, over its cells."""
    columns = [summary["duels"][name]["sets"] for name in DUELS]
    rows = [[own[0]["set"], str(own[0]["cells"]), *map(told, own)] for own in zip(*columns, strict=True)]
    return markdown(["set", "cuts", *DUELS], rows)


def contrast_table(summary: Summary) -> str:
    """Every contrast: mean over sets with its interval, by kind of data, and how many cells differ after Holm."""
    rows = []
    for name, found in summary["contrasts"].items():
        kinds = []
        for kind in KINDS:
            own = [c["mean"] for c in found["cells"] if (c["kind"] if c["kind"] != "quantile" else "table") == kind]
            kinds.append(signed(float(np.mean(own))) if own else "")
        rows.append([
            name, f"{found['count']}, {found['sets']}", f"{signed(found['mean'])} ± {found['half']:.1f}", *kinds,
            f"{found['better']}, {found['worse']}",
        ])  # fmt: skip
    return markdown(["contrast", "cuts, sets", "mean over sets", *KINDS.values(), "cuts better, worse"], rows)


def names_table(summary: Summary) -> str:
    """Balanced accuracy with names in other words, beside what has no names."""
    accuracy, rows = summary["accuracy"], []
    for cell in summary["cells"]:
        own = accuracy[cell["cell"]]
        if f"fixed {VARIANTS[1]} | residual | LA" not in own:
            continue
        shown = ["logistic regression, prior out", "learned random | none | LA"]
        shown += [f"{way} {variant} | {map_} | LA" for way, map_ in (("fixed", "none"), ("fixed", "residual"))
                  for variant in VARIANTS]  # fmt: skip
        shown += [f"learned {variant} | residual | LA" for variant in (VARIANTS[0], VARIANTS[2])]
        rows.append([cell["cell"], *(f"{own[arm][0]:.1f}" if arm in own else "" for arm in shown)])
    words = [variant.removeprefix("names: ") for variant in VARIANTS]
    head = ["cut", "LR", "learned cosine", *(f"alone: {word}" for word in words), *(f"fixed: {word}" for word in words)]
    head += ["learned on: names", "learned on: nonsense"]
    return markdown(head, rows)


def shots_table(summary: Summary) -> str:
    """Texts and images from few samples to many and from level cuts to long tails: what names and being fixed give."""
    pairs = {
        "fixed − LR": "fixed head against logistic regression",
        "fixed − learned on": "fixed against learned on, same start",
        "LR + names − LR": "names as samples of logistic regression",
    }
    of_cell = {column: {row["cell"]: row for row in summary["contrasts"].get(name, {"cells": []})["cells"]}
               for column, name in pairs.items()}  # fmt: skip
    rows = []
    for cell in sorted(summary["cells"], key=shots):
        if cell["kind"] not in ("text", "image"):
            continue
        own, best = summary["accuracy"][cell["cell"]], "names" if cell["kind"] == "text" else "means"
        heads = (f"fixed {best} | none | LA", f"fixed {best} | residual | LA", f"learned {best} | residual | LA")
        shown = (RIVALS[1], COMPUTED[0], *heads, NAMED_RIVAL)
        told = [f"{own[arm][0]:.1f}" if arm in own else "" for arm in shown]
        told += [bold(of_cell[column][cell["cell"]]) if cell["cell"] in of_cell[column] else "" for column in pairs]
        sizes = f"{cell['samples']:,}, {cell['largest']} to {cell['smallest']}"
        rows.append([cell["cell"], sizes, *told])
    head = ["cut", "samples, a class", "LR", "kernel", "alone", "fixed", "learned on", "LR + names", *pairs]
    return markdown(head, rows)


def shots(cell: Summary) -> tuple[str, float, int]:
    """Where a cut stands: by set, by imbalance, by samples."""
    return cell["set"].partition(",")[0], cell["largest"] / cell["smallest"], cell["samples"]


def bold(row: dict[str, Any]) -> str:
    """A difference with its interval, bold where Holm's p is below the level."""
    return f"**{interval(row)}**" if row["holm"] < LEVEL else interval(row)


def factorial_table(summary: Summary) -> str:
    """The cells with all levels: mean accuracy of each map (rows) by class vectors, under LA; then each loss."""
    rows = []
    for cell in summary["cells"]:
        own = summary["accuracy"][cell["cell"]]
        if "learned means | BatchNorm | LA" not in own:
            continue
        starts = [f"{way} {start}" for way in ("learned", "fixed") for start in ("random", "simplex", "means", "names")]
        rows += [
            [f"{cell['cell']}, {map_}, {loss}",
             *(f"{own[arm][0]:.1f}" if (arm := f"{start} | {map_} | {loss}") in own else "" for start in starts)]
            for map_ in ("none", "residual", "linear", "BatchNorm")
            for loss in ("CE", "CE, prior out", "LA", "DR", "DR, balanced", "ridge", "ridge, balanced")
            if any(arm.endswith(f"| {map_} | {loss}") for arm in own)
        ]  # fmt: skip
        kept = starts
    return markdown(["cut, map, loss", *kept], rows) if rows else ""


TABLES = {
    "sets": set_table,
    "cells": duel_table,
    "contrasts": contrast_table,
    "names": names_table,
    "shots": shots_table,
    "factorial": factorial_table,
}


def contrasts_figure(summary: Summary) -> Any:
    """Every contrast: its mean over sets and interval; dots are cells, filled where Holm's p is below the level."""
    figure = require("matplotlib.figure", extra="plot", purpose="Drawing the figure").Figure(
        figsize=(8, 0.34 * len(summary["contrasts"]) + 1), layout="constrained"
    )
    axes = figure.subplots()
    for place, found in enumerate(summary["contrasts"].values()):
        for cell in found["cells"]:
            face = "tab:blue" if cell["holm"] < LEVEL else "none"
            axes.plot(np.clip(cell["mean"], -20, 20), place, "o", ms=4, mfc=face, mec="tab:blue", alpha=0.7)
        axes.errorbar(found["mean"], place, xerr=found["half"], fmt="D", color="black", ms=5, capsize=3)
    axes.axvline(0, color="grey", lw=0.8)
    axes.set_yticks(range(len(summary["contrasts"])), list(summary["contrasts"]), fontsize=8)
    axes.set_xlim(-21, 21)
    axes.invert_yaxis()
    axes.set_xlabel(
        "points of balanced accuracy; diamond: mean over sets, 95 % CI\n"
        "dot: a cut, filled where Holm's p is below .05, at the edge: beyond"
    )
    return figure


def all_tables(folder: Path = FOLDER) -> str:
    """Every table, from the records."""
    summary = summarise(read_records(folder))
    return "\n\n".join(text for table in TABLES.values() if (text := table(summary)))


def with_tables(page: str, summary: Summary) -> str:
    """A page with every table between ``<!-- table NAME -->`` and ``<!-- end -->`` made anew."""
    for name, table in TABLES.items():
        begin = f"<!-- table {name} -->\n\n"
        before, found, rest = page.partition(begin)
        if found:
            page = before + begin + table(summary) + "\n\n" + rest[rest.index("<!-- end -->") :]
    return page


def show(folder: Path) -> None:
    """Print the tables and write them into docs/pretrained.md, the summary beside the records, and the figure."""
    summary = summarise(read_records(folder))
    for name, table in TABLES.items():
        print(f"\n{name}\n\n{table(summary)}")
    if folder == FOLDER:
        write_json(folder / SUMMARY, json_plain(summary))
        page = DOCS / "pretrained.md"
        page.write_text(with_tables(page.read_text(encoding="utf-8"), summary), encoding="utf-8")
        save_figure(contrasts_figure(summary), FIGURES / "pretrained_contrasts.svg")
