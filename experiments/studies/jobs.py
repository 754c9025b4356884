"""One training of a study as a job: a trial of the library, run once, kept for ever."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from equiangular.compare.tuning import FIRST_SEED, validation_dataset
from equiangular.data import Dataset, content_digest, load_dataset
from equiangular.training import Budget, Hardware, Method, Trial, TrialStore
from experiments.common import flat, trial_with
from experiments.studies.cells import Cell
from experiments.studies.study import Study
from experiments.studies.tuning import Settings


@dataclass(frozen=True)
class Job:
    """One training.

    Attributes:
        study: the study.
        imbalance: imbalance factor of the cut.
        cell: a cell that is trained (correction ``"pc"`` shares the training of ``"none"``).
        settings: learning rate and scale.
        seed: training seed; the subset has the same number for its own, separate seed.
        tuning: whether it is a run of the tuning, on validation data.
    """

    study: Study
    imbalance: float
    cell: Cell
    settings: Settings
    seed: int
    tuning: bool

    @property
    def budget(self) -> Budget:
        """The budget of this training."""
        mix = "mixup:1.0" if self.cell.mix == "mixup" else "none"
        epochs = self.study.tuning_epochs if self.tuning else None
        return self.study.budget.with_changes(learning_rate=self.settings.learning_rate, mix=mix, epochs=epochs)

    @property
    def trial(self) -> Trial:
        """The training, as the library's one pipeline takes it."""
        study, method = self.study, self.cell.method(self.settings.scale, self.settings.norm)
        return trial_with(
            self.budget,
            data=study.data,
            size=study.size,
            imbalance=float(self.imbalance),
            subset_seed=self.seed,
            method=self.cell.training.name,
            head=dict(method.head_options),
            backbone=study.backbone,
            width=study.width,
            seed=self.seed,
            precision=study.precision,
        )

    @property
    def methods(self) -> list[Method]:
        """What the training serves: the cell itself and its twin with prior correction."""
        cells = [self.cell]
        if self.cell.correction == "none":
            cells.append(replace(self.cell, correction="pc"))
        return [cell.method(self.settings.scale, self.settings.norm) for cell in cells]


def run_job(job: Job, folder: str | Path) -> list[dict[str, Any]]:
    """The records of a job, flat: read from the store of trials in ``folder``, or run and kept there.

    A training that diverges gives records without scores, and says so.
    """
    torch.set_num_threads(1)
    dataset, content = _data(job.study.data, job.study.size, _split_seed(job), job.study.validation)
    hardware = Hardware(accelerator=job.study.accelerator)
    records = TrialStore(folder).records(job.trial, dataset, content, job.methods, hardware=hardware)
    return [flat(record) for record in records]


def _split_seed(job: Job) -> int | None:
    """Seed of the part of the training pool that tuning validates on; None for a run, which has the test part."""
    return job.seed - FIRST_SEED if job.tuning else None


@lru_cache(maxsize=6)
def _data(name: str, size: int | None, split_seed: int | None, fraction: float) -> tuple[Dataset, dict[str, str]]:
    dataset = _dataset(name, size)
    if split_seed is not None:
        dataset = validation_dataset(dataset, fraction=fraction, seed=split_seed)
    return dataset, content_digest(dataset)


@lru_cache(maxsize=2)
def _dataset(name: str, size: int | None) -> Dataset:
    return load_dataset(name, size=size)
