"""What a comparison will do, said before its first epoch: the data as they are used, and how long it may take."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from equiangular._counted import counted
from equiangular._validate import NonFiniteError
from equiangular.closed_form.sketch import content_hashes
from equiangular.compare.config import CompareConfig
from equiangular.compare.trainings import Trainings
from equiangular.compare.tuning import without_validation
from equiangular.data import Dataset, select
from equiangular.data.split import Split
from equiangular.records import DataSummary
from equiangular.training.config.options import Hardware, Trial
from equiangular.training.engine.loop import Training
from equiangular.training.methods import FittedMethod, Method, TrainingDivergedError, get_method
from equiangular.training.run.trial import TrialRun, Watcher, split_of

_LISTED = 6  # names of classes in a line
_FEW = 10  # test samples below which a class deserves a word
_FEW_RUNS = 3  # t(0.975) is 12.7 for two runs, 4.3 for three
_SECONDS = 1.0  # of steps for an estimate
_LONG = 300.0  # seconds, from which on quicker ways are named
_ENCODED = "--encoder auto fits classifiers to an encoder's vectors and trains no network"
_QUICKER = {
    "image": f"{_ENCODED}; --size 32 makes the images smaller; fewer --methods, --tune none",
    "text": f"{_ENCODED}; fewer --methods, --tune none",
}
_PARTS = (8, 4)  # fits to one in so many samples are timed


@dataclass(frozen=True)
class Plan:
    """What a comparison will do, known before its first epoch.

    Attributes:
        config: the comparison, everything in it made to suit the data.
        data: the parts of the data and what was noticed about them.
        backbone: name of the backbone, or names.
        heads: number of trainings of one run, which methods with a correction afterwards share.
        seconds: an estimate of the time of the trainings that are left; 0 where none is.
        done: trainings that the folder has already.
        tuning: trainings that tune all heads.
        fits: number of heads of one run that are fitted in one call; the like of ``heads``.
        fits_done: fits that the folder has already.
        fits_tuning: fits that tune.
        fits_seconds: an estimate of the time of the fits that are left.
        jobs: trainings and fits at a time.
        alike: whether every head has as many trainings to tune it.
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
    fits_seconds: float = 0.0
    jobs: int = 1
    alike: bool = True
    blind: Sequence[int] = ()

    @property
    def trainings(self) -> int:
        """Trainings and fits in all."""
        return (self.heads + self.fits) * self.config.seeds + self.tuning + self.fits_tuning

    def lines(self) -> list[str]:
        """The plan for a screen."""
        data, trial = self.data, self.config.trial
        counts, names = data.counts, data.classes
        large, small = (pick(range(len(counts)), key=counts.__getitem__) for pick in (max, min))
        already = "tuned already" if self.config.validation else "with settings tuned for other options"
        runs, work = self.config.seeds, []
        if self.heads:
            if self.tuning and self.alike:
                each = f"({self.tuning // self.heads} to tune + {runs} runs)"
            elif self.tuning:
                each = f"{runs} runs + {self.tuning} to tune"
            else:
                each = f"{runs} runs, {already if self.config.head else 'not tuned'},"
            number = self.heads * runs + self.tuning
            work = [
                f"backbone {self.backbone}, {counted(trial.epochs, 'epoch')}, batches of {trial.batch_size}, on "
                f"{self.config.hardware.accelerator}",
                f"{counted(self.heads, 'training')} x {each} = {number}, {_left(number, self.done, self.seconds)}",
            ]
        if self.fits:
            tuned = f" + {self.fits_tuning} to tune and choose on validation data" if self.fits_tuning else ""
            number = self.fits * runs + self.fits_tuning
            what = f"{counted(self.fits, 'classifier')} fitted in one call x {runs} runs{tuned} = {number} fits"
            work.append(f"{what}, {_left(number, self.fits_done, self.fits_seconds)}")
        work += [f"{self.jobs} at a time, each in a process of its own"] if self.jobs > 1 else []
        work += [f"quicker: {_QUICKER[data.kind]}"] if data.kind in _QUICKER and self.seconds > _LONG else []
        sizes = f"each with {counted(counts[0], 'training sample')}"
        if counts[large] > counts[small]:
            sizes = f"the largest is {names[large]!r} with {counted(counts[large], 'training sample')}, "
            sizes += f"the smallest {names[small]!r} with {counts[small]:,}"
        return [
            f"{data.name}: {data.kind} data of shape {' x '.join(map(str, data.shape))}, {len(names)} classes, {sizes}",
            f"  {', '.join(f'{number:,} {part}' for part, number in data.samples.items())}; {data.source}",
            *(f"  {note}" for note in data.notes),
            *(f"  {line}" for line in work),
        ]


