"""Finished trials in a folder, found by their fingerprint: what is there is read, what is not is run and kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from equiangular._files import prepare_folder, read_json, write_json
from equiangular._lock import FolderLock
from equiangular.data import Dataset
from equiangular.data.split import check_unchanged
from equiangular.measures.class_view import ClassView, cosine_table
from equiangular.records import Details, TrialRecord, View, from_json, pack, to_json, unpack_confusion
from equiangular.training.config.options import Hardware, Trial
from equiangular.training.engine.loop import Training
from equiangular.training.engine.prediction import predict
from equiangular.training.methods import FittedMethod, Method, TrainingDivergedError
from equiangular.training.run.outcome import Outcome, collapse_numbers, weights_sha256
from equiangular.training.run.trial import TrialRun, Watcher, class_means, run_trial

MOST_COSINES = 60  # classes whose cosines are kept pair by pair
_ECE = ("ece", "ece_many", "ece_medium", "ece_few", "ece_uncalibrated")
_SCORES = ("balanced_accuracy", "accuracy", "many", "medium", "few", *_ECE)


class NotStoredError(LookupError):
    """A training that was to be read and is not there."""


class TrialStore:
    """A folder of finished trials, a small JSON file for each training; it is created.

    Attributes:
        damaged: what is wrong with the files that could not be read, by name; such trainings are made anew.
        lock: looked at before a file is written, where there is one: whether the folder is still the writer's.

    Raises:
        ValueError: the folder cannot be written.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder).expanduser()
        if not self.folder.is_dir():  # what is there may lie on a disk that cannot be written
            prepare_folder(self.folder)
        self.damaged: dict[str, str] = {}
        self.lock: FolderLock | None = None

    def records(
        self,
        trial: Trial,
        dataset: Dataset,
        content: Mapping[str, str],
        methods: Sequence[Method],
        *,
        hardware: Hardware | None = None,
        curve: bool = False,
        read_only: bool = False,
    ) -> list[TrialRecord]:
        """A record for each of the methods that share one training: read, or run and written.

        Arguments are those of :func:`run_trial`, ``content`` that of :func:`equiangular.data.content_digest`; ``curve``
        records collapse over the epochs. A training that diverges gives records without scores that say so.

        ``read_only`` raises a NotStoredError where the training is not stored, or its file is damaged.
        """
        fingerprint = trial.fingerprint(content, methods[0].revised_name)
        name = methods[0].training_name.replace("/", "+")
        path = self.folder / f"{name}-seed{trial.seed}-{fingerprint}.json"
        if path.exists():
            found = {record.method: record for record in self._read(path)}  # none of a damaged file
            if all(method.name in found for method in methods):
                return [found[method.name] for method in methods]
        if read_only:
            raise NotStoredError(path.name)
        watcher = _Curve() if curve and not isinstance(methods[0], FittedMethod) and not methods[0].named else _Seen()
        try:
            run, outcomes = run_trial(trial, dataset, methods, hardware=hardware, watcher=watcher)
        except TrainingDivergedError as error:
            rest = (watcher.run.training.shown.head.kind, fingerprint, trial.seed, trial.subset_seed)
            records = [TrialRecord(m.name, m.label, *rest, diverged=str(error)) for m in methods]
        else:
            check_unchanged(dataset, content)
            points = watcher.points
            records = [trial_record(run, o, m, fingerprint, points) for m, o in zip(methods, outcomes, strict=True)]
            if curve:  # the drawing is that of the training, which they share
                drawings = [watcher.drawing(), *[{}] * (len(methods) - 1)]
                drawn = [details_of(run, o, **drawing) for o, drawing in zip(outcomes, drawings, strict=True)]
                records = [replace(record, details=one) for record, one in zip(records, drawn, strict=True)]
        if self.lock is not None:
            self.lock.check()
        write_json(path, {"records": [to_json(record) for record in records]}, durable=True)
        return self._read(path)

    def _read(self, path: Path) -> list[TrialRecord]:
        try:
            return [from_json(TrialRecord, record) for record in read_json(path)["records"]]
        except (ValueError, KeyError, TypeError) as error:
            self.damaged[path.name] = f"no {error}" if isinstance(error, KeyError) else str(error.__cause__ or error)
            return []


