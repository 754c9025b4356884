"""ResNet-32 on long-tailed CIFAR, 200 epochs, five heads and losses: a slice of minutes at a time, each resumable.

    EQUIANGULAR_DATA=DIR python -m experiments gpu --minutes 11 --jobs 5 --folder runs/gpu
    EQUIANGULAR_DATA=DIR python -m experiments gpu --small --device cpu --jobs 1 --output /tmp/gpu.json   # a rehearsal

CIFAR-10 and CIFAR-100 cut to imbalance 100, the whole cut to train on: nothing is tuned or chosen, so no part is held
out, and the test part is looked at once, after the last epoch. Linear + CE, linear + logit adjustment, the recommended
head (fixed, or behind a learned map) + logit adjustment, ETF + dot-regression (a spread frame where d < K - 1), cosine
+ NTCE; three seeds, of training and of the cut alike. Batches of 128, SGD at 0.1 with momentum 0.9 and weight decay
2e-4, five epochs of warm-up, a tenth of the rate from epoch 160 on and a hundredth from 180, crops and flips.

``--jobs`` runs at a time, each in a process of its own, seed by seed, so that whole rows of the table come first. When
the minutes are over every run stops after its epoch. What it left (``FOLDER/NAME.safetensors``, 4 MB) goes on with the
same command, here or where the folder is carried to; a finished run leaves none. ``--output`` is written after every
run and at the end of the slice: commit it.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from equiangular._files import json_plain, read_json, write_json
from equiangular._provenance import provenance
from equiangular.data import Dataset, load_dataset
from equiangular.training import Trial, run_trial
from equiangular.training.config.files import make_config
from equiangular.training.config.options import Hardware
from equiangular.training.engine.loop import Training
from equiangular.training.methods import Method
from equiangular.training.run.checkpoint import has_checkpoint, load_checkpoint, save_checkpoint
from equiangular.training.run.trial import TrialRun, Watcher
from experiments.common import RESULTS, command_parser, mean_text
from experiments.questions import from_scratch

OUTPUT = RESULTS / "gpu" / "cifar_lt.json"
SETS = {"CIFAR-10-LT": "cifar10_lt50", "CIFAR-100-LT": "cifar100_lt50"}
ARMS = ("linear-ce", "linear-la", "recommended", "dr", "cosine-ntce")
SEEDS = (0, 1, 2)
IMBALANCE = 100.0
RECIPE: dict[str, Any] = {
    "backbone": "resnet32", "epochs": 200, "batch_size": 128, "optimizer": "sgd", "learning_rate": 0.1,
    "momentum": 0.9, "weight_decay": 2e-4, "warmup_epochs": 5, "schedule": "step", "augment": "crop,flip",
    "validation": 0.0,
}  # fmt: skip
SMALL: dict[str, Any] = {"backbone": "resnet8", "size": 8, "epochs": 4, "warmup_epochs": 1}


def now() -> float:
    """Seconds since the epoch: alike in all processes."""
    return time.time()


def method_of(arm: str, set_: str) -> Method:
    """The method of an arm: DR on an ETF, or on a spread frame where there is none; NTCE on learned cosine vectors."""
    return from_scratch.method_of({"dr": "etf-dr" if set_ == "CIFAR-10-LT" else "frame-dr"}.get(arm, arm))


@dataclass(frozen=True)
class Run:
    """One training of the table, where its checkpoint lies, and how long it may go on."""

    set_: str
    arm: str
    seed: int
    folder: Path
    until: float  # seconds since the epoch
    device: str = "cuda"
    changes: tuple[tuple[str, Any], ...] = ()  # of the recipe

    @property
    def name(self) -> str:
        """What its record is called."""
        return f"{self.set_}, {self.arm}, seed {self.seed}"

    @property
    def checkpoint(self) -> Path:
        """Where its training goes on from."""
        return self.folder / f"{self.name.replace(', ', '_').replace(' ', '-')}.safetensors"


class OutOfTimeError(Exception):
    """The slice is over; the argument is the record so far."""


class Deadline(Watcher):
    """Leaves a checkpoint after every fifth epoch and when the time is over, and then stops."""

    def __init__(self, run: Run) -> None:
        self.of, self.began, self.used = run, time.monotonic(), 0.0
        self.resumes = has_checkpoint(run.checkpoint)

    def start(self, run: TrialRun) -> None:
        """From the last checkpoint, if there is one."""
        self.config = {**run.trial.decisive(), "manifest": run.split.manifest.sha256}
        if self.resumes:
            self.used = load_checkpoint(self.of.checkpoint, run.training, config=self.config)["used"]
        self.began = time.monotonic()

    def seconds(self) -> float:
        """By the clock, over all slices."""
        return self.used + time.monotonic() - self.began

    def after_epoch(self, training: Training) -> None:
        """Save; stop where the time is over and the training is not."""
        over = now() > self.of.until and training.epoch < training.budget.epochs
        if over or training.epoch % 5 == 0:
            save_checkpoint(self.of.checkpoint, training, config=self.config, extra={"used": self.seconds()})
        if over:
            told = {"epochs": training.epoch, "loss": training.losses[-1], "seconds": self.seconds()}
            raise OutOfTimeError(told)


def train(run: Run, dataset: Dataset | None = None) -> dict[str, Any]:
    """Go on with a run: its record, with ``test`` where it was finished; empty where there was no time to begin."""
    if now() > run.until:
        return {}
    torch.set_num_threads(1)
    method = method_of(run.arm, run.set_)
    named = {"data": SETS[run.set_], "imbalance": IMBALANCE, "subset_seed": run.seed, "seed": run.seed}
    known = "linear-la" if run.arm == "cosine-ntce" else method.name
    trial = make_config(Trial, {**named, "method": known}, {**RECIPE, **dict(run.changes)})
    hardware = Hardware(accelerator="cuda" if run.device == "cuda" else "cpu", channels_last=run.device == "cuda")
    watcher = Deadline(run)
    try:
        data = dataset or load_dataset(SETS[run.set_], size=trial.size)
        _, (outcome,) = run_trial(trial, data, [method], hardware=hardware, watcher=watcher, collapse=False)
    except OutOfTimeError as stopped:
        return dict(stopped.args[0])
    keys = ("accuracy", "balanced_accuracy", "many", "medium", "few", "ece")
    found = {key: outcome.scores.get(key, math.nan) for key in keys}
    scores = {key: value if math.isfinite(value) else None for key, value in found.items()}  # a set without few
    recipe = {**RECIPE, **dict(run.changes)}
    told = {"epochs": trial.epochs, "seconds": watcher.seconds(), "test": scores, "recipe": recipe}
    run.checkpoint.unlink(missing_ok=True)
    return {**told, "training_samples": sum(outcome.info.class_counts), "provenance": provenance()}


def table(results: dict[str, Any]) -> str:
    """Markdown: test accuracy of every arm, its difference from linear + LA by seed, and how far the others are."""
    lines = ["| data | arm | runs | test, % | less linear + LA | few-shot, % | epochs of unfinished runs |"]
    lines.append("|---" * 2 + "|--:" * 5 + "|")
    for set_, arm in itertools.product(SETS, ARMS):
        runs = {seed: results["runs"].get(f"{set_}, {arm}, seed {seed}", {}) for seed in SEEDS}
        done = {seed: run["test"] for seed, run in runs.items() if "test" in run}
        rival = {seed: results["runs"].get(f"{set_}, linear-la, seed {seed}", {}).get("test") for seed in done}
        paired = [t["balanced_accuracy"] - r["balanced_accuracy"] for t, r in zip(done.values(), rival.values(),
                  strict=True) if r and arm != "linear-la"]  # fmt: skip
        scores = [
            [test[key] for test in done.values() if test[key] is not None] for key in ("balanced_accuracy", "few")
        ]
        late = ", ".join(str(run["epochs"]) for run in runs.values() if run and "test" not in run)
        cells = (set_, arm, str(len(done)), mean_text(scores[0]), mean_text(paired, "+"), mean_text(scores[1]), late)
        if done or late:
            lines.append(f"| {' | '.join(cells)} |".replace("  |", " |"))
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a slice."""
    parser = command_parser("gpu", __doc__)
    parser.add_argument("--minutes", type=float, default=11.0, help="of this slice, by the clock; default: 11")
    parser.add_argument("--jobs", type=int, default=5, help="runs at a time; default: 5")
    parser.add_argument("--folder", type=Path, default=Path("runs/gpu"), help="of what goes on")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--seeds", nargs="+", type=int, choices=SEEDS, default=list(SEEDS))
    parser.add_argument("--small", action="store_true", help="a rehearsal: ResNet-8, images of 8 pixels, 4 epochs")
    parser.add_argument("--table", action="store_true", help="show what there is and train nothing")
    given = parser.parse_args(arguments)
    results: dict[str, Any] = read_json(given.output) if given.output.exists() else {"runs": {}}
    until, folder = now() + 60 * given.minutes, given.folder
    changes = tuple(SMALL.items()) if given.small else ()
    wanted = [
        Run(set_, arm, seed, folder, until, given.device, changes)
        for seed, set_, arm in itertools.product(given.seeds, given.sets, given.arms)
        if "test" not in results["runs"].get(f"{set_}, {arm}, seed {seed}", {})
    ]
    if not given.table and wanted:
        folder.mkdir(parents=True, exist_ok=True)
        with ProcessPoolExecutor(given.jobs, get_context("spawn")) as pool:
            futures = {pool.submit(train, run): run for run in wanted}
            for future in as_completed(futures):
                if found := future.result():
                    results["runs"][futures[future].name] = found
                    write_json(given.output, json_plain({**results, "provenance": provenance()}))
                    print(f"{futures[future].name}: {found.get('test', found)}", flush=True)
    done = sum("test" in run for run in results["runs"].values())
    print(table(results), f"{done} of {len(SETS) * len(ARMS) * len(SEEDS)} runs are finished", sep="\n\n")


if __name__ == "__main__":
    main()
