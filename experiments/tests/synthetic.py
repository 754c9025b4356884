"""Results of studies that were never run, balanced accuracies written down or drawn; and a study that can be run."""

from __future__ import annotations

from typing import Any

import numpy as np

from equiangular.training.config.budget import Budget
from experiments.studies.cells import Cell
from experiments.studies.registry import screening
from experiments.studies.study import Study
from experiments.studies.summary import summarise_study

LINEAR_CE = "learnable/free/ce/none/none"
LINEAR = "learnable/free/scaled-ce/none/none"
COSINE = "learnable/normalised/scaled-ce/none/none"
ETF = "etf/normalised/scaled-ce/none/none"
ETF_PC = "etf/normalised/scaled-ce/pc/none"

# A study that runs in seconds.
TINY = Study(
    "tiny",
    "digits",
    (50,),
    Budget(epochs=1, warmup_epochs=0),
    backbone="mlp",
    seeds=2,
    tuning_seeds=1,
    levels=(
        ("head", ("learnable", "etf")),
        ("features", ("normalised",)),
        ("loss", ("scaled-ce",)),
        ("correction", ("none", "pc")),
        ("mix", ("none",)),
    ),
    learning_rates=(0.05, 0.1),
)


def part_of(
    scores: dict[str, list[float | None]], imbalance: float = 1, validation: dict[str, float] | None = None
) -> dict[str, Any]:
    """One part of a study's results: balanced accuracy of every run by cell; validation scores default to the means."""
    runs = [_record(name, seed, score) for name, values in scores.items() for seed, score in enumerate(values)]
    means = {name: float(np.mean([v for v in values if v is not None])) for name, values in scores.items()}
    chosen = means | (validation or {})
    settings = {n: {"learning_rate": 0.1, "scale": 1.0, "norm": "batch", "validation": chosen[n]} for n in scores}
    part = {"imbalance": imbalance, "settings": settings, "runs": runs}
    return {**part, **summarise_study(part, tuple(Cell.parse(name) for name in scores))}


def results_of(name: str, *parts: dict[str, Any], data: str | None = None) -> dict[str, Any]:
    """The content of a results.json."""
    study = Study(
        name, data or name, tuple(part["imbalance"] for part in parts), Budget(epochs=3), only=tuple(parts[0]["table"])
    )
    command, time = f"python -m experiments reproduce {name}", "2026-01-02T03:04:05+00:00"
    origin = {"commit": "abc123", "command": command, "time_utc": time}
    return {"format": 1, "study": study.as_dict(), "parts": list(parts), "provenance": origin}


def drawn(name: str, seed: int, *, head: str = "etf", imbalances: tuple[float, ...] = (1, 100)) -> dict[str, Any]:
    """A screening with random scores."""
    generator = np.random.default_rng(seed)
    scores = lambda: generator.uniform(60, 90) + generator.normal(size=3)  # noqa: E731
    parts = [part_of({cell: scores().tolist() for cell in screening(head)}, imbalance) for imbalance in imbalances]
    return results_of(name, *parts)


def _record(name: str, seed: int, score: float | None) -> dict[str, Any]:
    if score is None:
        return {"method": name, "seed": seed, "diverged": "the loss became nan", "balanced_accuracy": None}
    about = {"backbone": "mlp", "class_counts": [50, 5], "seconds": 1.5 + seed, "nc1": 0.123456, "few": None}
    return {
        "method": name, "seed": seed, "balanced_accuracy": score, "accuracy": score + 1, "many": score + 2,
        "medium": score - 2, "ece": score / 10, **about,
    }  # fmt: skip
