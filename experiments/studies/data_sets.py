"""The data sets of several studies: every study at every imbalance factor is one, the same data counted once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np


def data_sets(results: Sequence[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[str]]:
    """The parts of all studies by name. The same data at the same imbalance factor count once, with the most cells.

    Returns:
        The parts, each with ``name``, ``study``, ``data``, ``commit`` and ``recipe`` besides; and the names of those
        left out.

    Raises:
        ValueError: no results.
    """
    if not results:
        raise ValueError("no results were given; a summary needs those of one study at least.")
    found: dict[tuple[str, float], dict[str, Any]] = {}
    left_out = []
    for one in results:
        study = one["study"]
        commit = (one.get("provenance") or {}).get("commit")
        for part in one["parts"]:
            about = {"study": study["name"], "data": study["data"], "commit": commit, "recipe": study.get("recipe", "")}
            named = {**part, "name": cut_name(study["name"], part["imbalance"]), **about}
            key = study["data"], float(part["imbalance"])
            pair = sorted((found.get(key, named), named), key=lambda p: -len(p["table"]))
            if key in found:
                left_out.append(pair[1]["name"])
            found[key] = pair[0]
    return list(found.values()), left_out


def mean_score(part: dict[str, Any], name: str) -> float:
    """Mean balanced accuracy of a cell in percent; NaN where it was not run or a run diverged.

    Example:
        >>> mean_score({"table": {"a": {"balanced_accuracy": {"mean": 71.0}}}}, "a")
        71.0
    """
    row = part["table"].get(name)
    mean = row and row["balanced_accuracy"]["mean"]
    return math.nan if mean is None else mean


def run_scores(part: dict[str, Any]) -> dict[str, np.ndarray]:
    """Balanced accuracy in percent of every run by cell, in the order of the seeds; NaN where it diverged."""
    return {name: np.array(row["balanced_accuracy"]["values"], dtype=float) for name, row in part["table"].items()}


def validation_scores(part: dict[str, Any]) -> dict[str, float]:
    """The score on validation data of every cell at its settings."""
    return {name: settings["validation"] for name, settings in part["settings"].items()}


def cut_name(name: str, imbalance: float) -> str:
    """What a study or its data are called at an imbalance factor.

    Example:
        >>> cut_name("letter", 1), cut_name("letter", 100.0)
        ('letter', 'letter, imbalance 100')
    """
    return name if imbalance == 1 else f"{name}, imbalance {imbalance:g}"
