"""What a study says: cells, the effect of each factor, fixed against learnable. Pure: plain values in and out."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from equiangular._checks import check_choice
from equiangular.measures import mean_ci, paired_comparison
from experiments.studies.cells import FACTORS, Cell

# What is kept of every run: percent, NC1, and how long its training took.
SCORES = ("balanced_accuracy", "accuracy", "many", "medium", "few", "ece", "nc1", "seconds")
# What the levels of a factor are compared with.
REFERENCES = {"head": "learnable", "features": "normalised", "loss": "scaled-ce", "correction": "none", "mix": "none"}
# Fixed against learnable: which fixed cell, and which learnable one.
CONTRASTS = {
    "bare": "fixed − learnable, both chosen on validation data",
    "validation": "fixed or mapped − learnable, both chosen on validation data",
    "test": "fixed or mapped, chosen on validation data − learnable, best on the test part",
    "linear": "fixed or mapped, chosen on validation data − learnable linear + CE",
    "recipe": "recipe − learnable, chosen on validation data",
    "recipe-test": "recipe − learnable, best on the test part",
    "recipe-linear": "recipe − learnable linear + CE",
}
# The usual classifier: at logit scale 1 where that was run, else at a tuned one.
LINEAR = ("learnable/free/ce/none/none", "learnable/free/scaled-ce/none/none")


def summarise_study(part: dict[str, Any], cells: tuple[Cell, ...]) -> dict[str, Any]:
    """The results of a study at one imbalance factor.

    Args:
        part: ``{"settings": {cell: ...}, "runs": [records]}``.
        cells: the cells.

    Returns:
        ``table``: mean, 95 % interval and values of every score by cell; ``effects``: see :func:`factor_effects`;
        ``contrast``: see :func:`fixed_against_learnable`; ``diverged``: runs without a result.
    """
    by_name = {cell.name: cell for cell in cells}
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in by_name}
    for record in sorted(part["runs"], key=lambda r: r["seed"]):
        runs[record["method"]].append(record)
    scores = {name: np.array([_number(r["balanced_accuracy"]) for r in records]) for name, records in runs.items()}
    table = {name: _row(by_name[name], records) for name, records in runs.items()}
    validation = {name: settings["validation"] for name, settings in part["settings"].items()}
    return {
        "table": table,
        "effects": factor_effects(scores, by_name),
        "contrast": fixed_against_learnable(scores, by_name, validation),
        "diverged": [{"cell": r["method"], "seed": r["seed"]} for r in part["runs"] if "diverged" in r],
    }


def factor_effects(scores: dict[str, np.ndarray], cells: dict[str, Cell]) -> list[dict[str, Any]]:
    """Mean paired difference of each level from the reference level of its factor, all other factors being equal.

    For every seed the differences are averaged over the cells in which both levels are defined; the interval is that
    of the mean over the seeds.

    Args:
        scores: balanced accuracy in percent of every run by cell, in the order of the seeds.
        cells: the cells by name.

    Returns:
        One dictionary for each level: factor, level, reference, number of matched pairs of cells, mean difference in
        points and its 95 % interval.
    """
    effects = []
    for factor in FACTORS:
        reference = REFERENCES[factor]
        levels = dict.fromkeys(getattr(cell, factor) for cell in cells.values())
        for level in levels:
            differences = [
                scores[cell.name] - scores[other]
                for cell in cells.values()
                if getattr(cell, factor) == level and level != reference
                for other in [_matched(cell, factor, reference)]
                if other in scores and _complete(scores[cell.name], scores[other])
            ]
            if differences:
                mean, half = mean_ci(np.mean(differences, axis=0))
                effects.append(
                    {
                        "factor": factor,
                        "level": level,
                        "reference": reference,
                        "pairs": len(differences),
                        "mean_difference": mean,
                        "ci95": half,
                    }
                )
    return effects


def fixed_against_learnable(
    scores: dict[str, np.ndarray],
    cells: dict[str, Cell],
    validation: dict[str, float],
    *,
    contrast: str = "test",
    recipe: str = "",
) -> dict[str, Any] | None:
    """A fixed cell against a learnable one.

    Args:
        scores: balanced accuracy in percent of every run by cell, in the order of the seeds.
        cells: the cells by name.
        validation: the validation score of every cell.
        contrast: a key of :data:`CONTRASTS`. The fixed cell is the one that validation data chose, among those whose
            built head is of kind ``"fixed"`` for ``"bare"``, those behind a learned map too for the others; or the
            recipe. The learnable one is what validation data chose, the same rule for both sides; or (``"test"``) the
            one with the best mean on the test part, a choice that favours the learnable side; or (``"linear"``) the
            first of :data:`LINEAR` that was run.
        recipe: the cell that is the recommended head.

    Returns:
        The two names and the paired comparison in points; None where one side has no complete cell.

    Raises:
        ValueError: an unknown contrast.
    """
    check_choice(contrast, CONTRASTS, "contrast")
    complete = [name for name, values in scores.items() if _complete(values)]
    fixed = [n for n in complete if cells[n].fixed]
    learnable = [n for n in complete if not cells[n].fixed]
    if contrast == "bare":
        fixed = [n for n in fixed if cells[n].kind == "fixed"]
    elif contrast.startswith("recipe"):
        fixed = [n for n in fixed if n == recipe]
    if contrast.endswith("linear"):
        learnable = [n for n in LINEAR if n in learnable][:1]
    if not fixed or not learnable:
        return None
    ours = max(fixed, key=lambda name: validation[name])
    rival = max(learnable, key=lambda name: scores[name].mean() if contrast.endswith("test") else validation[name])
    test = paired_comparison(scores[ours], scores[rival])
    return {
        "fixed": ours,
        "learnable": rival,
        "mean_difference": test.mean_difference,
        "ci_low": test.ci_low,
        "ci_high": test.ci_high,
        "p_value": test.p_value,
        "n": test.n,
    }


def _row(cell: Cell, records: list[dict[str, Any]]) -> dict[str, Any]:
    row: dict[str, Any] = {"label": cell.label, "fixed": cell.fixed, "kind": cell.kind, "n": len(records)}
    for key in SCORES:
        values = [_number(r.get(key)) for r in records]
        mean, half = mean_ci(values)
        row[key] = {"mean": mean, "ci95": half, "values": values}
    return row


def _matched(cell: Cell, factor: str, level: str) -> str | None:
    """Name of the cell that differs in one factor alone; None where it is not defined."""
    try:
        return replace(cell, **{factor: level}).name
    except ValueError:
        return None


def _complete(*values: np.ndarray) -> bool:
    return all(len(v) > 1 and np.isfinite(v).all() for v in values)


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)
