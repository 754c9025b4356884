"""Choosing the settings of a training on validation data. The test part never gets here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from equiangular.data import Dataset
from equiangular.data.stream import select
from equiangular.longtail import holdout_indices
from equiangular.studies.cells import Cell
from equiangular.studies.study import Study

FIRST_TUNING_SEED = 1000  # apart from the seeds of the runs that are reported


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


def validation_dataset(dataset: Dataset, *, fraction: float, seed: int) -> Dataset:
    """A data set whose test part is a part of the training pool: what tuning is given instead of the data set.

    Args:
        dataset: only its training pool is read.
        fraction: share of each class of the pool that becomes the test part.
        seed: seed of the split.

    Returns:
        A data set with the rest of the pool for training.

    Raises:
        ValueError: no class is large enough to give a sample.

    Example:
        >>> from equiangular.data import load_dataset
        >>> digits = load_dataset("digits")
        >>> inner = validation_dataset(digits, fraction=0.2, seed=0)
        >>> len(inner.train_y) + len(inner.test_y) == len(digits.train_y)
        True
    """
    held = holdout_indices(dataset.train_y, fraction, seed=seed)
    kept = np.setdiff1d(np.arange(len(dataset.train_y)), held)
    held, kept = torch.from_numpy(held), torch.from_numpy(kept)
    return replace(
        dataset,
        train_x=select(dataset.train_x, kept),
        train_y=dataset.train_y[kept],
        test_x=select(dataset.train_x, held),
        test_y=dataset.train_y[held],
    )


def candidates(study: Study, cell: Cell, chosen: Settings | None = None) -> Iterator[Settings]:
    """The settings of one stage of the tuning.

    Args:
        study: the study.
        cell: the cell.
        chosen: what the first stage chose; None gives the candidates of the first stage, every scale and kind of
            normalisation at the middle learning rate. Of the second stage they are the learning rates.
    """
    if chosen is None:
        middle = study.learning_rates[len(study.learning_rates) // 2]
        norms = ("batch", "none") if cell.tunes_norm else ("batch",)
        yield from (Settings(middle, scale, norm) for scale in study.scales(cell) for norm in norms)
    else:
        yield from (replace(chosen, learning_rate=rate) for rate in study.learning_rates)


def choose(scored: dict[Settings, float]) -> Settings:
    """The settings with the best mean validation score; the first of equals.

    Raises:
        ValueError: no candidate has a score.

    Example:
        >>> choose({Settings(0.1): 70.0, Settings(0.3): 71.0}).learning_rate
        0.3
    """
    finished = {s: v for s, v in scored.items() if v == v}
    if not finished:
        raise ValueError(f"none of the {len(scored)} candidates has a score: all of their trainings diverged.")
    return max(finished, key=lambda settings: finished[settings])


def mean_score(runs: list[list[dict[str, Any]]], name: str) -> float:
    """Mean balanced accuracy in percent of the records called ``name``; NaN if a run diverged."""
    scores = [record["balanced_accuracy"] for records in runs for record in records if record["method"] == name]
    return float(np.mean([np.nan if s is None else s for s in scores])) if scores else float("nan")