def trial_record(
    run: TrialRun, outcome: Outcome, method: Method, fingerprint: str, curve: list[dict[str, float]]
) -> TrialRecord:
    """What is kept of an outcome."""
    task, scores = outcome.task, outcome.scores
    return TrialRecord(
        method=method.name,
        label=method.label,
        kind=task.head.kind,
        fingerprint=fingerprint,
        seed=run.trial.seed,
        subset_seed=run.trial.subset_seed,
        subset_sha256=run.split.manifest.sha256,
        backbone=run.backbone,
        class_counts=run.split.class_counts.tolist(),
        head_parameters=task.head.head_parameters(),
        total_parameters=sum(p.numel() for p in task.parameters() if p.requires_grad),
        seconds=run.training.seconds,
        loss=run.training.losses[-1],
        scores={**{name: scores[name] for name in _SCORES}, **outcome.collapse, "among": outcome.among},
        per_class=scores["per_class"],
        validation=float("nan") if outcome.validation is None else outcome.validation,
        correction=outcome.info.correction,
        note=outcome.note,
        correct=pack(outcome.correct.tolist()),
        curve=curve,
        weights_sha256=weights_sha256(task),
        numbers_kept=getattr(run.training, "numbers_kept", 0),
        peak_memory=run.training.peak_memory,
    )


def details_of(run: TrialRun, outcome: Outcome, **drawing: Any) -> Details:
    """What a page draws of an outcome, with the drawing of its training."""
    confusion = unpack_confusion(outcome.details["confusion"])
    some = mistakes(run.split.test_y.tolist(), outcome.predicted.tolist())
    return Details(outcome.details["reliability"], confusion, some, **drawing)


def mistakes(labels: Sequence[int], predicted: Sequence[int], *, each: int = 3, most: int = 120) -> list[list[int]]:
    """[true class, predicted class, sample] of some samples that were classified wrong: the first of each cell.

    Cells with the most samples come first.

    Example:
        >>> mistakes([0, 0, 1, 1, 1], [1, 0, 0, 0, 0], each=2)
        [[1, 0, 2], [1, 0, 3], [0, 1, 0]]
    """
    cells: dict[tuple[int, int], list[int]] = {}
    for sample, (true, taken) in enumerate(zip(labels, predicted, strict=True)):
        if true != taken:
            cells.setdefault((true, taken), []).append(sample)
    worst = sorted(cells.items(), key=lambda cell: -len(cell[1]))
    return [[true, taken, sample] for (true, taken), wrong in worst for sample in wrong[:each]][:most]


class _Seen(Watcher):
    """Knows the trial that it watched, which may end without a result."""

    def __init__(self) -> None:
        self.points: list[dict[str, float]] = []

    def drawing(self) -> dict[str, Any]:
        """Fields of :class:`Details` that come from the training; none where there was nothing to watch."""
        return {}

    def start(self, run: TrialRun) -> None:
        self.run = run


class _Curve(_Seen):
    """Collapse on the training data after about a dozen of the epochs, the first and the last among them."""

    def start(self, run: TrialRun) -> None:
        self.run, epochs = run, run.trial.epochs
        self.recorded = {1, 2, 3, *range(5, epochs + 1, max(1, epochs // 10)), epochs}
        self.view = ClassView(run.split.train_y, run.split.class_counts.tolist())
        self.cosines: dict[str, Any] = {}

    def after_epoch(self, training: Training) -> None:
        if training.epoch in self.recorded:
            task, split = training.shown, self.run.split
            features, _ = predict(task, split.train_x, prepare=split.standardise)
            weight = task.head.class_vectors().detach().cpu()
            measured = collapse_numbers(features, split.train_y, weight)
            self.points.append({"epoch": training.epoch, "loss": training.losses[-1], **measured})
            self.view.add(training.epoch, features, weight)
            if training.epoch == self.run.trial.epochs and len(weight) <= MOST_COSINES:
                means = class_means(features, split.train_y, len(weight), prepare=lambda batch: batch)
                self.cosines["vector_cosines"] = cosine_table(weight)
                self.cosines["mean_cosines"] = cosine_table(means, centre=True)

    def drawing(self) -> dict[str, Any]:
        """The view over the epochs, and the cosines after the last."""
        view = View(self.view.classes, self.view.epochs, self._places(), **self.view.project())
        return {"view": view, **self.cosines}

    def _places(self) -> list[int]:
        return [self.view.classes.index(c) for c in self.run.split.train_y[self.view.shown].tolist()]