def _left(number: int, done: int, seconds: float) -> str:
    """How long what is left of a number of trainings is likely to take."""
    if done == number:
        return "all done already"
    about = f"about {duration(seconds)}"
    return f"{done} done already, {about} left" if done else about


def describe_data(trainings: Trainings) -> tuple[DataSummary, list[int]]:
    """Parts of the data in the first run, notes on the cut and rare classes; and what :class:`Plan` calls blind."""
    dataset, config = trainings.dataset, trainings.config
    trial = config.trial_of(trainings.groups[0][0], 0, {})
    split, names = split_of(trial, dataset), dataset.class_names
    samples = {
        "to train on": len(split.train_y),
        "held out of the training part to calibrate on": len(split.holdout_y),
        "to test on": len(split.test_y),
    }
    unheld = torch.bincount(split.holdout_y, minlength=len(names)) == 0
    blind = unheld.nonzero()[:, 0].tolist()
    untuned: list[int] = []
    if config.tune != "none":
        untuned = without_validation(dataset, config.tuning_fraction, folds=trainings.folds)
    if trainings.chooses:
        blind = untuned
    summary = DataSummary(
        name=dataset.name,
        classes=list(names),
        source=dataset.source,
        kind=dataset.kind,
        shape=list(dataset.input_shape),
        samples=samples,
        counts=split.class_counts.tolist(),
        digest=dict(trainings.content),
        notes=_notes(trainings, trial, split, untuned),
    )
    return summary, blind


def _notes(trainings: Trainings, trial: Trial, split: Split, untuned: list[int]) -> list[str]:
    """What of the data limits what a comparison can say: a cut, classes not validated on or hardly tested, few runs."""
    dataset, config = trainings.dataset, trainings.config
    names = dataset.class_names
    held, tests = (torch.bincount(y, minlength=len(names)).tolist() for y in (split.holdout_y, split.test_y))
    notes = list(dataset.notes)
    if dataset.kind == "vectors" and dataset.scaling == "columns":
        notes.append(
            "one column is more than 100 times as wide as most, as in a table: each is standardised by itself, as "
            "those of tables are. If these are an encoder's vectors that must keep their angles, add scaling='shared' "
            "to the file; if they are a table, name the arrays x and y (.npz) or give a parquet file of columns"
        )
    copies, other = copied_rows(dataset)
    if copies:
        labelled = f", {other:,} of them with another label" if other else ""
        notes.append(
            f"{copies:,} of {counted(len(dataset.test_y), 'test sample')} {'is' if copies == 1 else 'are'} in the "
            f"training data too, number by number{labelled}: a score on what was trained on is no test"
        )
    if trial.imbalance != 1:
        cut = len(split.train_y) + len(split.holdout_y)
        notes.append(
            f"cut to imbalance {trial.imbalance:g}: {cut:,} of {len(dataset.train_y):,} training samples are used; "
            "--imbalance 1 uses all of them"
        )
    few_for = "too few samples to {}" if dataset.holdout is None else "no sample in the validation part"
    if rare := [i for i, number in enumerate(held) if not number]:
        what = few_for.format("hold one out") + ", no part in calibration"
        what += "" if trainings.chooses else "; heads are chosen by the other classes and among them"
        notes.append(f"{what}: {_listed(rare, names, split.class_counts)}")
    if untuned:
        what = few_for.format("be validated on") + ", no part in tuning"
        notes.append(f"{what}: {_listed(untuned, names, dataset.train_counts)}")
    tested = sum(number > 0 for number in tests)
    if none := [i for i, number in enumerate(tests) if not number]:
        what = "no test samples, not tested at all"
        notes.append(f"{what}: {_listed(none, names)}; balanced accuracy is over {_others(tested)}")
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


