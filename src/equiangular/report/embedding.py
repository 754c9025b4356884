"""The page of ``equiangular embed``: how the classes lie in an encoder's space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from equiangular.records import View
from equiangular.report import class_charts, drawn
from equiangular.report.collapse import MEANINGS, number
from equiangular.report.page import Cell, Facts, Figure, Line, Page, Pair, Part, Section, Table, write
from equiangular.report.provenance import made


def write_embedding_page(results: Mapping[str, Any], path: str | Path) -> Path:
    """Write the self-contained page atomically.

    Args:
        results: what :func:`equiangular.encoders.overview.overview` returns, with ``file`` and ``provenance``.
        path: the file.
    """
    return write(embedding_page(results), path)


def embedding_page(results: Mapping[str, Any]) -> Page:
    """The page as parts; argument as for :func:`write_embedding_page`."""
    names, counts, encoder = results["classes"], results["train"], results["encoder"]
    title = f"{results['name']} in the space of {encoder.get('name', 'an encoder')}"
    facts = [
        ("file", str(results["file"])),
        ("data", f"{results['name']}, {len(names)} classes: {results['source']}"),
        ("encoder", f"{encoder.get('name')}, weights {encoder.get('revision')}, {results['width']} numbers each"),
        *made(results["provenance"]),
    ]
    return Page(
        title=title,
        heading="Embeddings",
        effect=f"{sum(counts):,} training samples of {len(names)} classes as {results['width']} numbers each. "
        "Classes whose means point the same way are what a classifier on these features will confuse.",
        classes=names,
        sections=[
            Section("view", "How the classes lie", [*_view(results), *_cosines(results), _closest(results)]),
            Section("sizes", "Classes", _sizes(results)),
            Section("measures", "Measures", [_measures(results["measures"])]),
            Section("origin", "How it was made", [Facts(facts)]),
        ],
    )


def _view(results: Mapping[str, Any]) -> list[Part]:
    view, label = View(**results["view"]), str(results["encoder"].get("name", "encoder"))
    note = (
        "The two classes with most and the two with fewest training samples, in the three directions that their class "
        "means span: dots are training samples, diamonds class means, arrows the directions of the means. Drag, or use "
        "the arrow keys, to turn."
    )
    parts = drawn.view_part(results["classes"], results["train"], {label: view}, [label])
    title = "Features and class means in 3-D"
    return [replace(part, note=note, title=title) if isinstance(part, Pair) else part for part in parts]


def _cosines(results: Mapping[str, Any]) -> list[Part]:
    label, table = str(results["encoder"].get("name", "encoder")), results["cosines"]
    tables: dict[str, Sequence[Sequence[float]]] = {label: table} if table else {}
    note = "Of the training features, about the mean of class means; classes that are alike have cosines near 1."
    title = "Cosines of class means"
    return drawn.cosines_part("mean-cosines", title, note, results["classes"], results["train"], tables, [label])


def _closest(results: Mapping[str, Any]) -> Table:
    names = results["classes"]
    lines = [
        Line([Cell(names[i]), Cell(names[j]), drawn.number(cosine, "+.3f")], klass=names[i])
        for i, j, cosine in results["closest"]
    ]
    note = "Classes whose means have the largest cosines: what a classifier will confuse first."
    return Table("closest", "Closest classes", ("class", "other class", "cosine"), lines, (0, 1), note, wide=True)


def _sizes(results: Mapping[str, Any]) -> list[Part]:
    names, train, test = results["classes"], results["train"], results["test"]
    order, said = drawn.some_by_size(names, train)
    places = [{"rank": rank + 1, "class": names[c], "train": train[c]} for rank, c in enumerate(order)]
    lines = [
        Line([Cell(names[c]), Cell(f"{train[c]:,}", train[c]), Cell(f"{test[c]:,}", test[c])], klass=names[c])
        for c in order
    ]
    headings = ("class", "training samples", "test samples")
    return [
        Figure("sizes", "Training samples", class_charts.sizes(places, len(order)), "Training samples of each class."),
        Table("class-table", "Samples of each class", headings, lines, note=said, wide=True),
    ]


def _measures(measured: Mapping[str, float]) -> Table:
    lines = [
        Line([Cell(name), Cell(number(measured[key]), measured[key]), Cell(limit), Cell(meaning)])
        for key, (name, meaning, limit) in MEANINGS.items()
        if key in measured
    ]
    headings = ("measure", "value", "at collapse", "what it is")
    note = "Of the training features as the encoder gives them. A trained network comes near the values at collapse."
    return Table("all-measures", "Neural collapse of the features", headings, lines, (0, 3), note)
