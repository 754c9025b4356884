"""Any runs side by side: what is in their folders, read as records, on one page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from equiangular._files import read_json
from equiangular.records import Comparison, from_json
from equiangular.report.collapse import collapse_page
from equiangular.report.comparison import page_of as page_of_comparison
from equiangular.report.evaluation import evaluation_page
from equiangular.report.page import Page, Section
from equiangular.report.runs import Shown, of_comparison, of_evaluation, of_training, page_of
from equiangular.report.theory_page import theory_page

FILES = ("results.json", "evaluation.json", "measures.json", "theory.json")


def read_results(path: str | Path) -> list[tuple[str, Any]]:
    """What a run left, by kind: ``"comparison"`` and its record, or another kind and its values.

    The other kinds are ``"training"``, ``"evaluation"``, ``"measures"`` and ``"theory"``.

    Args:
        path: folder of a run of ``compare``, ``train``, ``evaluate``, ``measure`` or ``theory``, or one of its files.

    Raises:
        ValueError: nothing of the kind is there, or a file is damaged.
    """
    given = Path(path).expanduser()
    files = [given / name for name in FILES if (given / name).is_file()] if given.is_dir() else [given]
    if not files or not files[0].is_file():
        raise ValueError(
            f"{str(given)!r} has no results: none of {', '.join(FILES)} is there. Name the folder of a finished run of "
            "compare, train, evaluate, measure or theory."
        )
    return [_read(file) for file in files]


def _read(file: Path) -> tuple[str, Any]:
    values = read_json(file)
    if not isinstance(values, Mapping):
        raise ValueError(f"{str(file)!r} has no results of equiangular in it.")
    if {"runs", "rows"} <= values.keys() or "table" in values:
        return "comparison", from_json(Comparison, values)
    for kind, key in (
        ("training", "epochs"),
        ("evaluation", "raw_scores"),
        ("measures", "series"),
        ("theory", "tetrahedron"),
    ):
        if key in values:
            return kind, values
    raise ValueError(f"{str(file)!r} has no results of equiangular in it.")


def names_of(paths: Sequence[Path]) -> list[str]:
    """What runs are called side by side: as much of the end of each path as tells them apart.

    Example:
        >>> names_of([Path("runs/a/x"), Path("runs/b/x")]), names_of([Path("a"), Path("a")])
        (['a/x', 'b/x'], ['a', 'a, 2'])
    """
    for number in range(1, 1 + max(len(path.parts) for path in paths)):
        names = ["/".join(path.parts[-number:]) for path in paths]
        if len(set(names)) == len(set(paths)):
            break
    return [
        name if (before := names[:place].count(name)) == 0 else f"{name}, {before + 1}"
        for place, name in enumerate(names)
    ]


def page_of_runs(*paths: str | Path) -> Page:
    """The page of a finished run, or of any runs side by side, as ``equiangular report`` writes it.

    A notebook shows it; :func:`equiangular.report.page.write` writes it.

    Args:
        paths: as for :func:`read_results`.

    Raises:
        ValueError: no paths, one that has no results, or a theory among several.
    """
    given = [Path(path).expanduser() for path in paths]
    found = [(path, kind, content) for path in given for kind, content in read_results(path)]
    names = names_of([path for path, _, _ in found]) if found else []
    return page_of_results([(name, kind, content) for name, (_, kind, content) in zip(names, found, strict=True)])


def page_of_results(found: Sequence[tuple[str, str, Any]]) -> Page:
    """The page of one result, or of several side by side.

    Args:
        found: name, kind and content of each, the last two as :func:`read_results` has them.

    Raises:
        ValueError: none at all, or a theory among several, which stands on a page of its own.
    """
    if not found:
        raise ValueError("a page needs at least one run.")
    if len(found) == 1:
        ((_, kind, content),) = found
        if kind == "comparison":
            return page_of_comparison(content)
        if kind == "measures":
            return collapse_page(content)
        if kind == "theory":
            return theory_page(content)
        if kind == "evaluation":
            return evaluation_page(content)
        return page_of([of_training(content)], title=f"{content['method']['label']} on {content['data']['name']}")
    if any(kind == "theory" for _, kind, _ in found):
        raise ValueError("the theory has a page of its own; leave it out, or name it alone.")
    shown: list[Shown] = []
    series: list[Mapping[str, Any]] = []
    for name, kind, content in found:
        if kind == "comparison":
            shown += of_comparison(content, f"{name}: ")
        elif kind == "measures":
            series += content["series"]
        else:
            shown.append((of_training if kind == "training" else of_evaluation)(content, name))
    measured = None
    if series:
        provenance = next(content["provenance"] for _, kind, content in found if kind == "measures")
        measured = collapse_page({"series": series, "provenance": provenance})
    if not shown and measured is not None:
        return measured
    page = page_of(shown, title=f"{len(found)} runs side by side")
    if measured is None:
        return page
    more = [Section(f"m-{section.id}", section.title, section.parts) for section in measured.sections]
    own, last = page.sections[:-1], page.sections[-1]  # how all of it was made stands at the end
    known = {one.label for one in page.series}
    return replace(
        page,
        series=[*page.series, *(one for one in measured.series if one.label not in known)],
        sections=[*own, *more[:-1], replace(last, parts=[*last.parts, *more[-1].parts])],
    )
