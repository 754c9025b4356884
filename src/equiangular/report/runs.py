"""Pages of single classifiers, one or several side by side: of ``train``, ``evaluate`` and rows of comparisons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from equiangular._counted import counted
from equiangular.records import Comparison, unpack_confusion
from equiangular.report import drawn
from equiangular.report.drawn import number
from equiangular.report.page import Cell, Facts, Line, Page, Part, Section, Series, Table, numbered
from equiangular.report.provenance import made

SCORES = (
    ("balanced_accuracy", "balanced, %"),
    ("accuracy", "accuracy, %"),
    ("many", "many, %"),
    ("medium", "medium, %"),
    ("few", "few, %"),
    ("ece", "ECE, %"),
)


@dataclass(frozen=True)
class Shown:
    """One classifier on a page.

    Attributes:
        label: what it is called; unlike that of any other on the page.
        kind: what its head is, see :attr:`equiangular.records.Row.kind`; empty where it is not known.
        method: the name of its method in words.
        data: what it was scored on.
        classes: of each class ``name``, ``train`` and ``accuracy``, and as far as they are known ``group``, ``test``,
            ``precision`` and ``mistaken_for``.
        scores: in percent, by the keys of :data:`SCORES`.
        confusion: [true class, predicted class, samples] of each cell that has any.
        reliability: bins by what they are of, ``""`` being all samples as predicted.
        curve: measures over epochs.
        facts: where it comes from.
        other: other scores to be told beside these, by what they are.
        notes: what a reader should know first.
    """

    label: str
    kind: str
    method: str
    data: str
    classes: Sequence[Mapping[str, Any]]
    scores: Mapping[str, float]
    confusion: Sequence[Sequence[int]] = ()
    reliability: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    curve: Sequence[Mapping[str, Any]] = ()
    facts: Sequence[tuple[str, str]] = ()
    other: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    notes: Sequence[str] = ()


def of_training(results: Mapping[str, Any], label: str | None = None) -> Shown:
    """What ``results.json`` of a run of ``train`` holds."""
    details, config, method = results["details"], results["config"], results["method"]
    best = {} if results["best"] is None else {f"epoch {results['best']['epoch']}, best on validation": results["best"]}
    bins = {("" if name == "all" else f"{name}-shot"): of for name, of in details["reliability"].items()}
    facts = [
        ("data", f"{results['data']['name']}, {len(details['classes'])} classes: {results['data']['source']}"),
        ("method", f"{method['label']} ({method['source']})"),
        ("backbone", f"{results['backbone']}, {results['parameters']:,} learnable parameters"),
        ("settings", ", ".join(f"{key} {value}" for key, value in config.items() if key not in ("data", "root"))),
        *made(results["provenance"]),
    ]
    return Shown(
        label or method["label"],
        results["head_kind"],
        method["label"],
        f"the test part of {results['data']['name']}",
        details["classes"],
        results["test"],
        unpack_confusion(details["confusion"]),
        bins,
        results["epochs"],
        facts,
        best,
        results["data"].get("notes", ()),
    )


def of_evaluation(results: Mapping[str, Any], label: str | None = None) -> Shown:
    """What ``evaluation.json`` of ``evaluate`` holds."""
    bins = {("" if name == "all" else f"{name}-shot"): of for name, of in results["reliability"].items()}
    bins = {"": bins.pop(""), "raw logits": results["raw_reliability"]["all"], **bins}
    model = results["model"]
    epoch = "" if model["epoch"] is None else f", epoch {model['epoch']}"
    facts = [
        (
            "model",
            f"{results.get('path', results['method'])}: backbone {model['backbone']}, head {model['head']['kind']}"
            f"{epoch}",
        ),
        *made(results.get("provenance", {})),
    ]
    return Shown(
        label or results["method"],
        "",
        results["method"],
        results["data"],
        results["classes"],
        results["scores"],
        unpack_confusion(results["confusion"]),
        bins,
        facts=facts,
        other={"raw logits": results["raw_scores"]},
        notes=results.get("notes", ()),
    )


def of_comparison(results: Comparison, prefix: str = "") -> list[Shown]:
    """The methods of a comparison."""
    first = {run.method: run for run in reversed(results.runs)}
    shown = []
    for row in results.rows:
        run = first[row.method]
        accuracies = row.per_class or run.per_class
        classes = [
            {"name": name, "train": count, "accuracy": accuracy}
            for name, count, accuracy in zip(results.data.classes, run.class_counts, accuracies, strict=False)
        ]
        details = run.details
        shown.append(
            Shown(
                f"{prefix}{row.label}",
                row.kind,
                row.label,
                results.data.name,
                classes,
                {key: row.measures[key].mean for key, _ in SCORES},
                details.confusion if details else (),
                {"": details.reliability["all"]} if details else {},
                run.curve,
            )
        )
    return shown


def page_of(shown: Sequence[Shown], *, title: str, facts: Sequence[tuple[str, str]] = ()) -> Page:
    """One classifier, or several side by side; those on the same classes in the same figures."""
    first, series = shown[0], [Series(one.label, one.kind) for one in shown]
    groups: dict[tuple[str, ...], list[Shown]] = {}
    for one in shown:
        groups.setdefault(tuple(of["name"] for of in one.classes), []).append(one)
    sections = [Section("scores", "Scores", [_scores(shown)])]
    over_epochs = [(of, one.curve) for of, one in zip(series, shown, strict=True)]
    curves = drawn.curve_parts(over_epochs, [of.label for of in series])
    for place, (names, own) in enumerate(groups.items()):
        end = "" if len(groups) == 1 else f": {own[0].data}"
        kept = {one.label for one in own}
        parts = [*_classes(names, own, [s for s in series if s.label in kept]), *_judged(names, own)]
        # One figure of a kind on a page has the plain name; those of other data have a number.
        sections.append(Section(f"classes-{place}", f"Classes{end}", numbered(parts, place) if place else parts))
    sections += [
        Section("epochs", "Over the epochs", curves),
        Section("origin", "How it was made", [Facts(facts or [fact for one in shown for fact in one.facts])]),
    ]
    single = len(shown) == 1
    score = first.scores["balanced_accuracy"]
    return Page(
        title=title,
        heading=title,
        word=f"{score:.1f} %" if single and score == score else "",
        effect=_sentence(first) if single else "",
        series=series if not single else (),
        notes=[note if single else f"{one.label}: {note}" for one in shown for note in one.notes],
        classes=[of["name"] for of in first.classes] if len(groups) == 1 else (),
        sections=sections,
    )


def _sentence(one: Shown) -> str:
    tested = sum(of.get("test", 0) for of in one.classes)
    samples = f", {counted(tested, 'sample')}" if tested else ""
    return (
        f"Balanced accuracy of {one.method} on {one.data}{samples} of {counted(len(one.classes), 'class')}; "
        f"{one.scores['accuracy']:.1f} % of all samples are right."
    )


def _scores(shown: Sequence[Shown]) -> Table:
    several = len(shown) > 1
    lines = []
    for one in shown:
        rows = {"as predicted": one.scores, **one.other}
        for what, scores in rows.items():
            cells = [number(scores.get(key), ".1f") for key, _ in SCORES]
            names = [Cell(one.label), Cell(what)] if several else [Cell(what)]
            lines.append(Line([*names, *cells], method=one.label if several else None, strong=what == "as predicted"))
    headings = [*(("of", "scores") if several else ("scores",)), *(heading for _, heading in SCORES)]
    note = "Balanced: mean over the classes that have test samples. ECE: expected calibration error, 15 bins."
    return Table("scores-table", "Scores", headings, lines, texts=(0, 1) if several else (0,), note=note)


def _classes(names: Sequence[str], shown: Sequence[Shown], series: Sequence[Series]) -> list[Part]:
    accuracies = {one.label: [of["accuracy"] for of in one.classes] for one in shown}
    more: dict[str, list[Cell]] = {}
    if len(shown) == 1 and all("mistaken_for" in of for of in shown[0].classes):
        classes = shown[0].classes
        more = {
            "group": [Cell(of["group"]) for of in classes],
            "test samples": [Cell(f"{of['test']:,}", of["test"]) for of in classes],
            "precision": [number(of["precision"], ".1f") for of in classes],
            "most often taken for": [Cell(of["mistaken_for"] or "-") for of in classes],
        }
    counts = [of["train"] for of in shown[0].classes]
    return drawn.classes_parts(names, counts, accuracies, series, "", more)


def _judged(names: Sequence[str], shown: Sequence[Shown]) -> list[Part]:
    counts = [of["train"] for of in shown[0].classes]
    cells = {one.label: one.confusion for one in shown if one.confusion}
    if len(shown) == 1:
        bins = {name or "as predicted": of for name, of in shown[0].reliability.items() if any(of["samples"])}
    else:
        bins = {one.label: one.reliability[""] for one in shown if one.reliability}
    other = "raw logits" if "raw logits" in bins else next(reversed(bins), "")
    beside = list(dict.fromkeys([*list(bins)[:1], other])) if len(shown) == 1 else list(bins)[:2]
    return [
        *drawn.confusion_part(names, counts, cells, list(cells)[:2]),
        *drawn.reliability_part(bins, [name for name in beside if name], ""),
        *drawn.mistakes_part(names, dict(list(cells.items())[:2])),
    ]
