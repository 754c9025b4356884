"""A slice of the long trainings, small and on the CPU: what is stopped goes on and ends where one that was not ends."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from equiangular.data import Dataset
from experiments.gpu import slices

SMALL = (("backbone", "resnet8"), ("epochs", 3), ("warmup_epochs", 1), ("batch_size", 32), ("validation", 0.0))


def drawn() -> Dataset:
    labels = torch.from_numpy(np.repeat(np.arange(3), [100, 60, 40]))
    images = torch.randint(0, 256, (len(labels), 3, 8, 8), generator=torch.Generator().manual_seed(0)).byte()
    parts = {"train_x": images, "train_y": labels, "test_x": images[::5], "test_y": labels[::5]}
    return Dataset(name="cifar10_lt50", kind="image", class_names=("a", "b", "c"), source="drawn", **parts)


@pytest.mark.parametrize("arm", slices.ARMS)
def test_a_run_that_is_stopped_goes_on_to_the_same_end(arm: str, tmp_path: Path, monkeypatch) -> None:
    run = slices.Run("CIFAR-10-LT", arm, 1, tmp_path, time.time() + 600, "cpu", SMALL)
    whole = slices.train(run, drawn())
    assert whole["epochs"] == 3
    assert not run.checkpoint.exists()
    stopped: list[dict] = []
    with monkeypatch.context() as patch:
        clock = iter([0.0] + [2.0] * 9)
        patch.setattr(slices, "now", lambda: next(clock))
        stopped.append(slices.train(replace(run, until=1.0), drawn()))
    assert stopped[0]["epochs"] == 1
    assert run.checkpoint.exists()
    again = slices.train(run, drawn())
    assert again["test"] == whole["test"]
    assert again["seconds"] > stopped[0]["seconds"]
    assert slices.train(replace(run, until=0.0), drawn()) == {}


def test_the_table_pairs_by_seed_and_says_how_far_the_others_are(tmp_path: Path, capsys) -> None:
    accuracy = {("linear-la", 0): 70.0, ("linear-la", 1): 72.0, ("recommended", 0): 71.0, ("recommended", 1): 74.0}
    runs = {
        f"CIFAR-10-LT, {arm}, seed {seed}": {"epochs": 200, "test": {"balanced_accuracy": value, "few": None}}
        for (arm, seed), value in accuracy.items()
    } | {"CIFAR-100-LT, dr, seed 2": {"epochs": 35, "loss": 1.0, "seconds": 60.0}}
    output = tmp_path / "gpu.json"
    slices.write_json(output, {"runs": runs})
    slices.main(["--table", "--output", str(output)])
    shown = capsys.readouterr().out
    assert "| CIFAR-10-LT | linear-la | 2 | 71.0 ± 12.7 | | | |" in shown
    assert "| CIFAR-10-LT | recommended | 2 | 72.5 ± 19.1 | +1.5 ± 6.4 | | |" in shown
    assert "| CIFAR-100-LT | dr | 0 | | | | 35 |" in shown
    assert "4 of 30 runs are finished" in shown


def test_the_methods_fit_their_sets() -> None:
    assert slices.method_of("dr", "CIFAR-10-LT").name == "etf-dr"
    assert slices.method_of("dr", "CIFAR-100-LT").name == "frame-dr"
    assert slices.method_of("cosine-ntce", "CIFAR-100-LT").balances
