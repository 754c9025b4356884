"""How soon does a recipe reach an accuracy? `recommended` beside `fast`, by processor time on one thread.

CIFAR-10 cut to imbalance 100, from cifar10_lt50, which EQUIANGULAR_DATA has to hold. What the cut leaves over is the
validation part. The curves are of the validation part; the test part is looked at after the last epoch, once. The time
is that of the training's process alone, without reading, validation and checkpoints, so that a loaded machine changes
it little. Parts of `fast` were chosen by `--select`, on the validation part. Every run goes on after its last whole
epoch.

    python -m experiments questions time-to-accuracy
    python -m experiments questions time-to-accuracy --select
    python -m experiments questions time-to-accuracy --methods
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from equiangular._checks import check_choice
from equiangular._files import read_json, write_json
from equiangular._provenance import provenance
from equiangular.data import Dataset, load_dataset
from equiangular.measures import balanced_accuracy, confusion_matrix, mean_ci
from equiangular.report.figure import FIXED, LEARNED, new_figure, save_figure
from equiangular.training import Trial, get_method, run_trial
from equiangular.training.config.files import make_config, recipe_values
from equiangular.training.config.options import Hardware
from equiangular.training.engine.loop import Training
from equiangular.training.engine.prediction import predict
from equiangular.training.methods import Method
from equiangular.training.run.checkpoint import has_checkpoint, load_checkpoint, save_checkpoint
from equiangular.training.run.trial import TrialRun, Watcher
from experiments.common import FIGURES, QUESTIONS, command_parser
from experiments.recipe import fast_parts

OUTPUT = QUESTIONS / "time_to_accuracy.json"
IMBALANCE = 100.0
SIZE = 16  # pixels
_CUT_SEED, _MOST = 0, 300  # validation samples of a class at most


def with_validation_part(dataset: Dataset) -> Dataset:
    """The data with a stated validation part: of each class what the cut to imbalance 100 leaves over, 300 at most.

    The largest classes, of which the cut takes all, give theirs before it.
    """
    labels = np.asarray(dataset.train_y)
    counts = np.bincount(labels)
    classes = np.arange(len(counts))
    wanted = (counts[0] - _MOST) * IMBALANCE ** (-classes / (len(counts) - 1))
    spare = np.minimum(_MOST, counts - np.ceil(wanted).astype(int))
    random = np.random.default_rng(_CUT_SEED)
    chosen = [random.permutation(np.flatnonzero(labels == c))[: spare[c]] for c in classes]
    return replace(dataset, holdout=torch.from_numpy(np.sort(np.concatenate(chosen))))


# Name of a part -> what it does to a training in the making.
PARTS: dict[str, Callable[[TrialRun], None]] = {
    "whiten": fast_parts.whiten,
    "grow": fast_parts.grow,
    "linear rate": fast_parts.linear_rate,
    "flip in turn": fast_parts.flip_in_turn,
}


class Clock(Watcher):
    """Keeps the curve: processor seconds of training and balanced accuracy of the validation part, epoch by epoch."""

    def __init__(self, file: Path, every: int, parts: Sequence[str] = ()) -> None:
        self.file, self.every, self.parts = file, every, parts
        self.rows: list[dict[str, float]] = []
        self.used = 0.0
        self.resumes = has_checkpoint(file)

    def start(self, run: TrialRun) -> None:
        """From the last whole epoch."""
        self.run = run
        for part in self.parts:
            PARTS[part](run)
        if self.resumes:
            extra = load_checkpoint(self.file, run.training, config=self.identity())
            self.rows, self.used = extra["rows"], extra["used"]
        self.began = time.process_time()

    def identity(self) -> dict[str, Any]:
        """What has to be the same for a checkpoint to fit."""
        return {**self.run.trial.decisive(), "shape": list(self.run.dataset.input_shape), "parts": list(self.parts)}

    def after_epoch(self, training: Training) -> None:
        """Stop the clock, look at the validation part, leave a checkpoint."""
        self.used += time.process_time() - self.began
        split = self.run.split
        if training.epoch % self.every == 0 or training.epoch == self.run.trial.epochs:
            _, logits = predict(training.shown, split.holdout_x, prepare=split.standardise)
            counts = confusion_matrix(logits.argmax(1), split.holdout_y, logits.shape[1])
            score = 100 * float(balanced_accuracy(counts))
            row = {"epoch": training.epoch, "seconds": self.used, "validation": score, "loss": training.losses[-1]}
            self.rows.append(row)
            print({name: round(value, 3) for name, value in row.items()}, flush=True)
        extra = {"rows": self.rows, "used": self.used}
        save_checkpoint(self.file, training, config=self.identity(), extra=extra)
        self.began = time.process_time()


def timed(
    name: str, values: dict[str, Any], dataset: Dataset, folder: Path, *, every: int = 1, method: Method | None = None
) -> dict[str, Any]:
    """Train one recipe; its curve, the scores of the last epoch on the test part, and what it was told.

    ``method`` is for one that is not of the library; its name has to be that of ``values``.
    """
    own = {key: values[key] for key in ("channels_last", "parts", "smoothing") if key in values}
    layout = {key: own[key] for key in ("channels_last",) if key in own}
    known = {key: value for key, value in values.items() if key not in own}
    trial = make_config(Trial, {"data": dataset.name, "imbalance": IMBALANCE, "subset_seed": _CUT_SEED}, known)
    clock = Clock(folder / f"{name}-{dataset.input_shape[-1]}.safetensors", every, own.get("parts", ()))
    method = method or get_method(trial.method)
    if "smoothing" in own:
        method = fast_parts.smoothed(method, *own["smoothing"])
    hardware = Hardware(accelerator="cpu", threads=1, **layout)
    run, (outcome,) = run_trial(trial, dataset, [method], hardware=hardware, watcher=clock, collapse=False)
    return {
        "trial": {**trial.as_dict(), **own, "backbone": run.backbone},
        "pixels": dataset.input_shape[-1],
        "training_samples": int(run.split.class_counts.sum()),
        "validation_samples": len(run.split.holdout_y),
        "curve": clock.rows,
        "test": {key: outcome.scores[key] for key in ("accuracy", "balanced_accuracy")},
        "provenance": provenance(),
    }


# One change after the other, each kept where the validation part gains more than its standard error, about a point.
CHANGES: dict[str, dict[str, Any]] = {
    "muon": {"optimizer": "muon"},
    "grow": {"parts": ["grow"], "epochs": 8},
    "whiten": {"parts": ["whiten"]},
    "linear rate": {"parts": ["linear rate"]},
    "12 epochs": {"epochs": 12},
    "labels smoothed to the prior": {"smoothing": [0.1, "prior"]},
    "flip": {"augment": "flip"},
    "average of the weights": {"ema": 0.99},
    "batch of 128, rate 0.2": {"batch_size": 128, "learning_rate": 0.2},
    "labels smoothed evenly": {"smoothing": [0.1, "even"]},
    "flip in turn": {"augment": "flip", "parts": ["flip in turn"]},
    "12 epochs, with flips": {"epochs": 12},
    "20 epochs, with flips": {"epochs": 20},
}
START = {**recipe_values("recommended"), "epochs": 6, "channels_last": True}
GAIN = 1.0


def select(results: dict[str, Any], folder: Path, file: Path) -> None:
    """Greedy choice of the parts; what was measured is kept after every run. The test part is not looked at."""
    rows = results.setdefault("selection", [])
    dataset = with_validation_part(load_dataset("cifar10_lt50", size=SIZE))
    dataset = replace(dataset, test_x=dataset.test_x[:100], test_y=dataset.test_y[:100])  # not looked at
    now, best = dict(START), -math.inf
    for number, (name, change) in enumerate([("start", {}), *CHANGES.items()]):
        values = {**now, **change, "parts": [*now.get("parts", []), *change.get("parts", [])]}
        if number == len(rows):
            made = timed(f"select-{number}", values, dataset, folder)
            last = made["curve"][-1]
            gain = last["validation"] - best if number else 0.0
            row = {"change": name, "values": {**values}, "validation": last["validation"], "seconds": last["seconds"]}
            rows.append({**row, "gain": gain, "kept": not number or gain > GAIN})
            write_json(file, {**results, "selection_provenance": provenance()})
            print(name, {k: rows[-1][k] for k in ("validation", "gain", "seconds", "kept")}, flush=True)
        if rows[number]["kept"]:
            now, best = values, rows[number]["validation"]


def soonest(curve: Sequence[dict[str, float]], target: float) -> float | None:
    """Processor seconds after which the validation part first reached ``target``; None where it never did."""
    return next((row["seconds"] for row in curve if row["validation"] >= target), None)


def table(results: dict[str, Any]) -> str:
    """A line for each recipe, as docs/training.md has it."""
    return runs_table(results["runs"])


def runs_table(runs: dict[str, dict[str, Any]]) -> str:
    """A line for each of the runs by name."""
    lines = ["| recipe | epochs | processor seconds | validation, % | test, % |", "|---|--:|--:|--:|--:|"]
    for name, run in runs.items():
        last, test = run["curve"][-1], run["test"]["balanced_accuracy"]
        cells = (last["epoch"], f"{last['seconds']:.0f}", f"{last['validation']:.1f}", f"{test:.1f}")
        lines.append("| " + " | ".join(map(str, (f"`{name}`", *cells))) + " |")
    return "\n".join(lines)


def methods_table(results: dict[str, Any]) -> str:
    """A line for each method in the recipe `fast`: balanced accuracy of the test part, and less that of linear + CE."""
    scores = {
        method: np.array([results["methods"][f"{method}, seed {s}"]["test"]["balanced_accuracy"] for s in SEEDS])
        for method in METHODS
    }
    lines = ["| method | test, % | less linear + CE |", "|---|--:|--:|"]
    for method, own in scores.items():
        mean, half = mean_ci(own)
        gain, wide = mean_ci(own - scores["linear-ce"])
        less = f"{gain:+.1f} ± {wide:.1f}".replace("-", "−") if method != "linear-ce" else ""
        lines.append(f"| `{method}` | {mean:.1f} ± {half:.1f} | {less} |")
    return "\n".join(lines)


def relations(results: dict[str, Any]) -> str:
    """A line for each part that was tried, and for each method, as docs/training.md has them."""
    rows = results["selection"]
    lines = ["| change | processor seconds | validation, % | gain | kept |", "|---|--:|--:|--:|---|"]
    for row in rows:
        gain = f"{row['gain']:+.1f}".replace("-", "−") if row is not rows[0] else ""
        cells = (
            row["change"],
            f"{row['seconds']:.0f}",
            f"{row['validation']:.1f}",
            gain,
            "yes" if row["kept"] else "no",
        )
        lines.append("| " + " | ".join(cells) + " |")
    if "methods" in results:
        lines += ["", *methods_table(results).splitlines()]
    return "\n".join(lines)


def draw(runs: dict[str, dict[str, Any]]) -> Any:
    """Balanced accuracy over processor minutes; a diamond is the test part after the last epoch."""
    figure = new_figure(7, 4)
    axes = figure.subplots()
    colors = {"recommended": LEARNED, "fast": FIXED}
    for name, run in runs.items():
        color = colors.get(name, "0.5")
        minutes = [row["seconds"] / 60 for row in run["curve"]]
        axes.plot(minutes, [row["validation"] for row in run["curve"]], color=color, label=f"{name}, validation")
        axes.plot(minutes[-1], run["test"]["balanced_accuracy"], "D", color=color, label=f"{name}, test")
    axes.set_xlabel("processor minutes of one thread")
    axes.set_ylabel("balanced accuracy, %")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    return figure


# At the size of the selection, and `recommended` with 28 of its 40 epochs: what the hours at hand allowed.
RUNS: dict[str, dict[str, Any]] = {
    "recommended": {**recipe_values("recommended"), "epochs": 28},
    "recommended, flips": {**recipe_values("recommended"), "epochs": 28, "augment": "flip"},
    "fast": recipe_values("fast"),
}


# The recipe `fast` with other methods: linear + CE, linear + LA and DR beside the fixed head with LA.
METHODS = ("linear-ce", "linear-la", "recommended", "etf-dr")
SEEDS = (0, 1, 2)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command_parser("questions time-to-accuracy", __doc__)
    parser.add_argument("recipes", nargs="*", help="by default all")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    parser.add_argument("--size", type=int, default=SIZE, help=f"pixels, by default {SIZE}; 32 are all of them")
    parser.add_argument("--select", action="store_true", help="choose the parts of `fast`, on validation data")
    parser.add_argument("--methods", action="store_true", help=f"`fast` with {', '.join(METHODS)}, three seeds")
    parser.add_argument("--folder", type=Path, default=Path("runs/time_to_accuracy"), help="of the checkpoints")
    parser.add_argument("--figures", type=Path, default=FIGURES)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    results = read_json(options.output) if options.output.exists() else {"runs": {}}
    if options.select:
        select(results, options.folder, options.output)
        return print(relations(results))
    dataset = with_validation_part(load_dataset("cifar10_lt50", size=options.size))
    if options.methods:
        measured = results.setdefault("methods", {})
        for seed, method in itertools.product(SEEDS, METHODS):
            name = f"{method}, seed {seed}"
            if name not in measured:
                values = {**recipe_values("fast"), "method": method, "seed": seed}
                measured[name] = timed(f"fast-{method}-{seed}", values, dataset, options.folder)
                write_json(options.output, results)
        return print(methods_table(results))
    for name in options.recipes or RUNS:
        if name not in results["runs"]:
            results["runs"][name] = timed(name, RUNS[check_choice(name, RUNS, "recipe")], dataset, options.folder)
            write_json(options.output, results)
    print(table(results))
    if "recommended" not in results["runs"]:
        return
    target = results["runs"]["recommended"]["curve"][-1]["validation"]
    for name, run in results["runs"].items():
        print(f"{name}: at {target:.1f} % after {soonest(run['curve'], target)} s")
    print("wrote", save_figure(draw(results["runs"]), options.figures / "time_to_accuracy.svg"))
