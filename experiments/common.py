"""Where things are in the checkout, the parser of a command that brings arguments of its own, and trials by parts."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from equiangular.data import Dataset
from equiangular.measures import mean_ci
from equiangular.records import Estimate, TrialRecord
from equiangular.report.table import format_cell
from equiangular.training import Budget, Method, Trial, run_trial

HERE = Path(__file__).parent
RESULTS = HERE / "results"
RECIPE = RESULTS / "recipe"
QUESTIONS = RESULTS / "questions"
DOCS = HERE.parent / "docs"
FIGURES = DOCS / "figures"


def command_parser(command: str, description: str | None) -> argparse.ArgumentParser:
    """A parser that shows a module's docstring as it is written, under the name by which one runs it."""
    return argparse.ArgumentParser(
        prog=f"python -m experiments {command}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def trial_with(budget: Budget, **fields: Any) -> Trial:
    """A trial with this budget."""
    return Trial(**asdict(budget), **fields)


def balanced_accuracies(trial: Trial, dataset: Dataset, methods: Sequence[Method]) -> list[float]:
    """Balanced accuracy in percent of methods that share a training, on the test part of ``dataset``; nothing kept."""
    return [outcome.scores["balanced_accuracy"] for outcome in run_trial(trial, dataset, methods)[1]]


def flat(record: TrialRecord) -> dict[str, Any]:
    """A record as the summaries of studies take it: scores beside the rest; ``diverged`` only where it did."""
    kept = {name: value for name, value in asdict(record).items() if name not in ("scores", "curve", "correct")}
    if not record.diverged:
        del kept["diverged"]
    return {**kept, "balanced_accuracy": None, **record.scores}


def mean_text(values: Sequence[float], sign: str = "") -> str:
    """The mean of runs with its half-width, with true minus signs; of one run its value, of none nothing.

    Example:
        >>> mean_text([1.0, 3.0], "+"), mean_text([-0.5]), mean_text([])
        ('+2.0 ± 12.7', '−0.5', '')
    """
    if len(values) < 2:
        return "".join(f"{value:{sign}.1f}" for value in values).replace("-", "−")
    mean, half = mean_ci(list(values))
    return f"{mean:{sign}.1f} ± {half:.1f}".replace("-", "−")


def cell_text(cell: dict[str, Any], key: str) -> str:
    """A mean and its interval, as the results of studies have them, as text."""
    mean, half = (float("nan") if cell[name] is None else cell[name] for name in ("mean", "ci95"))
    return format_cell(Estimate(mean, half, []), key)
