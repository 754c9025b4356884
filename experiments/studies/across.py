"""Several studies together: every study at every imbalance factor is a data set. Pure: plain values in and out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from equiangular.compare.verdict import verdict
from equiangular.measures import holm, mean_ci, paired_comparison
from experiments.studies.cells import Cell
from experiments.studies.data_sets import data_sets, mean_score, run_scores, validation_scores
from experiments.studies.ranking import rank_comparison
from experiments.studies.registry import screening
from experiments.studies.summary import CONTRASTS, fixed_against_learnable

# With more classes than dimensions there is no ETF; in the ranking the one behind a learned map takes its place.
STANDS_FOR = {"etf": "etf-projected"}
# Methods of the ranking that are no cell: on every data set what its validation data chose, by contrast and side. A
# head behind a learned map is no fixed head, so it takes no part in the first.
BEST = {"best fixed": ("bare", "fixed"), "best learnable": ("validation", "learnable")}
VERDICTS = ("better", "level", "worse", "cannot tell")
MARGIN = 1.0  # largest difference in points of balanced accuracy that does not matter, the default of ``compare``
_BOTH = ("balanced_accuracy", "many", "medium", "few", "ece")


def summarise_across(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Everything below in one dictionary.

    Args:
        results: what studies wrote, or :func:`experiments.studies.compact.compact` made of it.

    Returns:
        ``data_sets``, what they are; ``left_out``: see :func:`experiments.studies.data_sets.data_sets`; ``effects``,
        ``contrasts`` and ``verdicts``; ``ranking``, None where there are fewer than two data sets or three cells in
        common.
    """
    kept, left_out = data_sets(results)
    compared = contrasts(results)
    rankable = len(kept) > 1 and len(_common(kept, screening("etf"))) > 2
    about = ("name", "study", "data", "imbalance", "commit")
    return {
        "data_sets": [{key: one[key] for key in about} | {"cells": len(one["table"])} for one in kept],
        "left_out": left_out,
        "effects": effects_across(results),
        "ranking": ranking(results) if rankable else None,
        "contrasts": compared,
        "verdicts": verdicts(compared),
    }


