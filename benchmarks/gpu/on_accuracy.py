"""Time to accuracy: the recipe ``fast`` beside ``recommended``, on CIFAR-10 cut to imbalance 100 or drawn images.

CIFAR-10 is ``cifar10_lt50`` of EQUIANGULAR_DATA, at 32 pixels. Without it images are drawn: ten classes, each a smooth
pattern that is moved about and covered with noise; what is reached on them says nothing of photographs, and the times
say the same. Seconds are those of the training alone: the clock stands while the test part is looked at, after every
epoch. Nothing is chosen by what is seen there. ``recommended`` is trained after ``fast``, for as many of its epochs as
the time allows; then it is asked how soon ``fast`` had what ``recommended`` has in the end.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

from equiangular.data import Dataset, from_arrays, load_dataset
from equiangular.measures import balanced_accuracy, confusion_matrix
from equiangular.training import Trial, get_method, run_trial
from equiangular.training.config.files import make_config, recipe_values
from equiangular.training.config.options import Hardware
from equiangular.training.engine.loop import Training
from equiangular.training.engine.prediction import predict
from equiangular.training.run.trial import TrialRun, Watcher

SECONDS = 55.0  # of both recipes together; gpu.sh has the rest for imports and data
CLASSES, IMBALANCE = 10, 100.0


def drawn(largest: int, size: int, generator: torch.Generator) -> Dataset:
    """Images of ten classes, all of one number: the trial cuts the tail."""
    patterns = F.interpolate(torch.randn(CLASSES, 3, 4, 4, generator=generator), size=size, mode="bicubic")

    def part(each: int) -> tuple[Any, Any]:
        labels = torch.arange(CLASSES).repeat_interleave(each)
        shifts = torch.randint(-size // 4, size // 4 + 1, (len(labels), 2), generator=generator).tolist()
        moved = [patterns[y].roll(shift, (1, 2)) for y, shift in zip(labels.tolist(), shifts, strict=True)]
        noisy = torch.stack(moved) + 1.5 * torch.randn(len(labels), 3, size, size, generator=generator)
        return (128 + 40 * noisy).clamp(0, 255).byte().numpy(), labels.numpy()

    return from_arrays(*part(largest), *part(100), name="drawn", source="drawn patterns with noise")


def dataset_of(small: bool) -> Dataset:
    """CIFAR-10 where it is at hand, else drawn images; a rehearsal draws few."""
    if not small:
        try:
            return load_dataset("cifar10_lt50")
        except (ImportError, OSError, ValueError) as error:
            print(f"drawn images: {error}")
    return drawn(150 if small else 5000, 8 if small else 32, torch.Generator().manual_seed(0))


class LateError(Exception):
    """The time is up."""


class Clock(Watcher):
    """Seconds of training and balanced accuracy of the test part, epoch by epoch."""

    def __init__(self, device: torch.device, until: float, tell: Callable[[Clock], None]) -> None:
        self.device, self.until, self.tell = device, until, tell
        self.rows: list[dict[str, float]] = []
        self.used = 0.0

    def now(self) -> float:
        """The time after all that the device was asked for; processor time on a CPU."""
        if self.device.type != "cuda":
            return time.process_time()
        torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def start(self, run: TrialRun) -> None:
        self.run, self.samples = run, int(run.split.class_counts.sum())
        self.began = self.now()

    def after_epoch(self, training: Training) -> None:
        self.used += self.now() - self.began
        split = self.run.split
        _, logits = predict(training.shown, split.test_x, prepare=split.standardise)
        counts = confusion_matrix(logits.argmax(1).cpu(), split.test_y.cpu(), logits.shape[1])
        score = 100 * float(balanced_accuracy(counts))
        self.rows.append({"epoch": training.epoch, "seconds": self.used, "balanced_accuracy": score})
        self.tell(self)
        if time.perf_counter() > self.until and training.epoch < self.run.trial.epochs:
            raise LateError
        self.began = self.now()


def soonest(rows: list[dict[str, float]], target: float) -> float | None:
    """Seconds after which ``target`` was first reached; None where it never was."""
    return next((row["seconds"] for row in rows if row["balanced_accuracy"] >= target), None)


def run(device: torch.device, *, small: bool, keep: Callable[[object], None]) -> dict[str, Any]:
    dataset = dataset_of(small)
    told: dict[str, Any] = {"data": dataset.name, "pixels": dataset.input_shape[-1], "imbalance": IMBALANCE}
    until = time.perf_counter() + (20.0 if small else SECONDS)
    hardware = {"accelerator": device.type, **({"threads": 1} if device.type == "cpu" else {})}
    for name in ("fast", "recommended"):
        values = recipe_values(name) | ({"epochs": 2} if small else {})
        layout = {key: values.pop(key) for key in ("channels_last",) if key in values}
        trial = make_config(Trial, {"data": dataset.name, "imbalance": IMBALANCE}, values)
        told[name] = row = {"epochs": trial.epochs}

        def tell(clock: Clock, row: dict[str, Any] = row) -> None:
            row["curve"] = clock.rows
            row["images_per_second"] = clock.samples * len(clock.rows) / clock.used
            keep(told)

        clock = Clock(device, until, tell)
        try:
            run_trial(
                trial, dataset, [get_method(trial.method)], hardware=Hardware(**hardware, **layout), watcher=clock,
                collapse=False,
            )  # fmt: skip
        except LateError:
            row["cut"] = f"after {clock.rows[-1]['epoch']} epochs: the time was up"
        row["backbone"], row["training_samples"] = clock.run.backbone, clock.samples
    target = told["recommended"]["curve"][-1]["balanced_accuracy"]
    told["seconds_to_what_recommended_has"] = {
        "target": target, **{name: soonest(told[name]["curve"], target) for name in ("fast", "recommended")}
    }  # fmt: skip
    return told
