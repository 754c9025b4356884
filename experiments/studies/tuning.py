"""Choosing the settings of a training on validation data. The test part never gets here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from equiangular.compare.tuning import choose
from experiments.studies.cells import Cell
from experiments.studies.study import Study

STAGES = ("grid", "beyond", "beyond", "rate")


@dataclass(frozen=True)
class Settings:
    """What is tuned for a training.

    Attributes:
        learning_rate: peak learning rate.
        scale: logit scale; None where the loss has none or it is not tuned.
        norm: ``"batch"``, BatchNorm before the classifier, or ``"none"``.
    """

    learning_rate: float
    scale: float | None = None
    norm: str = "batch"


def candidates(study: Study, cell: Cell, stage: str, scored: dict[Settings, float]) -> list[Settings]:
    """The settings that a stage of the tuning adds to those that have a score already.

    Args:
        study: the study.
        cell: the cell.
        stage: one of :data:`STAGES`. ``"grid"``: every scale, and every kind of normalisation, at the middle learning
            rate. ``"beyond"``: a scale twice as large or half as large as the best one, where that is the last or the
            first of those tried. ``"rate"``: the other learning rates at the best of all these.
        scored: mean validation score of what has been tried.
    """
    if stage == "grid":
        middle = study.learning_rates[len(study.learning_rates) // 2]
        norms = ("batch", "none") if cell.tunes_norm else ("batch",)
        return [Settings(middle, scale, norm) for scale in study.scales(cell) for norm in norms]
    best = choose(scored)
    if stage == "rate":
        options = [replace(best, learning_rate=rate) for rate in study.learning_rates]
        return [settings for settings in options if settings not in scored]
    scales = sorted(settings.scale for settings in scored if settings.scale is not None)
    if not scales or scales[0] < best.scale < scales[-1]:
        return []
    return [replace(best, scale=best.scale * (2 if best.scale == scales[-1] else 0.5))]


def mean_score(runs: list[list[dict[str, Any]]], name: str) -> float:
    """Mean balanced accuracy in percent of the records called ``name``; NaN if a run diverged."""
    scores = [record["balanced_accuracy"] for records in runs for record in records if record["method"] == name]
    return float(np.mean([np.nan if s is None else s for s in scores])) if scores else float("nan")
