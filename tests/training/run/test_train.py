"""A whole run: what it writes, what it reports, and that its options do what they say."""

import csv
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from equiangular._files import read_json
from equiangular.longtail import SubsetManifest
from equiangular.training import TrainConfig, get_method, load_model, predict, train
from equiangular.training.engine.loop import Training
from equiangular.training.run.folder import RunFolder

CONFIG = TrainConfig(data="digits", method="etf-ce-pc", imbalance=20.0, epochs=3, accelerator="cpu", seed=1)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("run")
    return folder, train(CONFIG, folder)


def test_the_files_of_a_run(run: tuple[Path, dict[str, Any]]) -> None:
    folder, results = run
    names = {"config.yaml", "provenance.json", "manifest.json", "metrics.csv", "results.json"}
    assert set(os.listdir(folder)) == names | {"checkpoint", "model", "best", ".lock"}
    assert RunFolder(folder).read_config() == CONFIG
    manifest = SubsetManifest.load(folder / "manifest.json")
    provenance = json.loads((folder / "provenance.json").read_text())
    assert provenance["manifest_sha256"] == manifest.sha256
    assert provenance["seeds"] == {"seed": 1, "subset": 0, "split": 0}
    assert {"versions", "hardware", "commit", "command", "time_utc", "processes", "device"} <= set(provenance)
    assert read_json(folder / "results.json") == results


def test_what_is_reported(run: tuple[Path, dict[str, Any]]) -> None:
    folder, results = run
    with (folder / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(r["epoch"]) for r in rows] == [1, 2, 3]
    assert [float(r["loss"]) for r in rows] == [r["loss"] for r in results["epochs"]]
    validation = [float(r["validation_balanced_accuracy"]) for r in rows]
    assert results["best"]["epoch"] == 1 + int(np.argmax(validation))
    assert results["test"]["epoch"] == 3
    assert results["test"]["samples"] == 500
    assert results["data"]["classes"] == [str(i) for i in range(10)]
    assert [c["name"] for c in results["details"]["classes"]] == results["data"]["classes"]
    assert sum(results["class_counts"]) < sum(c["train"] for c in results["details"]["classes"]) + 1


def test_the_models_are_those_reported(run: tuple[Path, dict[str, Any]]) -> None:
    """Test accuracy again, from the stored model and raw data."""
    from equiangular.data import load_dataset
    from equiangular.training import Classifier

    folder, results = run
    data = load_dataset("digits")
    for name, key in (("model", "test"), ("best", "best")):
        classifier = Classifier.load(folder / name)
        assert classifier.info.epoch == results[key]["epoch"]
        assert classifier.info.correction == results[key]["correction"]
        with torch.no_grad():
            predicted = classifier(data.test_x).logits.argmax(1)
        accuracy = 100 * float((predicted == data.test_y).double().mean())
        assert accuracy == pytest.approx(results[key]["accuracy"])


def test_the_last_epoch_is_the_training_on_its_own(run: tuple[Path, dict[str, Any]]) -> None:
    """The stored weights are those of the bare loop over the same split."""
    from equiangular.data import load_dataset
    from equiangular.training import build_task, fit, make_split

    split = make_split(load_dataset("digits"), imbalance=20, holdout=0.2)
    task = build_task(get_method("etf-ce"), "digits", (1, 8, 8), 10, seed=1)
    fit(task, split.train_x, split.train_y, CONFIG, seed=1, prepare=split.standardise)
    stored, _ = load_model(run[0])
    for name, value in task.state_dict().items():
        assert torch.equal(stored.state_dict()[name], value), name


def test_without_validation_there_is_no_best_and_no_calibration(tmp_path: Path) -> None:
    results = train(replace(CONFIG, method="etf-la", validation=0.0, epochs=1), tmp_path)
    assert results["best"] is None
    assert results["test"]["correction"] is None
    assert results["test"]["ece"] == results["test"]["ece_uncalibrated"]
    assert not (tmp_path / "best").exists()


