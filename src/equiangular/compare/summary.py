"""From the runs to the table, the paired tests and the answer. Pure: dictionaries in, dictionaries out."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from equiangular.compare.config import CompareConfig
from equiangular.measures import holm, mean_ci, paired_comparison
from equiangular.training.methods import get_method

# Columns of the table: key in a run, heading, unit.
COLUMNS = (
    ("balanced_accuracy", "balanced", "%"),
    ("accuracy", "accuracy", "%"),
    ("many", "many", "%"),
    ("medium", "medium", "%"),
    ("few", "few", "%"),
    ("ece", "ECE", "%"),
    ("nc1", "NC1", ""),
    ("nc2_equiangular", "NC2", ""),
    ("nc3", "NC3", ""),
    ("head_parameters", "head params", ""),
    ("seconds", "time", "s"),
)


def summarise(runs: list[dict[str, Any]], config: CompareConfig) -> dict[str, Any]:
    """Mean and 95 % confidence interval of every column, the paired tests, and the answer."""
    ordered = sorted(runs, key=lambda r: r["seed"])
    by_method = {name: [r for r in ordered if r["method"] == name] for name in config.methods}
    table = {name: _row(name, records) for name, records in by_method.items()}
    contrasts = _contrasts(by_method, table)
    return {"table": table, "comparisons": contrasts, "answer": answer(table, contrasts, config)}


def _row(name: str, records: list[dict[str, Any]]) -> dict[str, Any]:
    method = get_method(name)
    row: dict[str, Any] = {"label": method.label, "fixed": method.fixed, "source": method.source, "n": len(records)}
    for key, _, _ in COLUMNS:
        values = [math.nan if r[key] is None else float(r[key]) for r in records]
        mean, half = mean_ci(values)
        row[key] = {"mean": mean, "ci95": half, "values": values}
    return row


def _contrasts(by_method: dict[str, list[dict[str, Any]]], table: dict[str, Any]) -> list[dict[str, Any]]:
    """Each fixed head against the learnable head with the best mean: the choice of rival favours the learnable side."""
    learnable = [name for name, row in table.items() if not row["fixed"]]
    fixed = [name for name, row in table.items() if row["fixed"]]
    if not learnable or not fixed:
        return []
    rival = max(learnable, key=lambda name: table[name]["balanced_accuracy"]["mean"])
    results = []
    for name in fixed:
        ours, theirs = (np.array([r["balanced_accuracy"] for r in by_method[m]]) for m in (name, rival))
        test = paired_comparison(ours, theirs)
        results.append(
            {
                "fixed": name,
                "learnable": rival,
                "mean_difference": test.mean_difference,
                "ci_low": test.ci_low,
                "ci_high": test.ci_high,
                "p_value": test.p_value,
                "n": test.n,
                "test": test.test,
            }
        )
    for result, adjusted in zip(results, holm([r["p_value"] for r in results]), strict=True):
        result["p_holm"] = adjusted
    return results


def answer(table: dict[str, Any], contrasts: list[dict[str, Any]], config: CompareConfig) -> dict[str, Any]:
    """The answer in a sentence, decided by the paired tests (5 % level, Holm's correction), not by the eye."""
    if not contrasts:
        return {"verdict": "none", "sentence": "No answer: the comparison needs a fixed and a learnable head."}
    best = max(contrasts, key=lambda c: c["mean_difference"])
    if best["p_holm"] < 0.05 and best["mean_difference"] > 0:
        verdict, opening = "better", "No, and a fixed one is better here"
    elif all(c["p_holm"] < 0.05 and c["mean_difference"] < 0 for c in contrasts):
        verdict, opening = "worse", "Yes, here a learnable classifier is better"
    else:
        verdict = "level"
        opening = "Not as far as this test can tell: the best fixed classifier is level with the best learnable one"
    sentence = f"{opening}. On {_describe(config)}, {_contrast_text(best, table)}."
    corrected = [c for c in contrasts if c["fixed"].endswith("-pc")]
    if corrected:
        sentence += f" With prior correction after training, {'; '.join(_corrected_text(c, table) for c in corrected)}."
    return {"verdict": verdict, "sentence": sentence, "best_fixed": best["fixed"], "best_learnable": best["learnable"]}


def _describe(config: CompareConfig) -> str:
    return config.data if config.imbalance == 1 else f"{config.data} cut to imbalance {config.imbalance:g}"


def _corrected_text(contrast: dict[str, Any], table: dict[str, Any]) -> str:
    if contrast["mean_difference"] >= 0:
        state = "at least as good as"
    else:
        state = "not to be told from" if contrast["ci_high"] >= 0 else "not as good as"
    interval = f"{contrast['mean_difference']:+.1f} [{contrast['ci_low']:+.1f}, {contrast['ci_high']:+.1f}]"
    name = table[contrast["fixed"]]["label"].replace(" + prior correction", "")
    return f"{name} is {state} the best learnable classifier within its confidence interval ({interval} points)"


def _contrast_text(contrast: dict[str, Any], table: dict[str, Any]) -> str:
    ours, theirs = table[contrast["fixed"]], table[contrast["learnable"]]
    return (
        f"{ours['label']} reaches {ours['balanced_accuracy']['mean']:.1f} % balanced accuracy, {theirs['label']} "
        f"{theirs['balanced_accuracy']['mean']:.1f} %: paired difference {contrast['mean_difference']:+.1f} points, "
        f"95 % CI [{contrast['ci_low']:+.1f}, {contrast['ci_high']:+.1f}], p = {contrast['p_holm']:.2g} "
        f"({contrast['test']}, Holm, n = {contrast['n']})"
    )
