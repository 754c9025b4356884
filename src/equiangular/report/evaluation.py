"""Tables, pictures and the page of an evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from equiangular._counted import counted
from equiangular._extras import require
from equiangular.records import unpack_confusion
from equiangular.report.figure import GROUPS, LEARNED, new_figure
from equiangular.report.page import Cell, Line, Page, Table, write
from equiangular.report.runs import of_evaluation, page_of
from equiangular.report.table import new_table

# Names and numbers are written into a confusion matrix up to these many classes; beyond the last, classes share cells.
_NAMED, _NUMBERED, _CELLS = 60, 20, 1000
RAW = "0.55"


def confusion_figure(results: dict[str, Any]) -> Any:
    """The confusion matrix, each row divided by its sum: true classes in rows, predictions in columns.

    Classes stand in the order of their training samples, the largest first, so that many-, medium- and few-shot classes
    are blocks; lines part them. Few-shot classes taken for many-shot ones lie below the diagonal. Of more than 1,000
    classes neighbours share a row and a column: the mean over the classes of a row that have test samples.

    ``results`` is what :func:`equiangular.inference.evaluate` returns.
    """
    classes = results["classes"]
    order = sorted(range(len(classes)), key=lambda i: -classes[i]["train"])
    names = [classes[i]["name"].replace("$", r"\$") for i in order]  # not mathematics
    shares = _shares(unpack_confusion(results["confusion"]), order)
    size = 7.0 if len(order) > _NAMED else min(14.0, max(4.6, 0.3 * len(order) + 2.2))
    figure = new_figure(size + 0.7, size)
    axis = figure.subplots()
    image = axis.imshow(shares, cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
    shown = names if len(order) <= _NAMED else []
    axis.set_xticks(range(len(shown)), shown, rotation=90, fontsize=8)
    axis.set_yticks(range(len(shown)), shown, fontsize=8)
    if len(order) <= _NUMBERED:
        for row, values in enumerate(shares):
            for column, share in enumerate(values):
                if share:
                    tone = "white" if share > 0.5 else "black"
                    axis.text(column, row, f"{100 * share:.0f}", ha="center", va="center", color=tone, fontsize=7)
    groups = [classes[i]["group"] for i in order]
    for place in range(1, len(groups)):
        if groups[place] != groups[place - 1]:
            for line in (axis.axhline, axis.axvline):
                line(place * len(shares) / len(order) - 0.5, color="#D55E00", linewidth=1)
    suffix = "" if len(order) <= _NAMED else ", from most to fewest training samples"
    axis.set(xlabel=f"predicted class{suffix}", ylabel=f"true class{suffix}")
    figure.colorbar(image, ax=axis, label="share of the true class's samples", shrink=0.8)
    return figure


def _shares(confused: list[list[int]], order: list[int]) -> list[list[float]]:
    """The matrix that is drawn: each row of the counts divided by its sum, classes in the given order, cell by cell."""
    cells = min(_CELLS, len(order))
    cell = {label: place * cells // len(order) for place, label in enumerate(order)}
    total: dict[int, int] = {}
    for true, _, count in confused:
        total[true] = total.get(true, 0) + count
    tested = [0] * cells
    for true in total:
        tested[cell[true]] += 1
    shares = [[0.0] * cells for _ in range(cells)]
    for true, predicted, count in confused:
        shares[cell[true]][cell[predicted]] += count / total[true]
    return [[share / n for share in row] if n > 1 else row for row, n in zip(shares, tested, strict=True)]


def reliability_figure(results: dict[str, Any]) -> Any:
    """Accuracy against confidence by bin: all samples with and without calibration, then each group.

    On the diagonal, a confidence of 80 % is right 80 % of the time. Bars below show where the samples are.
    """
    figure = new_figure(10, 4.8)
    (left, right), (under_left, under_right) = figure.subplots(2, 2, sharex=True, height_ratios=(4, 1))
    of = results["reliability"]
    pairs = [("as predicted", of["all"], LEARNED), ("raw logits", results["raw_reliability"]["all"], RAW)]
    groups = [(f"{name}-shot", of[name], tint) for name, tint in GROUPS if any(of[name]["samples"])]
    panels = ((left, under_left, pairs, "all samples"), (right, under_right, groups, "by group of the true class"))
    highest = 0.0
    for axis, under, curves, title in panels:
        axis.plot([0, 100], [0, 100], color="0.75", linewidth=1)
        for place, (label, bins, color) in enumerate(curves):
            share = [100 * n / sum(bins["samples"]) for n in bins["samples"]]
            columns = zip(bins["confidence"], bins["accuracy"], share, strict=True)
            confidence, accuracy, weight = zip(*(point for point in columns if point[2]), strict=True)
            ece = f"{label}: ECE {bins['ece']:.1f} %"
            axis.plot(confidence, accuracy, "--" if color == RAW else "-", color=color, linewidth=1, label=ece)
            axis.scatter(confidence, accuracy, [8 + 1.2 * s for s in weight], color=color, clip_on=False, zorder=3)
            highest = max(highest, *share)
            width = 100 / len(share)
            step = 0.84 * width / len(curves)
            centres = [(b + 0.08) * width + (place + 0.5) * step for b in range(len(share))]
            under.bar(centres, share, width=step, color=color)
        axis.set(title=title, xlim=(0, 100), ylim=(0, 102))
        axis.grid(alpha=0.3)
        axis.legend(frameon=False, fontsize=8, loc="upper left")
        under.set_xlabel("confidence, %")
    for under in (under_left, under_right):
        under.set_ylim(0, 1.1 * highest)
    left.set_ylabel("accuracy, %")
    under_left.set_ylabel("samples, %")
    return figure


# Rows of the table of classes in a terminal; a page shows all of them.
SHOWN_CLASSES = 40
_GROUPS = ("many", "medium", "few")


def score_rows(results: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """What is measured, its value in percent as predicted and for the raw logits, and what it says; all as text."""
    scores, raw = results["scores"], results["raw_scores"]
    low, high = results["model"]["thresholds"]
    bounds = {"many": f"more than {high}", "medium": f"{low} to {high}", "few": f"fewer than {low}"}  # training samples
    sizes = {name: [row for row in results["classes"] if row["group"] == name] for name in _GROUPS}
    tested, total = sum(row["test"] > 0 for row in results["classes"]), len(results["classes"])
    present = "the classes" if tested == total else f"the {tested} of {total} classes that have test samples"
    rows = [
        ("accuracy", "accuracy", counted(scores["samples"], "sample")),
        ("balanced accuracy", "balanced_accuracy", f"mean over {present}"),
    ]
    for name in _GROUPS:
        own = len(sizes[name])
        said = f"{counted(own, 'class')} of" if own else "empty: no class has"
        said += f" {bounds[name]} training samples"
        if own and not _is_number(scores[name]):
            said += ", none of them with test samples"
        rows.append((f"{name}-shot accuracy", name, said))
    rows.append(("ECE", "ece", "expected calibration error, 15 bins"))
    rows += [(f"ECE, {name}-shot", f"ece_{name}", "samples of these classes") for name in _GROUPS if sizes[name]]
    ends = results.get("intervals", {})
    return [(label, number(scores[key]) + _ends(ends.get(key)), number(raw[key]), note) for label, key, note in rows]


def _ends(ends: list[float | None] | None) -> str:
    """An interval after its value."""
    low, high = ends or (None, None)
    return f" [{low:.1f}, {high:.1f}]" if _is_number(low) and _is_number(high) else ""


def score_table(results: dict[str, Any]) -> Any:
    """A ``rich.table.Table`` of the scores."""
    escape = require("rich.markup", extra="train", purpose="Printing the table").escape  # no name is markup
    title = f"{results['method']} on {escape(results['data'])}\nclass prior of the predictions: {prior_text(results)}"
    table = new_table(title, "measure, %", numbers=("as predicted [95 % CI]", "raw logits"))
    table.add_column("", style="dim")
    for row in score_rows(results):
        table.add_row(*row)
    return table


def class_table(results: dict[str, Any]) -> Any:
    """A ``rich.table.Table`` of the classes; of very many, those with the lowest accuracy."""
    escape = require("rich.markup", extra="train", purpose="Printing the table").escape  # no name is markup
    rows = results["classes"]
    title = "classes"
    if len(rows) > SHOWN_CLASSES:
        rows = sorted(rows, key=lambda row: (not _is_number(row["accuracy"]), row["accuracy"] or 0))[:SHOWN_CLASSES]
        title = f"the {SHOWN_CLASSES} classes of lowest accuracy, of {len(results['classes'])}"
    numbers = ("group", "train", "test", "accuracy, %", "precision, %")
    table = new_table(title, "class", numbers=numbers, wrap=True)
    table.add_column("most often taken for")
    for row in rows:
        sizes = (f"{row['train']:,}", f"{row['test']:,}")
        rates = (number(row["accuracy"]), number(row["precision"]))
        table.add_row(escape(row["name"]), row["group"], *sizes, *rates, escape(row["mistaken_for"] or "-"))
    return table


def write_evaluation_page(results: dict[str, Any], path: str | Path) -> Path:
    """Write the self-contained page of ``equiangular evaluate`` atomically."""
    return write(evaluation_page(results), path)


def evaluation_page(results: Mapping[str, Any]) -> Page:
    """The page of an evaluation, as parts."""
    page = page_of([of_evaluation(results)], title=f"{results['method']} on {results['data']}")
    lines = [Line([Cell(label), Cell(value), Cell(raw), Cell(said)]) for label, value, raw, said in score_rows(results)]
    note = (
        "As predicted: with scale and prior correction fitted on the validation part of the training data"
        f"{_correction(results)}, class prior: {prior_text(results)}. Raw logits: the softmax of what the head gives."
    )
    headings = ("measure", "as predicted, %", "raw logits, %", "of what")
    table = Table("scores-table", "Scores", headings, lines, texts=(0, 3), note=note)
    sections = [replace(s, parts=[table]) if s.id == "scores" else s for s in page.sections]
    return replace(page, sections=sections)


def _correction(results: Mapping[str, Any]) -> str:
    fitted = results["model"]["correction"]
    if not fitted or "scale" not in fitted:
        return " (this model has none)"
    return f" (scale {fitted['scale']:.3g}, strength {fitted['strength']:.3g})"


def prior_text(results: Mapping[str, Any]) -> str:
    """The class prior of the predictions, in words."""
    prior = results["prior"]
    words = {"train": "that of the training data", "sampler": "that of the training's sampler"}
    return words.get(prior, prior) if isinstance(prior, str) else "as given"


def number(value: float | None) -> str:
    """A percentage with one decimal; a dash where there is none."""
    return f"{value:.1f}" if _is_number(value) else "-"


def _is_number(value: float | None) -> bool:
    return value is not None and value == value
