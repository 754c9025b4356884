"""Parts of a page that several commands share: classes, confusion, reliability, curves, cosines, the view in 3-D."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from equiangular.records import View
from equiangular.report import charts, class_charts
from equiangular.report.page import Cell, Figure, Legend, Line, Pair, Part, Series, Table

MOST = 2000  # classes in a table or figure
Curve = Sequence[Mapping[str, Any]]
CURVES = (
    ("nc1", "NC1", True),
    ("nc2_equiangular", "NC2, equiangular", True),
    ("nc3", "NC3", True),
    ("nc4", "NC4", False),
    ("loss", "training loss", True),
    ("validation_balanced_accuracy", "balanced validation accuracy, %", False),
    ("validation_accuracy", "validation accuracy, %", False),
)


def number(value: float | None, form: str) -> Cell:
    """A cell of a number; a dash where there is none.

    Example:
        >>> number(-1.25, "+.1f").text, number(None, ".1f").text
        ('−1.2', '-')
    """
    return Cell("-") if value is None or value != value else Cell(format(value, form).replace("-", "−"), value)


def by_size(names: Sequence[str], counts: Sequence[int]) -> list[int]:
    """The classes from most to fewest training samples, the first of equals first."""
    return sorted(range(len(names)), key=lambda c: -counts[c])


def some_by_size(names: Sequence[str], counts: Sequence[int]) -> tuple[list[int], str]:
    """The classes of :func:`by_size`, evenly many of them where there are very many, and what to say of that."""
    step = -(-len(names) // MOST)
    said = "" if step == 1 else f"Shown is every {step}th of {len(names):,} classes, by training samples."
    return by_size(names, counts)[::step], said


def classes_parts(
    names: Sequence[str],
    counts: Sequence[int],
    accuracies: Mapping[str, Sequence[float]],
    series: Sequence[Series],
    note: str,
    more: Mapping[str, Sequence[Cell]] | None = None,
) -> list[Part]:
    """Accuracy of each class against its training samples: a figure with a line for each of ``series``, and a table.

    ``accuracies`` are percent by label of a series and class; ``more`` columns of the table by heading.
    """
    order, said = some_by_size(names, counts)
    note, kinds = f"{note} {said}".strip(), {one.label: one.kind for one in series}
    places = [{"rank": rank + 1, "class": names[c], "train": counts[c]} for rank, c in enumerate(order)]
    rows = [
        {**place, "method": label, "kind": kinds[label], "value": values[c]}
        for label, values in accuracies.items()
        for place, c in zip(places, order, strict=True)
    ]
    columns = dict(more or {})
    lines = [
        Line(
            [
                Cell(names[c]),
                Cell(f"{counts[c]:,}", counts[c]),
                *(number(values[c], ".1f") for values in accuracies.values()),
                *(cells[c] for cells in columns.values()),
            ],
            klass=names[c],
        )
        for c in order
    ]
    if not accuracies:
        return []
    spec = class_charts.per_class(rows, [one.label for one in series], len(order))
    about = "Test accuracy of each class, from most to fewest training samples."
    if (several := class_charts.neighbours(len(order))) > 1:
        about += f" Lines are means of {several} neighbouring classes; follow a method to see each class of it."
    headings = ["class", "training samples", *(("accuracy",) if len(accuracies) == 1 else accuracies), *columns]
    legend: list[Part] = [Legend()] if len(accuracies) > 1 else []
    return [
        *legend,
        Figure("per-class", "Accuracy of each class", spec, about),
        Figure("sizes", "Training samples", class_charts.sizes(places, len(order)), "Training samples of each class."),
        Table("class-table", "Accuracy of each class, %", headings, lines, note=note, wide=True),
    ]


def confusion_part(
    names: Sequence[str],
    counts: Sequence[int],
    cells: Mapping[str, Sequence[Sequence[int]]],
    first: Sequence[str],
    behind: Mapping[str, Sequence[Sequence[int]]] | None = None,
) -> list[Part]:
    """Confusion of any two of those that have it: by label, [true, predicted, samples] of each cell that has any.

    ``behind`` has [true, predicted, sample] of samples that can be shown.
    """
    if not cells or len(names) > MOST:  # the table of mistakes says what a matrix of so many cannot show
        return []
    order = [names[c] for c in by_size(names, counts)]
    share = "share of the class, %"
    spec = class_charts.matrix(order, down="true class", across="predicted class", value=share, signed=False)
    about = "True classes in rows, predictions in columns, both from most to fewest training samples."
    note = f"{about} The stronger a cell, the larger its share of the true class's test samples."
    if behind:
        note += " Click a cell, or name a class above, to see some of the samples behind it."
    shares = {label: _shares(given, len(names)) for label, given in cells.items()}
    columns = ("row", "column", "value", "samples")
    return [Pair("confusion", "Confusion", spec, shares, first, about, columns, columns[:2], note, behind or {})]


def mistakes_part(names: Sequence[str], cells: Mapping[str, Sequence[Sequence[int]]], most: int = 30) -> list[Part]:
    """The most frequent mistakes, with a column for each label: what a matrix of many classes cannot show."""
    wrong: dict[tuple[int, int], dict[str, int]] = {}
    for label, given in cells.items():
        for true, taken, n in given:
            if true != taken:
                wrong.setdefault((true, taken), {})[label] = n
    worst = sorted(wrong.items(), key=lambda item: -max(item[1].values()))[:most]
    lines = [
        Line(
            [
                Cell(names[true]),
                Cell(names[taken]),
                *(Cell(f"{n.get(label, 0):,}", n.get(label, 0)) for label in cells),
            ],
            klass=names[true],
        )
        for (true, taken), n in worst
    ]
    note = f"Test samples; the most frequent mistakes of either first, {len(lines)} of {len(wrong)}."
    headings = ("true class", "taken for", *cells)
    return [Table("mistakes", "Mistakes", headings, lines, texts=(0, 1), note=note, wide=True)] if lines else []


def _shares(cells: Sequence[Sequence[int]], classes: int) -> list[list[float]]:
    total = [0] * classes
    for row, _, n in cells:
        total[row] += n
    return [[row, column, round(100 * n / total[row], 1), n] for row, column, n in cells]


def reliability_part(bins: Mapping[str, Mapping[str, Any]], first: Sequence[str], note: str) -> list[Part]:
    """Accuracy against confidence of any two of those that have it; bins by label."""
    rows = {
        label: [
            [confidence, accuracy, n]
            for confidence, accuracy, n in zip(of["confidence"], of["accuracy"], of["samples"], strict=True)
            if n
        ]
        for label, of in bins.items()
    }
    about = "Accuracy against confidence in 15 bins: on the diagonal a confidence of 80 % is right 80 % of the time."
    columns = ("confidence", "accuracy", "samples")
    note = f"{about} Below it the model is too sure of itself. {note}"
    return (
        [Pair("reliability", "Reliability", class_charts.reliability(), rows, first, about, columns, (), note)]
        if rows
        else []
    )


def curve_parts(curves: Sequence[tuple[Series, Curve]], labels: Sequence[str]) -> list[Part]:
    """Measures over epochs, a line for each series: collapse, loss and validation, as far as the points have them."""
    figures: list[Part] = []
    for key, title, log in CURVES:
        rows = [
            {"method": series.label, "kind": series.kind, "epoch": point["epoch"], "value": value}
            for series, points in curves
            for point in points
            if (value := point.get(key)) is not None and value == value and (value > 0 or not log)
        ]
        if len({row["epoch"] for row in rows}) > 1:
            zero = " 0 is collapse." if key in ("nc1", "nc2_equiangular", "nc3") else ""
            about = f"{title[0].upper()}{title[1:]} over epochs.{zero}"
            spec = charts.curves(rows, labels, title, log=log)
            figures.append(Figure(f"curve-{key.replace('_', '-')}", title[0].upper() + title[1:], spec, about))
    legend: list[Part] = [Legend()] if figures and len(labels) > 1 else []
    return [*legend, *figures]


def cosines_part(
    id: str,
    title: str,
    note: str,
    names: Sequence[str],
    counts: Sequence[int],
    tables: Mapping[str, Sequence[Sequence[float]]],
    first: Sequence[str],
) -> list[Part]:
    """Cosines of classes with one another, of any two of those that have them."""
    if not tables:
        return []
    order = [names[c] for c in by_size(names, counts)]
    spec = class_charts.matrix(order, down="class", across="other class", value="cosine", signed=True)
    cells = {
        label: [[i, j, v] for i, row in enumerate(table) for j, v in enumerate(row)] for label, table in tables.items()
    }
    columns = ("row", "column", "value")
    note += " Blue is above 0, orange below; the stronger, the farther."
    return [Pair(id, title, spec, cells, first, note, columns, columns[:2], note)]


def view_part(
    names: Sequence[str], counts: Sequence[int], views: Mapping[str, View], first: Sequence[str]
) -> list[Part]:
    """Four classes in three dimensions over the epochs, of any two of those that have them."""
    shown = {
        label: {
            "classes": [names[c] for c in view.classes],
            "counts": [counts[c] for c in view.classes],
            "epochs": view.epochs,
            "labels": view.labels,
            "features": view.features,
            "means": view.means,
            "vectors": view.vectors,
        }
        for label, view in views.items()
    }
    about = "Features, class means and class vectors of four classes in three dimensions, over the epochs."
    note = (
        "The two classes with most and the two with fewest training samples, in the three directions that their class "
        "vectors span after the last epoch: dots are training samples, diamonds class means, arrows class vectors. "
        "Four corners as far apart as can be are the tetrahedron in grey. Drag, or use the arrow keys, to turn."
    )
    title = "Features, class means and class vectors in 3-D"
    return [Pair("view", title, None, shown, first, about, note=note)] if shown else []
