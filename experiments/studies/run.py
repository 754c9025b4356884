"""A whole study: tune every training, run every cell, all of it resumable, and put the results together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from equiangular._files import prepare_folder, write_json
from equiangular._lock import FolderLock
from equiangular._orphans import end_with_parent
from equiangular._provenance import provenance
from equiangular.compare.tuning import FIRST_SEED, choose
from experiments.studies.cells import Cell
from experiments.studies.jobs import Job, run_job
from experiments.studies.study import Study
from experiments.studies.summary import summarise_study
from experiments.studies.tuning import STAGES, Settings, candidates, mean_score

# (what is being done, trainings done, trainings planned at this stage)
OnTraining = Callable[[str, int, int], None]
RunJobs = Callable[[list[Job], str], list[list[dict[str, Any]]]]


def run_factorial(
    study: Study, output: str | Path, *, jobs: int = 1, progress: OnTraining | None = None
) -> dict[str, Any]:
    """Run what is not there yet and write ``results.json``.

    Every finished training is a file in ``output/trainings``; a killed study goes on from them.

    Args:
        study: the study.
        output: folder for the results.
        jobs: trainings at a time, each in a process and on a thread of its own.
        progress: called after every training.

    Returns:
        The content of ``results.json``.

    Raises:
        ValueError: unknown data, or an unwritable folder.
    """
    folder = prepare_folder(output)
    prepare_folder(folder / "trainings")
    cells = study.cells()
    parts = []
    with FolderLock(folder), _runner(folder / "trainings", jobs, progress) as run:
        for imbalance in study.imbalances:
            tuned, validation = _tune(study, study.tuned_at or imbalance, cells, run)
            settings = {name: {**asdict(s), "validation": validation[name]} for name, s in tuned.items()}
            runs = _measure(study, imbalance, cells, tuned, run)
            parts.append({"imbalance": imbalance, "settings": settings, "runs": runs})
    results = {
        "format": 1,
        "study": study.as_dict(),
        "parts": [{**part, **summarise_study(part, cells)} for part in parts],
        "provenance": provenance(),
    }
    write_json(folder / "results.json", results)
    return results


def _tune(
    study: Study, imbalance: float, cells: tuple[Cell, ...], run: RunJobs
) -> tuple[dict[str, Settings], dict[str, float]]:
    """Settings and validation score of every cell by name; cells that share a training choose for themselves."""
    scored: dict[str, dict[Settings, float]] = {cell.name: {} for cell in cells}
    for stage in STAGES:
        plan = {
            cell.name: {
                settings: [
                    Job(study, imbalance, cell.training, settings, FIRST_SEED + i, tuning=True)
                    for i in range(study.tuning_seeds)
                ]
                for settings in candidates(study, cell, stage, scored[cell.name])
            }
            for cell in cells
        }
        wanted = [job for options in plan.values() for jobs in options.values() for job in jobs]
        found = _run_once(wanted, f"imbalance {imbalance:g}, tuning: {stage}", run)
        for name, options in plan.items():
            scored[name] |= {s: mean_score([found[job] for job in jobs], name) for s, jobs in options.items()}
    tuned = {name: choose(scores) for name, scores in scored.items()}
    return tuned, {name: scored[name][settings] for name, settings in tuned.items()}


def _measure(
    study: Study, imbalance: float, cells: tuple[Cell, ...], tuned: dict[str, Settings], run: RunJobs
) -> list[dict[str, Any]]:
    """The records of every cell at its settings."""
    plan = {
        cell.name: [Job(study, imbalance, cell.training, tuned[cell.name], s, tuning=False) for s in range(study.seeds)]
        for cell in cells
    }
    wanted = [job for planned in plan.values() for job in planned]
    found = _run_once(wanted, f"imbalance {imbalance:g}, runs", run)
    return [
        record for name, planned in plan.items() for job in planned for record in found[job] if record["method"] == name
    ]


def _run_once(jobs: list[Job], stage: str, run: RunJobs) -> dict[Job, list[dict[str, Any]]]:
    """The records of every job; one that several cells share is run once."""
    unique = list(dict.fromkeys(jobs))
    return dict(zip(unique, run(unique, stage), strict=True))


@contextmanager
def _runner(folder: Path, jobs: int, progress: OnTraining | None) -> Iterator[RunJobs]:
    """A function that runs jobs in order, in this process or in several, and tells how far it is."""
    if jobs <= 1:
        yield partial(_collect, map, folder, progress)
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=end_with_parent) as pool:
        yield partial(_collect, pool.map, folder, progress)


def _collect(
    mapping: Callable[..., Any], folder: Path, progress: OnTraining | None, jobs: list[Job], stage: str
) -> list[list[dict[str, Any]]]:
    results = []
    for records in mapping(partial(run_job, folder=folder), jobs):
        results.append(records)
        if progress is not None:
            progress(stage, len(results), len(jobs))
    return results
