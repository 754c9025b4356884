"""One training of a study as a job: a file name that says what it is, run once, kept for ever."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from equiangular._files import read_json, write_json
from equiangular.compare.config import CompareConfig
from equiangular.compare.protocol import run_training
from equiangular.data import Dataset, load_dataset
from equiangular.training.config import Budget, fingerprint
from equiangular.training.hardware import Hardware
from equiangular.training.loop import TrainingDivergedError
from experiments.studies.cells import Cell
from experiments.studies.study import Study
from experiments.studies.tuning import FIRST_TUNING_SEED, Settings, validation_dataset

_FORMAT = 2


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
    def path(self) -> str:
        """Name of its file: equal for equal trainings, whatever else the study holds."""
        values = {
            "study": self.study.fingerprint(),
            "imbalance": float(self.imbalance),
            "cell": self.cell.name,
            "settings": asdict(self.settings),
            "seed": self.seed,
            "tuning": self.tuning,
            "epochs": self.budget.epochs,
            "format": _FORMAT,
        }
        kind = "tune" if self.tuning else "run"
        return f"{kind}-{self.cell.name.replace('/', '+')}-{self.imbalance:g}-{self.seed}-{fingerprint(values)}.json"


def run_job(job: Job, folder: str | Path) -> list[dict[str, Any]]:
    """The records of a job: read if it has been run, else run and written.

    Records are those of :func:`equiangular.compare.protocol.run_training` for the cell and, where there is one, its
    twin with prior correction. A training that diverges gives records without scores, and says so.
    """
    path = Path(folder) / job.path
    if path.exists():
        return read_json(path)["records"]
    torch.set_num_threads(1)
    records = _train(job)
    write_json(path, {"records": records})
    return read_json(path)["records"]


def job_methods(job: Job) -> list[Any]:
    """The methods that a job's training serves: the cell's own and the one corrected afterwards."""
    cells = [job.cell]
    if job.cell.correction == "none":
        cells.append(replace(job.cell, correction="pc"))
    return [cell.method(job.settings.scale, job.settings.norm) for cell in cells]


def _train(job: Job) -> list[dict[str, Any]]:
    study = job.study
    dataset = _dataset(study.data, study.size)
    if job.tuning:
        split_seed = job.seed - FIRST_TUNING_SEED
        dataset = validation_dataset(dataset, fraction=study.validation, seed=split_seed)
    config = CompareConfig(
        data=study.data,
        imbalance=job.imbalance,
        seeds=study.seeds,
        backbone=study.backbone,
        width=study.width,
        budget=job.budget,
        hardware=Hardware(accelerator=study.accelerator, precision=study.precision),
    )
    methods = job_methods(job)
    try:
        records = run_training(dataset, config, methods, job.seed)
    except TrainingDivergedError as error:
        nothing = {"seed": job.seed, "diverged": str(error), "balanced_accuracy": None}
        return [{"method": method.name, **nothing} for method in methods]
    for record in records:
        record.pop("curve", None)
    return records


@lru_cache(maxsize=2)
def _dataset(name: str, size: int | None) -> Dataset:
    return load_dataset(name, size=size)
