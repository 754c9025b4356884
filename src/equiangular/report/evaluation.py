"""Tables and the page of an evaluation. Its pictures are in ``evaluation_figures``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from equiangular._extras import require
from equiangular._files import write_text
from equiangular.report._template import template
from equiangular.report.evaluation_figures import confusion_figure, reliability_figure
from equiangular.report.figure import figure_svg

# Rows of the table of classes in a terminal; a page shows all of them.
SHOWN_CLASSES = 40
_GROUPS = ("many", "medium", "few")


def score_rows(results: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    """What is measured, its value in percent as predicted and for the raw logits, and what it says; all as text."""
    scores, raw = results["scores"], results["raw_scores"]
    low, high = results["model"]["thresholds"]
    bounds = {"many": f"more than {high}", "medium": f"{low} to {high}", "few": f"fewer than {low}"}  # training samples
    sizes = {name: [row for row in results["classes"] if row["group"] == name] for name in _GROUPS}
    tested, total = sum(row["test"] > 0 for row in results["classes"]), len(results["classes"])
    present = "the classes" if tested == total else f"the {tested} of {total} classes that have test samples"
    rows = [
        ("accuracy", "accuracy", f"{scores['samples']:,} samples"),
        ("balanced accuracy", "balanced_accuracy", f"mean over {present}"),
    ]
    for name in _GROUPS:
        own = len(sizes[name])
        said = f"{own} {'class' if own == 1 else 'classes'} of" if own else "empty: no class has"
        said += f" {bounds[name]} training samples"
        if own and not _is_number(scores[name]):
            said += ", none of them with test samples"
        rows.append((f"{name}-shot accuracy", name, said))
    rows.append(("ECE", "ece", "expected calibration error, 15 bins"))
    rows += [(f"ECE, {name}-shot", f"ece_{name}", "samples of these classes") for name in _GROUPS if sizes[name]]
    return [(label, number(scores[key]), number(raw[key]), note) for label, key, note in rows]


def score_table(results: dict[str, Any]) -> Any:
    """A ``rich.table.Table`` of the scores."""
    table_class = require("rich.table", extra="train", purpose="Printing the table").Table
    escape = require("rich.markup", extra="train", purpose="Printing the table").escape  # no name is markup
    title = f"{results['method']} on {escape(results['data'])}\nclass prior of the predictions: {prior_text(results)}"
    table = table_class(title=title, title_justify="left", title_style="bold")
    table.add_column("measure, %", no_wrap=True)
    table.add_column("as predicted", justify="right", no_wrap=True)
    table.add_column("raw logits", justify="right", no_wrap=True)
    table.add_column("", style="dim")
    for row in score_rows(results):
        table.add_row(*row)
    return table


def class_table(results: dict[str, Any]) -> Any:
    """A ``rich.table.Table`` of the classes; of very many, those with the lowest accuracy."""
    table_class = require("rich.table", extra="train", purpose="Printing the table").Table
    escape = require("rich.markup", extra="train", purpose="Printing the table").escape  # no name is markup
    rows = results["classes"]
    title = "classes"
    if len(rows) > SHOWN_CLASSES:
        rows = sorted(rows, key=lambda row: (not _is_number(row["accuracy"]), row["accuracy"] or 0))[:SHOWN_CLASSES]
        title = f"the {SHOWN_CLASSES} classes of lowest accuracy, of {len(results['classes'])}"
    table = table_class(title=title, title_justify="left", title_style="bold")
    table.add_column("class")
    for heading in ("group", "train", "test", "accuracy, %", "precision, %"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("most often taken for")
    for row in rows:
        sizes = (f"{row['train']:,}", f"{row['test']:,}")
        rates = (number(row["accuracy"]), number(row["precision"]))
        table.add_row(escape(row["name"]), row["group"], *sizes, *rates, escape(row["mistaken_for"] or "-"))
    return table


def write_evaluation_page(results: dict[str, Any], path: str | Path) -> Path:
    """Write the self-contained page of ``equiangular evaluate`` atomically."""
    text = template("evaluation.html").render(
        results=results,
        scores=score_rows(results),
        number=number,
        prior=prior_text(results),
        confusion=figure_svg(confusion_figure(results)),
        reliability=figure_svg(reliability_figure(results)),
        provenance=results["provenance"],
    )
    return write_text(path, text)


def prior_text(results: dict[str, Any]) -> str:
    """The class prior of the predictions, in words."""
    prior = results["prior"]
    words = {"train": "that of the training data", "sampler": "that of the training's sampler"}
    return words.get(prior, prior) if isinstance(prior, str) else "as given"


def number(value: float | None) -> str:
    """A percentage with one decimal; a dash where there is none."""
    return f"{value:.1f}" if _is_number(value) else "-"


def _is_number(value: float | None) -> bool:
    return value is not None and value == value
