"""What a comparison will do, said before its first epoch: the data as they are used, and how long it may take."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from equiangular._validate import NonFiniteError
from equiangular.compare.config import CompareConfig
from equiangular.compare.tuning import without_validation
from equiangular.data import Dataset
from equiangular.data.split import Split
from equiangular.records import DataSummary
from equiangular.training.config.options import Hardware, Trial
from equiangular.training.engine.loop import Training
from equiangular.training.methods import FittedMethod, Method, TrainingDivergedError, get_method
from equiangular.training.run.trial import TrialRun, Watcher, split_of

_LISTED = 6  # names of classes in a line
_FEW = 10  # test samples below which a class deserves a word
_FEW_RUNS = 3  # t(0.975) is 12.7 for two runs, 4.3 for three
_UNEVEN = 100  # times that the spreads of an encoder's columns hardly ever differ; those of a table often do
_SECONDS = 1.0  # of steps for an estimate


@dataclass(frozen=True)
class Plan:
    """What a comparison will do, known before its first epoch.

    Attributes:
        config: the comparison, everything in it made to suit the data.
        data: the parts of the data and what was noticed about them.
        backbone: name of the backbone.
        heads: number of trainings of one run, which methods with a correction afterwards share.
        seconds: an estimate of the time of one training; 0 where none is left to do.
        done: trainings that the folder has already.
        tuning: trainings that tune all heads.
        fits: number of heads of one run that are fitted in one call; the like of ``heads``.
        fits_done: fits that the folder has already.
        fits_tuning: fits that tune.
        blind: the classes without a sample among those that heads are chosen by.
    """

    config: CompareConfig
    data: DataSummary
    backbone: str
    heads: int
    seconds: float
    done: int = 0
    tuning: int = 0
    fits: int = 0
    fits_done: int = 0
    fits_tuning: int = 0
    blind: Sequence[int] = ()

    @property
    def trainings(self) -> int:
        """Trainings and fits in all."""
        return (self.heads + self.fits) * self.config.seeds + self.tuning + self.fits_tuning

    def _left(self, trainings: int) -> str:
        left = trainings - self.done
        about = f"about {duration(left * self.seconds)}"
        return about if not self.done else "all done already" if not left else f"{self.done} done already, {about} left"

    def lines(self) -> list[str]:
        """The plan for a screen."""
        data, trial = self.data, self.config.trial
        counts, names = data.counts, data.classes
        large, small = (pick(range(len(counts)), key=counts.__getitem__) for pick in (max, min))
        already = "tuned already" if self.config.validation else "with settings tuned for other options"
        runs, work = self.config.seeds, []
        if self.heads:
            tuned = (
                f"{self.tuning // self.heads} to tune" if self.tuning else already if self.config.head else "not tuned"
            )
            each = f"({tuned} + {runs} runs)" if self.tuning else f"{runs} runs, {tuned},"
            number = self.heads * runs + self.tuning
            work = [
                f"backbone {self.backbone}, {trial.epochs} epochs, batches of {trial.batch_size}, on "
                f"{self.config.hardware.accelerator}",
                f"{self.heads} trainings x {each} = {number}, {self._left(number)}",
            ]
        if self.fits:
            tuned = f" + {self.fits_tuning} to tune and choose on validation data" if self.fits_tuning else ""
            number = self.fits * runs + self.fits_tuning
            done = f", {self.fits_done} done already" if self.fits_done else ""
            many = "classifier" + "s" * (self.fits > 1)
            work.append(f"{self.fits} {many} fitted in one call x {runs} runs{tuned} = {number} fits{done}")
        sizes = f"each with {counts[0]:,} training samples"
        if counts[large] > counts[small]:
            sizes = f"the largest is {names[large]!r} with {counts[large]:,} training samples, "
            sizes += f"the smallest {names[small]!r} with {counts[small]:,}"
        return [
            f"{data.name}: {data.kind} data of shape {' x '.join(map(str, data.shape))}, {len(names)} classes, {sizes}",
            f"  {', '.join(f'{number:,} {part}' for part, number in data.samples.items())}; {data.source}",
            *(f"  {note}" for note in data.notes),
            *(f"  {line}" for line in work),
        ]


def describe_data(
    dataset: Dataset, config: CompareConfig, methods: Sequence[Method], content: Mapping[str, str]
) -> tuple[DataSummary, list[int]]:
    """Parts of the data in the first run, notes on the cut and rare classes; and what :class:`Plan` calls blind."""
    trial = config.trial_of(methods[0], 0, {})
    split, names = split_of(trial, dataset), dataset.class_names
    samples = {
        "to train on": len(split.train_y),
        "held out of the training part to calibrate on": len(split.holdout_y),
        "to test on": len(split.test_y),
    }
    unheld = torch.bincount(split.holdout_y, minlength=len(names)) == 0
    blind = unheld.nonzero()[:, 0].tolist()
    if config.tuning_chooses:
        blind = without_validation(dataset, config.tuning_fraction) if config.tune != "none" else []
    summary = DataSummary(
        name=dataset.name,
        classes=list(names),
        source=dataset.source,
        kind=dataset.kind,
        shape=list(dataset.input_shape),
        samples=samples,
        counts=split.class_counts.tolist(),
        digest=dict(content),
        notes=_notes(dataset, config, trial, split),
    )
    return summary, blind


def _notes(dataset: Dataset, config: CompareConfig, trial: Trial, split: Split) -> list[str]:
    """What of the data limits what a comparison can say: a cut, classes not validated on or hardly tested, few runs."""
    names = dataset.class_names
    vectors = dataset.train_x if dataset.kind == "vectors" and isinstance(dataset.train_x, torch.Tensor) else None
    spread = torch.ones(1) if vectors is None else vectors.std(0)
    uneven = float(spread.max() / spread[spread > 0].min()) if bool((spread > 0).any()) else 1.0
    held, tests = (torch.bincount(y, minlength=len(names)).tolist() for y in (split.holdout_y, split.test_y))
    notes = list(dataset.notes)
    if uneven > _UNEVEN:
        notes.append(
            f"taken as vectors of an encoder, so columns are not standardised, and their spreads differ {uneven:,.0f} "
            "times: if this is a table, name the arrays x and y (.npz) or give a parquet file of columns"
        )
    if trial.imbalance != 1:
        cut = len(split.train_y) + len(split.holdout_y)
        notes.append(
            f"cut to imbalance {trial.imbalance:g}: {cut:,} of {len(dataset.train_y):,} training samples are used; "
            "--imbalance 1 uses all of them"
        )
    if rare := [i for i, number in enumerate(held) if not number]:
        what = "too few samples to hold one out, no part in calibration"
        what += "" if config.tuning_chooses else "; heads are chosen by the other classes and among them"
        notes.append(f"{what}: {_listed(rare, names, split.class_counts)}")
    if config.tune != "none" and (rare := without_validation(dataset, config.tuning_fraction)):
        what = "too few samples to be validated on, no part in tuning"
        notes.append(f"{what}: {_listed(rare, names, dataset.train_counts)}")
    tested = sum(number > 0 for number in tests)
    if none := [i for i, number in enumerate(tests) if not number]:
        what = "no test samples, not tested at all"
        notes.append(f"{what}: {_listed(none, names)}; balanced accuracy is over the other {tested} classes")
    if few := [i for i, number in enumerate(tests) if 0 < number < _FEW]:
        worth = 100 / tested / min(tests[i] for i in few)
        what = f"one of them is worth up to {worth:.1f} points of balanced accuracy"
        notes.append(f"fewer than {_FEW} test samples, {what}: {_listed(few, names, tests)}")
    one_part = config.subset_seed is not None
    if (one_part or trial.imbalance == 1) and any(isinstance(get_method(m), FittedMethod) for m in config.methods):
        differ = "random draws of their own alone" if one_part else "the samples held out and random draws of their own"
        why = "one training subset" if one_part else "no cut"
        notes.append(
            f"{why}: runs of a classifier that is fitted in one call differ by {differ}, so its intervals cover these "
            "and other test samples, not other training samples"
        )
    if config.seeds < _FEW_RUNS:
        notes.append(f"{config.seeds} runs give very wide intervals: take --seeds 5 or more for an answer")
    return notes


def _listed(classes: Sequence[int], names: Sequence[str], counts: Any = None) -> str:
    shown = ", ".join(f"{names[i]!r}" + ("" if counts is None else f" ({counts[i]})") for i in classes[:_LISTED])
    rest = len(classes) - _LISTED
    return shown + (f" and {rest} more classes" if rest > 0 else "")


class _Enough(Exception):  # noqa: N818 - no error
    """The estimate has what it needs."""


class _Timed(Watcher):
    """Ends a training after a second of steps."""

    steps = -1  # the first one, which is slower, is not counted
    begin = now = 0.0

    def after_step(self, training: Training) -> None:
        self.steps += 1
        self.now = time.perf_counter()
        if not self.steps:
            self.begin = self.now
        elif self.now - self.begin > _SECONDS:
            raise _Enough


def estimate_seconds(trial: Trial, dataset: Dataset, hardware: Hardware) -> float:
    """Seconds that one trial is likely to take, from a second of its steps and what follows, on its hardware."""
    watcher, run = _Timed(), TrialRun(trial, dataset, hardware=hardware)
    # A training that diverges takes its time all the same; whether it does is for the comparison to say.
    with contextlib.suppress(_Enough, TrainingDivergedError, NonFiniteError):
        run.training.run(on_step=watcher.after_step)
    training = trial.epochs * len(run.training.batches) * (watcher.now - watcher.begin) / max(1, watcher.steps)
    start = time.perf_counter()
    with contextlib.suppress(NonFiniteError):
        run.conclude(run.snapshot(), run.describe())
    return training + time.perf_counter() - start


def duration(seconds: float) -> str:
    """A length of time for people.

    Example:
        >>> duration(7.2), duration(200), duration(9000)
        ('7 s', '3 min', '2.5 h')
    """
    if seconds < 100:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