def effects_across(results: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The effect of every level of every factor on every data set, and its mean over them.

    Data sets are the units: the interval is that of a mean over them (Student's t), so that it covers how much the
    effect varies from one to the next. Several cuts of one data set are not independent, so the mean over the data
    themselves, their cuts averaged first, is given too.

    Args:
        results: the results of the studies.

    Returns:
        For each level ``factor``, ``level``, ``reference``; ``data_sets``, each with ``mean_difference`` and ``ci95``
        in points and the number of ``pairs`` of cells; ``overall``, with ``n`` data sets, ``mean_difference`` and
        ``ci95``, and on how many the interval lies ``above`` or ``below`` 0; ``over_data``, the mean over different
        data.
    """
    kept, _ = data_sets(results)
    found: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for one in kept:
        for e in one["effects"]:
            values = {key: e[key] for key in ("mean_difference", "ci95", "pairs")}
            place = {"data_set": one["name"], "data": one["data"], **values}
            found.setdefault((e["factor"], e["level"], e["reference"]), []).append(place)
    return [
        {
            "factor": factor,
            "level": level,
            "reference": reference,
            "data_sets": places,
            "overall": _mean_over([p["mean_difference"] for p in places])
            | {
                "above": sum(p["mean_difference"] - p["ci95"] > 0 for p in places),
                "below": sum(p["mean_difference"] + p["ci95"] < 0 for p in places),
            },
            "over_data": _over_data(places),
        }
        for (factor, level, reference), places in found.items()
    ]


def ranking(results: Sequence[dict[str, Any]], cells: Sequence[str] = screening("etf")) -> dict[str, Any]:
    """Mean ranks of methods over the data sets, by mean balanced accuracy, with their critical difference.

    Besides the cells, the best fixed and the best learnable cell take part: on every data set the one that its
    validation data chose, out of all that were run there. Where some data set has no fixed cell without a learned map,
    there is no best fixed one.

    Args:
        results: the results of the studies.
        cells: names of cells; those without a result on some data set are left out. Where ``etf`` was not run,
            ``etf-projected`` is taken: see :data:`STANDS_FOR`.

    Returns:
        ``methods``, best first, with ``name``, ``label``, ``kind``, ``mean_rank`` and ``scores``, one for each of
        ``data_sets``;
        ``p_value``, ``critical_difference`` and ``cliques``, groups of places in ``methods``: see
        :class:`equiangular.measures.RankComparison`; ``left_out``, names of cells; ``stand_ins``, the data sets where
        another head took the place of one that was not run.

    Raises:
        ValueError: fewer than two data sets or three methods with a result on all of them.

    Several cuts of one data set are not independent: the p-value is then too small.

    Source: Demsar, JMLR 7, 2006.
    """
    kept, _ = data_sets(results)
    common = _common(kept, cells)
    columns = {name: [mean_score(one, _stand_in(one, name)) for one in kept] for name in common}
    compared = contrasts(results)
    for name, (contrast, side) in BEST.items():
        chosen = [row[side] for row in compared if row["contrast"] == contrast]
        if len(chosen) == len(kept):
            columns[name] = [mean_score(one, cell) for one, cell in zip(kept, chosen, strict=True)]
    names = list(columns)
    compared = rank_comparison(np.array([columns[name] for name in names]).T)
    order = sorted(range(len(names)), key=lambda i: compared.mean_ranks[i])
    return {
        "methods": [
            {"name": names[i], **_about(names[i]), "mean_rank": compared.mean_ranks[i], "scores": columns[names[i]]}
            for i in order
        ],
        "data_sets": [one["name"] for one in kept],
        "p_value": compared.p_value,
        "critical_difference": compared.critical_difference,
        "cliques": [[order.index(i) for i in clique] for clique in compared.cliques],
        "left_out": [name for name in cells if name not in common],
        "stand_ins": [one["name"] for one in kept if any(_stand_in(one, name) != name for name in common)],
    }


def contrasts(results: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """On every data set, a fixed cell against a learnable one, paired by run, for each kind of contrast.

    Args:
        results: the results of the studies.

    Returns:
        For each data set and each of :data:`experiments.studies.summary.CONTRASTS` that was run: ``data_set``,
        ``data``, ``contrast``; what :func:`experiments.studies.summary.fixed_against_learnable` returns; ``p_holm``,
        corrected for the number of data sets; ``verdict``, one of :data:`VERDICTS`, by
        :func:`equiangular.compare.verdict.verdict` at :data:`MARGIN` from the interval over runs alone: what is kept of
        a study has no part for the test samples; and ``scores``, the means of both in percent.
    """
    kept, _ = data_sets(results)
    found = []
    for contrast in CONTRASTS:
        rows = []
        for one in kept:
            cells = {name: Cell.parse(name) for name in one["table"]}
            test = fixed_against_learnable(
                run_scores(one), cells, validation_scores(one), contrast=contrast, recipe=one["recipe"]
            )
            if test is not None:
                sides = {side: one["table"][test[side]] for side in ("fixed", "learnable")}
                means = {key: {side: row[key]["mean"] for side, row in sides.items()} for key in _BOTH}
                place = {"data_set": one["name"], "data": one["data"], "contrast": contrast}
                rows.append({**place, **test, "verdict": _verdict(test), "scores": means})
        for row, adjusted in zip(rows, holm([row["p_value"] for row in rows]), strict=True):
            row["p_holm"] = adjusted
        found += rows
    return found


def verdicts(compared: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """On how many data sets a fixed classifier gets which verdict, and the mean difference over them.

    Args:
        compared: what :func:`contrasts` returns.

    Returns:
        For each ``contrast``, ``n`` data sets; how many of them for each of :data:`VERDICTS`; ``better_holm`` and
        ``worse_holm``, those left after Holm's correction; ``mean_difference``, ``ci_low``, ``ci_high`` and ``p_value``
        with the data sets as the units (paired t-test), NaN for a single one; ``verdict``, that of this mean;
        ``over_data``, the mean over different data.

    Example:
        >>> row = {"contrast": "test", "data": "a", "verdict": "level", "p_holm": 0.4, "mean_difference": 1.0}
        >>> found = verdicts([row, {**row, "data": "b", "mean_difference": 4.0}])[0]
        >>> found["level"], found["mean_difference"], found["verdict"]
        (2, 2.5, 'cannot tell')
    """
    found = []
    for contrast in dict.fromkeys(row["contrast"] for row in compared):
        rows = [row for row in compared if row["contrast"] == contrast]
        counts = {v: sum(row["verdict"] == v for row in rows) for v in VERDICTS}
        certain = [row["verdict"] for row in rows if row["p_holm"] < 0.05]
        differences = [row["mean_difference"] for row in rows]
        mean = {"mean_difference": differences[0], "ci_low": math.nan, "ci_high": math.nan, "p_value": math.nan}
        if len(rows) > 1:
            test = paired_comparison(differences, [0.0] * len(rows))
            mean = {key: getattr(test, key) for key in mean}
        holm_counts = {f"{v}_holm": certain.count(v) for v in ("better", "worse")}
        overall = {**mean, "verdict": _verdict(mean), "over_data": _over_data(rows)}
        found.append({"contrast": contrast, "n": len(rows), **counts, **holm_counts, **overall})
    return found


def _common(kept: list[dict[str, Any]], cells: Sequence[str]) -> list[str]:
    """The cells with a mean on every data set."""
    return [name for name in cells if all(math.isfinite(mean_score(one, _stand_in(one, name))) for one in kept)]


def _about(name: str) -> dict[str, Any]:
    """Name, label and kind of a method of the ranking."""
    if name in BEST:
        kind = "fixed" if BEST[name][1] == "fixed" else "learned"
        return {"name": name, "label": f"{name}, chosen on validation", "kind": kind}
    return {"name": name, "label": Cell.parse(name).label, "kind": Cell.parse(name).kind}


def _stand_in(one: dict[str, Any], name: str) -> str:
    """The cell that is called ``name`` in the ranking: itself, or where it was not run, that of another head."""
    head, _, rest = name.partition("/")
    return name if name in one["table"] else f"{STANDS_FOR.get(head, head)}/{rest}"


def _verdict(test: dict[str, Any]) -> str:
    return verdict(test["mean_difference"], test["ci_low"], test["ci_high"], MARGIN)


def _over_data(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The mean over different data, the cuts of one averaged first."""
    found: dict[str, list[float]] = {}
    for row in rows:
        found.setdefault(row["data"], []).append(row["mean_difference"])
    return _mean_over([float(np.mean(values)) for values in found.values()])


def _mean_over(values: list[float]) -> dict[str, Any]:
    mean, half = mean_ci(values)
    return {"n": len(values), "mean_difference": mean, "ci95": half}