@pytest.mark.parametrize("method", ["linear-crt", "linear-tau-norm", "linear-wb", "linear-crt-las"])
def test_methods_of_two_stages(tmp_path: Path, method: str) -> None:
    results = train(replace(CONFIG, method=method, epochs=2), tmp_path)
    task, info = load_model(tmp_path)
    assert info.method == method
    one_stage = train(replace(CONFIG, method="linear-ce", epochs=2), tmp_path / "one")
    assert results["test"]["per_class"] != one_stage["test"]["per_class"]
    assert torch.isfinite(predict(task, torch.zeros(2, 1, 8, 8))[1]).all()


@pytest.mark.parametrize(
    "changes",
    [
        {"channels_last": True},
        {"accumulate": 2},
        {"precision": "bf16-mixed"},
        {"precision": "64-true"},
        {"optimizer": "adamw", "learning_rate": 2e-3, "clip_norm": 0.5},
        {"optimizer": "muon", "precision": "bf16-mixed"},
        {"ema": 0.9},
        {"augment": "crop", "mix": "mixup:0.2"},
        {"sampler": "class-balanced:0.5"},
    ],
    ids=str,
)
def test_options_train_as_well(tmp_path: Path, changes: dict[str, Any]) -> None:
    """Every option changes what is computed and still learns; channels_last changes rounding alone."""
    plain = train(replace(CONFIG, method="linear-ce", epochs=6), tmp_path / "plain")
    changed = train(replace(CONFIG, method="linear-ce", epochs=6, **changes), tmp_path / "changed")
    losses = [[row["loss"] for row in r["epochs"]] for r in (plain, changed)]
    assert losses[1][-1] < 0.6 * losses[1][0]
    if changes == {"channels_last": True}:
        assert losses[1] == pytest.approx(losses[0], rel=1e-3)
    elif "ema" not in changes:
        assert losses[1] != losses[0]
    else:
        weights = [load_model(tmp_path / run)[0].head.weight for run in ("plain", "changed")]
        assert not torch.equal(*weights)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")
def test_a_compiled_backbone_gives_the_same_result(tmp_path: Path) -> None:
    config = replace(CONFIG, method="linear-ce", backbone="mlp", epochs=2)
    plain, compiled = train(config, tmp_path / "a"), train(replace(config, compile=True), tmp_path / "b")
    assert [r["loss"] for r in compiled["epochs"]] == pytest.approx([r["loss"] for r in plain["epochs"]], rel=1e-3)


def test_tensorboard(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    results = train(replace(CONFIG, epochs=2, loggers="tensorboard"), tmp_path)
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    losses = [event.value for event in events.Scalars("loss")]
    assert losses == pytest.approx([row["loss"] for row in results["epochs"]], rel=1e-6)


def test_a_logger_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(ImportError, match=r"wandb"):
        train(replace(CONFIG, epochs=1, loggers="wandb"), tmp_path)


def test_divergence_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"the loss of 'learnable linear \+ CE' became .* in epoch 1. Lower"):
        train(replace(CONFIG, method="linear-ce", learning_rate=1e6, warmup_epochs=0), tmp_path)


def test_the_library_leaves_global_generators_alone(tmp_path: Path) -> None:
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    train(replace(CONFIG, epochs=1), tmp_path)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()  # noqa: NPY002


def test_an_average_follows_the_weights() -> None:
    from equiangular.training import Budget, build_task

    task = build_task(get_method("linear-ce"), "mlp", (4,), 3, seed=0)
    x, y = torch.randn(30, 4, generator=torch.Generator().manual_seed(0)), torch.arange(30) % 3
    training, expected = Training(task, x, y, Budget(epochs=2, batch_size=10, ema=0.75), seed=0), []

    def follow(t: Training) -> None:
        now = t.task.head.weight.detach().double()
        expected.append(now if not expected else 0.75 * expected[-1] + 0.25 * now)

    training.run(on_step=follow)
    torch.testing.assert_close(training.shown.head.weight.double(), expected[-1], rtol=1e-5, atol=1e-6)
