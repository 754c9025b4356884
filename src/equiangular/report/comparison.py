"""The page of a comparison: the answer in front, then where it comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from equiangular.records import ABILITIES, Comparison, Contrast, Row, TrialRecord
from equiangular.report import charts, drawn, vega
from equiangular.report.drawn import number
from equiangular.report.page import Cell, Facts, Figure, Line, Page, Part, Section, Series, Table, render, write
from equiangular.report.provenance import made
from equiangular.report.table import TAKEN, best_row, format_cell, measured_columns, megabytes

QUESTION = "Do you need a learnable classifier?"
_UNIT = "points of balanced accuracy"


def comparison_page(results: Comparison) -> str:
    """A comparison as HTML; the text refers to no other file and no host."""
    return render(page_of(results))


def write_page(results: Comparison, path: str | Path) -> Path:
    """Write the page atomically."""
    return write(page_of(results), path)


def page_of(results: Comparison) -> Page:
    """The page of a comparison, as parts."""
    answer = results.answer
    return Page(
        title=f"{QUESTION} {results.data.name}",
        heading=QUESTION,
        word=answer.word if answer else "",
        effect=answer.effect if answer else "",
        statistics=answer.statistics if answer else "",
        picture=_effect(results),
        series=_series(results),
        classes=results.data.classes,
        notes=results.notes,
        samples=results.samples,
        sections=[
            Section("accuracy", "Accuracy", [*_accuracy(results), _measures(results)]),
            Section("differences", "Paired differences", [*_forest(results), *_contrasts(results)]),
            Section("classes", "Where the tail is won or lost", _classes(results)),
            Section("mistakes", "Confusion and calibration", _judged(results)),
            Section("collapse", "Collapse during training", _collapse(results)),
            Section("abilities", "What they take, and can do without a new fit", _abilities(results)),
            Section("tuning", "What was tuned", _tuning(results)),
            Section("origin", "How it was made", [Facts(_facts(results))]),
        ],
    )


def _contrasted(results: Comparison) -> list[Contrast]:
    answer = results.answer
    return [] if answer is None or answer.contrast is None else [answer.contrast, *answer.secondary]


def _drawn(results: Comparison, contrasts: Sequence[Contrast]) -> list[dict[str, Any]]:
    rows = {row.method: row for row in results.rows}
    return [
        {
            "method": rows[c.fixed].label,
            "against": rows[c.learned].label,
            "kind": rows[c.fixed].kind,
            "difference": c.difference,
            "low": c.low,
            "high": c.high,
            "verdict": c.verdict,
        }
        for c in contrasts
    ]


def _effect(results: Comparison) -> Figure | None:
    answer = results.answer
    if answer is None or answer.contrast is None or answer.contrast.low is None:
        return None
    rows = _drawn(results, [answer.contrast])
    spec = charts.forest(rows, answer.margin, _UNIT)
    pair = f"{rows[0]['method']} minus {rows[0]['against']}"
    about = f"{pair}, with its interval; the band is the margin of {answer.margin:g}."
    note = f"Right of the band the {rows[0]['kind']} classifier is better, left of it the learned one."
    return Figure("effect", "The effect", spec, about, note)


def _forest(results: Comparison) -> list[Part]:
    contrasts = [c for c in _contrasted(results) if c.low is not None]
    if results.answer is None or not contrasts:
        return []
    rows = _drawn(results, contrasts)
    spec = charts.forest(rows, results.answer.margin, _UNIT)
    about = "Differences of balanced accuracy with their intervals; the figures are in the table below."
    note = "The first row decides. The band is the margin: differences within it do not matter."
    return [Figure("forest", f"Each head minus {rows[0]['against']}", spec, about, note)]


def _contrasts(results: Comparison) -> list[Part]:
    rows = {row.method: row for row in results.rows}
    headings = ("head", "difference, points", "from", "to", "level, %", "over runs", "p", "p (Holm)", "verdict")
    lines = []
    contrasts = _contrasted(results)
    for place, c in enumerate(contrasts):
        over_runs = "-" if c.run_low is None else f"[{c.run_low:+.1f}, {c.run_high:+.1f}]".replace("-", "−")
        cells = [
            Cell(rows[c.fixed].label),
            number(c.difference, "+.1f"),
            number(c.low, "+.1f"),
            number(c.high, "+.1f"),
            number(100 * c.confidence, ".4g"),
            Cell(over_runs),
            number(c.p_value, ".2g"),
            number(c.p_holm, ".2g"),
            Cell(c.verdict),
        ]
        lines.append(Line(cells, method=rows[c.fixed].label, strong=place == 0))
    budget = ", same initial backbone, same budget" * _trained(results)
    note = (
        f"Difference of balanced test accuracy, run by run: same training subset, same seed{budget}. The first row "
        "decides: both heads were chosen on validation data, so nothing corrects it for a choice. Its interval covers "
        "another run and another test part, the wider of the two. The others stand beside it; intervals and p-values "
        "are corrected for their number."
    )
    title = "Paired differences, " + "".join(dict.fromkeys(f"minus {rows[c.learned].label}" for c in contrasts))
    return [Table("contrasts", title, headings, lines, texts=(0, 8), note=note)] if lines else []


def _accuracy(results: Comparison) -> list[Part]:
    points, means, groups = [], [], []
    for row in results.rows:
        named = {"method": row.label, "kind": row.kind}
        cell = row.measures["balanced_accuracy"]
        points += [{**named, "run": run + 1, "value": value} for run, value in enumerate(cell.values)]
        means.append({**named, **_interval(row, "balanced_accuracy", "mean")})
        for group in vega.GROUPS:
            if row.measures[group].mean == row.measures[group].mean:
                groups.append({**named, "group": group, **_interval(row, group, "value")})
    parts: list[Part] = [
        Figure(
            "runs",
            "Balanced accuracy of every run",
            charts.runs(points, means, "balanced test accuracy, %"),
            "Each run is a dot, the mean of each method a diamond with its 95 % interval. The table has the figures.",
        )
    ]
    if groups:
        about = "Mean accuracy of many-, medium- and few-shot classes by method; the figures are in the table."
        parts.append(Figure("groups", "Many-, medium- and few-shot classes", charts.groups(groups), about))
    return parts


def _interval(row: Row, key: str, name: str) -> dict[str, float]:
    cell = row.measures[key]
    half = cell.ci95 if cell.ci95 == cell.ci95 else 0.0
    return {name: cell.mean, "low": max(0.0, cell.mean - half), "high": min(100.0, cell.mean + half)}


def _measures(results: Comparison) -> Table:
    columns, best = measured_columns(results), best_row(results)
    lines = []
    for row in results.rows:
        of = [
            Cell(format_cell(row.measures[key], key).replace("± ", "±\N{NO-BREAK SPACE}"), row.measures[key].mean)
            for key, _, _ in columns
        ]
        lines.append(Line([Cell(row.label), Cell(row.kind), *of], method=row.label, strong=row is best))
    headings = ["method", "class vectors", *(f"{name}, {unit}" if unit else name for _, name, unit in columns)]
    last = "; last epoch, never the best test epoch" * _trained(results)
    note = (
        "Mean ± half width of the 95 % confidence interval (Student's t) over "
        f"{results.config['seeds']} paired runs{last}. Mapped: fixed behind a learned map, which makes it a learned "
        "classifier in other coordinates. Learned: numbers of the head that learn. ECE: calibrated probabilities."
    )
    if any(key == "nc1" for key, _, _ in columns):
        note += (
            " NC1 (within-class variability), NC2 (deviation from equal angles) and NC3 (distance of class vectors and "
            "class means) are of the training features; 0 is collapse."
        )
    return Table("measures", "Everything measured", headings, lines, texts=(0, 1), note=note)


def _classes(results: Comparison) -> list[Part]:
    if not results.runs:
        return []
    accuracies = {row.label: row.per_class for row in results.rows if row.per_class}
    names, counts = results.data.classes, results.runs[0].class_counts
    note = "Means over the runs; training samples of the first run."
    return drawn.classes_parts(names, counts, accuracies, _series(results), note)


def _trained(results: Comparison) -> bool:
    """Whether any classifier was trained by gradients: no network, no epochs to speak of."""
    return any(not row.numbers_kept for row in results.rows)


def _series(results: Comparison) -> list[Series]:
    return [Series(row.label, row.kind) for row in results.rows]


def _pair(results: Comparison, choices: Mapping[str, Any]) -> list[str]:
    """The learned and the fixed head of the answer, or what shares their training; others where they are not shown."""
    sides = (results.answer.learned, results.answer.fixed) if results.answer else ()
    training = {run.method: run.fingerprint for run in results.runs if run.details is not None}
    kept = []
    for name in sides:
        if name in training:
            same = [run.label for run in results.runs if run.details and run.fingerprint == training[name]]
            kept += [label for label in (results.row(name).label, *same) if label in choices][:1]
    return list(dict.fromkeys([*kept, *choices]))[:2]


def _judged(results: Comparison) -> list[Part]:
    kept = {run.label: run.details for run in results.runs if run.details is not None}
    names, counts = results.data.classes, results.runs[0].class_counts
    cells = {label: details.confusion for label, details in kept.items() if details.confusion}
    if len(names) > vega.POINTS:  # cells of many classes: of the two that the answer is about
        cells = {label: cells[label] for label in _pair(results, cells)}
    known = results.samples
    behind = {
        label: some
        for label, d in kept.items()
        if (some := [m for m in d.mistakes if str(m[2]) in known]) and label in cells
    }
    bins = {label: details.reliability["all"] for label, details in kept.items()}
    return [
        *drawn.confusion_part(names, counts, cells, _pair(results, cells), behind),
        *drawn.reliability_part(bins, _pair(results, bins), "Of the calibrated probabilities, first run."),
        *drawn.mistakes_part(names, {label: cells[label] for label in _pair(results, cells)}),
    ]


def _collapse(results: Comparison) -> list[Part]:
    trainings: dict[str, TrialRecord] = {}
    for run in results.runs:  # methods that share a training have one curve
        if run.curve:
            trainings.setdefault(run.fingerprint, run)
    runs, names = list(trainings.values()), results.data.classes
    curves = [(Series(run.label, run.kind), [{**p, "loss": None} for p in run.curve]) for run in runs]
    parts = drawn.curve_parts(curves, [row.label for row in results.rows])
    kept = {run.label: run.details for run in runs if run.details is not None}
    if not kept:
        return parts
    counts = results.runs[0].class_counts
    vectors = {label: table for label, d in kept.items() if (table := d.vector_cosines)}
    means = {label: table for label, d in kept.items() if (table := d.mean_cosines)}
    views = {label: view for label, d in kept.items() if (view := d.view) is not None}
    ideal = -1 / max(1, len(names) - 1)
    note = f"After the last epoch of the first run; an ETF has {ideal:.3f} everywhere off the diagonal."
    title = "Cosines of class vectors"
    parts += drawn.cosines_part("vector-cosines", title, note, names, counts, vectors, _pair(results, vectors))
    title = "Cosines of class means, about their mean"
    parts += drawn.cosines_part("mean-cosines", title, note, names, counts, means, _pair(results, means))
    return [*drawn.view_part(names, counts, views, _pair(results, views)), *parts]


def _abilities(results: Comparison) -> list[Part]:
    if not any(row.abilities for row in results.rows):
        return []
    lines = [
        Line(
            [
                Cell(row.label),
                Cell(format_cell(row.measures["seconds"], "seconds"), row.measures["seconds"].mean),
                Cell(megabytes(row.peak_memory), row.peak_memory),
                Cell(f"{row.numbers_kept:,}" if row.numbers_kept else "-", row.numbers_kept),
                *(Cell("yes" if ability in row.abilities else "-") for ability in ABILITIES),
            ],
            method=row.label,
        )
        for row in results.rows
    ]
    headings = ("method", "time, s", "memory, MB", "numbers kept", *ABILITIES)
    return [Table("abilities-table", "What they take", headings, lines, note=TAKEN)]


def _tuning(results: Comparison) -> list[Part]:
    labels = {row.method: row.label for row in results.rows}
    lines = [
        Line(
            [
                Cell(labels.get(name, name)),
                Cell(", ".join(f"{key} {value}" for key, value in one.settings.items())),
                Cell(", ".join(f"{score:.1f}" for score in one.validation.values())),
                Cell(f"{one.trainings}", one.trainings),
                Cell(f"{one.seconds:.0f}", one.seconds),
            ],
            method=labels.get(name),
        )
        for name, one in results.tuning.items()
    ]
    alike = "Every head of a network had as many trainings as every other. " * _trained(results)
    note = (
        f"Chosen on a validation part of the training data. {alike}A search whose best lay at its end went on beyond "
        "it; a classifier in closed form chooses by leave-one-out within its one fit. The test part took no part in it."
    )
    headings = ("training", "settings", "validation, %", "trainings", "time, s")
    return [Table("tuned", "What was tuned", headings, lines, texts=(0, 1), note=note)]


def _facts(results: Comparison) -> list[tuple[str, str]]:
    data, config, first = results.data, results.config, results.runs[0]
    cut = ": the data as they are" if config["imbalance"] == 1 else f" ({config.get('profile')})"
    subset = config.get("subset_seed")
    left_out = ("head", "methods", "data", "root")
    settings = [f"{key} {value}" for key, value in config.items() if key not in left_out]
    heads = ["{}: {}".format(n, ", ".join(f"{k} {v}" for k, v in f.items())) for n, f in config["head"].items()]
    many = ", ..." * (len(first.class_counts) > vega.POINTS)
    counts = ", ".join(map(str, first.class_counts[: vega.POINTS])) + many
    return [
        ("data", f"{data.name}, {len(data.classes)} classes: {data.source}"),
        ("parts", ", ".join(f"{number:,} {part}" for part, number in data.samples.items())),
        *(("", note) for note in data.notes),
        ("imbalance factor", f"{config['imbalance']}{cut}"),
        ("training samples per class", f"{counts} (first run)"),
        (
            "subset",
            f"{'a new one for every run' if subset is None else f'seed {subset} for all runs'}; first sha256 "
            f"{first.subset_sha256[:16]}",
        ),
        ("backbone", f"{results.backbone}, {first.total_parameters:,} learnable parameters with {first.label}"),
        ("settings", ", ".join(settings)),
        ("head options", "; ".join(heads) or "each method's own, and what was tuned"),
        *made(results.provenance),
    ]