def copied_rows(dataset: Dataset) -> tuple[int, int]:
    """How many test rows are, number by number, rows of the training pool; and how many of them never with their label.

    Of vectors and tables; images and texts come in forms where equal numbers need not be equal samples.

    Example:
        >>> x, y = torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([0, 1, 1])
        >>> tests = torch.tensor([[1.0], [2.0], [4.0]]), torch.tensor([0, 0, 1])
        >>> copied_rows(Dataset("demo", x, y, *tests, ("a", "b"), "vectors", "made up"))
        (2, 1)
    """
    if dataset.kind not in ("vectors", "table"):
        return 0, 0
    of_train, of_test = map(_row_keys, (dataset.train_x, dataset.test_x))
    labels: dict[int, set[int]] = {}
    for key, label in zip(of_train, dataset.train_y.tolist(), strict=True):
        labels.setdefault(key, set()).add(label)
    known = [(labels.get(key), y) for key, y in zip(of_test, dataset.test_y.tolist(), strict=True)]
    found = [y in own for own, y in known if own is not None]
    return len(found), found.count(False)


def _row_keys(rows: Any) -> list[int]:
    """A hash of each row, equal where the numbers are."""
    return [key for part in rows.split(4096) for key in content_hashes(part.double().numpy()).tolist()]


def _others(tested: int) -> str:
    return "the other class" if tested == 1 else f"the other {counted(tested, 'class')}"


def _listed(classes: Sequence[int], names: Sequence[str], counts: Any = None) -> str:
    shown = ", ".join(f"{names[i]!r}" + ("" if counts is None else f" ({counts[i]})") for i in classes[:_LISTED])
    rest = len(classes) - _LISTED
    return shown + (f" and {counted(rest, 'more class')}" if rest > 0 else "")


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


def estimate_fits(trial: Trial, dataset: Dataset, methods: Sequence[Sequence[Method]]) -> list[float]:
    """Seconds that a trial of each of these methods is likely to take, from fits to parts of its samples.

    An eighth and a quarter of the samples are fitted. The time of a fit is taken to be a + b N, that of a kernel to
    grow with N^2.5. What follows a fit (calibration and scores) is timed once, for the first.
    """
    seconds, after = [], None
    for first, *others in methods:
        run = TrialRun(replace(trial, method=first.training_name, head={}), dataset, method=first)
        fitting, split = run.training, run.split
        order = torch.argsort(split.train_y, stable=True)
        firsts = torch.searchsorted(split.train_y[order], torch.arange(len(split.class_counts)))
        sizes, times = [0], [0.0]
        for every in _PARTS:
            part = order[torch.unique(torch.cat([firsts, torch.arange(0, len(order), every)]))]
            fitting.split = replace(split, train_x=select(split.train_x, part), train_y=split.train_y[part])
            with contextlib.suppress(NonFiniteError):
                fitting.run()
            sizes.append(len(part))
            times.append(fitting.seconds)
        if after is None:
            start = time.perf_counter()
            with contextlib.suppress(NonFiniteError):
                run.conclude(run.snapshot(), run.describe(), [first, *others])
            after = time.perf_counter() - start
        ratio = len(order) / sizes[-1]
        if first.name.startswith("kernel"):
            seconds.append(times[-1] * ratio**2.5)
        else:  # between constant and proportional, whatever else the machine does meanwhile
            slope = (times[-1] - times[-2]) / max(1, sizes[-1] - sizes[-2])
            seconds.append(min(max(times[-1] + slope * (len(order) - sizes[-1]), times[-1]), times[-1] * ratio))
    return [(after or 0.0) + one for one in seconds]


def duration(seconds: float) -> str:
    """A length of time for people.

    Example:
        >>> duration(7.2), duration(200), duration(9000)
        ('7 s', '3 min', '2.5 h')
    """
    if seconds < 100:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
