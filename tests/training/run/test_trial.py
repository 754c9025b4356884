"""One trial, its fingerprint, the store of finished ones, and data that change under a run."""

import json
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from equiangular._lock import FolderLock
from equiangular.data import content_digest, load_dataset
from equiangular.training import TrainConfig, Trial, TrialStore, get_method, resume, run_trial, train
from equiangular.training.engine.stopping import Stopped
from equiangular.training.methods import TrainingDivergedError
from equiangular.training.run import store as store_module
from equiangular.training.run.collapse import measure_run
from equiangular.training.run.outcome import weights_sha256
from equiangular.training.run.trial import TrialRun

CONFIG = {"epochs": 3, "batch_size": 16, "accelerator": "cpu"}


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(3), (40, 20, 10))
    x = (np.eye(3, 4)[y] * 2 + rng.normal(size=(70, 4))).astype(np.float32)
    np.savez(tmp_path / "t.npz", train_x=x, train_y=y, test_x=x[::3] + 0.1, test_y=y[::3])
    return tmp_path / "t.npz"


def changed(path: Path, part: str) -> None:
    """Change one thing in the file, the shapes kept."""
    data = dict(np.load(path))
    if part == "one value":
        data["train_x"][5, 2] += 1e-3
    elif part == "order":
        data["train_x"][:2] = data["train_x"][1::-1].copy()  # of one class: the labels stay as they are
    elif part == "labels":
        data["train_y"][[0, -1]] = data["train_y"][[-1, 0]]
    elif part == "test inputs":
        data["test_x"] = -data["test_x"]
    elif part == "test labels":
        data["test_y"] = data["test_y"][::-1].copy()
    np.savez(path, **data)


CHANGES = {
    "one value": "training inputs",
    "order": "training inputs",
    "labels": "training labels",
    "test inputs": "test inputs",
    "test labels": "test labels",
}


@pytest.mark.parametrize(("part", "named"), CHANGES.items())
def test_a_run_is_not_gone_on_with_on_other_data(part: str, named: str, table: Path, tmp_path: Path) -> None:
    config = TrainConfig(data=str(table), method="etf-la", **CONFIG)

    def stop(training: object, row: dict | None) -> None:
        if row is not None and row["epoch"] == 1:
            raise Stopped(15, "told to")

    with pytest.raises(Stopped):
        train(config, tmp_path / "cut", progress=stop)
    train(config, tmp_path / "whole")
    changed(table, part)
    message = rf"the data have changed since the run .* was started: the {named} are not the same"
    with pytest.raises(ValueError, match=message):
        resume(tmp_path / "cut")
    with pytest.raises(ValueError, match=message):
        train(config, tmp_path / "cut")
    with pytest.raises(ValueError, match=message):
        train(config, tmp_path / "whole")
    with pytest.raises(ValueError, match=message):
        measure_run(tmp_path / "whole")


def test_a_run_stopped_before_its_first_checkpoint_is_held_to_its_data_too(table: Path, tmp_path: Path) -> None:
    """Else it would end with the results of the new data under the record of the old ones."""
    config = TrainConfig(data=str(table), method="etf-la", **CONFIG)

    def die(training: object, row: dict | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "cut", progress=die)
    assert not (tmp_path / "cut" / "checkpoint" / "state.safetensors").exists()
    whole = table.read_bytes()
    changed(table, "one value")
    with pytest.raises(ValueError, match=r"the data have changed since .* the training inputs are not the same"):
        resume(tmp_path / "cut")
    table.write_bytes(whole)
    assert resume(tmp_path / "cut")["weights_sha256"] == train(config, tmp_path / "whole")["weights_sha256"]


def test_columns_of_another_name_are_other_data(tmp_path: Path) -> None:
    """The numbers are the same, and what the stored model says of them would not be."""
    rows = ["a,b,label"] + [f"{i % 7},{i % 5},{'xy'[i % 2]}" for i in range(60)]
    (tmp_path / "data.csv").write_text("\n".join(rows))
    config = TrainConfig(data=str(tmp_path / "data.csv"), method="etf-la", **CONFIG)
    train(config, tmp_path / "run")
    (tmp_path / "data.csv").write_text("\n".join(["b,a,label", *rows[1:]]))
    with pytest.raises(ValueError, match=r"the columns, preprocessing and encoder are not the same any more"):
        resume(tmp_path / "run")


def test_the_path_in_a_configuration_may_be_changed_and_nothing_else(table: Path, tmp_path: Path) -> None:
    config = TrainConfig(data=str(table), method="etf-la", **CONFIG)
    train(config, tmp_path / "run")
    moved = table.rename(tmp_path / "moved.npz")
    file = tmp_path / "run" / "config.yaml"
    file.write_text(file.read_text().replace(str(table), str(moved)))
    assert measure_run(tmp_path / "run") is not None
    file.write_text(file.read_text().replace("seed: 0", "seed: 1", 1))
    with pytest.raises(ValueError, match="was changed or damaged after it was written"):
        measure_run(tmp_path / "run")


def test_a_run_that_the_last_release_finished_is_read_under_the_new_name(table: Path, tmp_path: Path) -> None:
    config = TrainConfig(data=str(table), method="recommended", **CONFIG)
    results = train(config, tmp_path / "run")
    file = tmp_path / "run" / "config.yaml"
    lines = [line for line in file.read_text().splitlines() if not line.startswith("# checksum")]  # it wrote none
    file.write_text("\n".join(lines).replace("method: recommended", "method: best"))
    assert train(config, tmp_path / "run") == resume(tmp_path / "run") == results
    with pytest.warns(DeprecationWarning, match="the method 'best' is written 'recommended' now"):
        assert train(replace(config, method="best"), tmp_path / "run") == results


def test_a_finished_run_is_read_where_its_data_are_gone(table: Path, tmp_path: Path) -> None:
    config = TrainConfig(data=str(table), method="etf-la", **CONFIG)
    results = train(config, tmp_path / "run")
    table.unlink()
    assert train(config, tmp_path / "run") == results


@pytest.mark.parametrize(
    ("method", "kind", "training"),
    [
        ("etf-ce-pc", "fixed", "etf-ce"),
        ("recommended", "fixed", "recommended"),
        ("linear-crt", "learned", "linear-ce"),
        ("rotated-etf-la", "mapped", "rotated-etf-la"),
    ],
)
def test_a_trial_is_a_run_without_a_folder(method: str, kind: str, training: str, table: Path, tmp_path: Path) -> None:
    config = TrainConfig(data=str(table), method=method, **CONFIG)
    results = train(config, tmp_path / "run")
    _, (outcome,) = run_trial(config, load_dataset(table))
    assert results["weights_sha256"] == weights_sha256(outcome.task)
    for key in ("accuracy", "balanced_accuracy", "ece", "ece_uncalibrated"):
        assert results["test"][key] == outcome.scores[key]
    assert results["head_kind"] == outcome.task.head.kind == kind
    assert results["fingerprint"] == config.fingerprint(content_digest(load_dataset(table)), training)


def test_the_fingerprint_covers_all_that_decides_and_nothing_else(table: Path) -> None:
    content = content_digest(load_dataset(table))
    base = Trial(data=str(table), method="etf-la")
    known = base.fingerprint(content)
    decisive = {
        "imbalance": 2.0, "validation": 0.3, "subset_seed": 1, "epochs": 3, "learning_rate": 0.2, "mix": "mixup:1",
        "precision": "bf16-mixed", "accumulate": 2, "method": "etf-ce", "head": {"scale": 2.0}, "backbone": "mlp",
        "width": 2.0, "seed": 1, "thresholds": (5, 10), "sampler": "class-balanced",
    }  # fmt: skip
    found = {name: replace(base, **{name: value}).fingerprint(content) for name, value in decisive.items()}
    assert len({known, *found.values()}) == 1 + len(decisive)
    for name, value in {"root": "/data", "memory": "stream", "data": "elsewhere.npz"}.items():
        assert replace(base, **{name: value}).fingerprint(content) == known
    for part in content:
        assert base.fingerprint({**content, part: "0"}) != known
    assert replace(base, imbalance=1).fingerprint(content) == known  # 1 and 1.0 are one number
    where = {"devices": 2, "workers": 3, "checkpoint_epochs": 0, "accelerator": "cuda"}
    shared = {name: getattr(base, name) for name in ("data", "method")}
    assert TrainConfig(**shared, **where).fingerprint(content) == known


def test_the_store_reads_what_it_has_and_shares_a_training(table: Path, tmp_path: Path, monkeypatch) -> None:
    trial, dataset = Trial(data=str(table), method="etf-ce", epochs=2, batch_size=16), load_dataset(table)
    methods = [get_method("etf-ce"), get_method("etf-ce-pc")]
    content, store = content_digest(dataset), TrialStore(tmp_path / "trials")
    first = store.records(trial, dataset, content, methods)
    assert first[0].fingerprint == first[1].fingerprint
    assert first[0].loss == first[1].loss
    calls = []

    def forbidden(trial: Trial, *arguments: Any, watcher: Any, **options: Any) -> None:
        calls.append(arguments)
        watcher.start(TrialRun(trial, dataset))
        raise TrainingDivergedError("the loss became nan")

    monkeypatch.setattr(store_module, "run_trial", forbidden)
    assert store.records(trial, dataset, content, methods[1:]) == first[1:]
    assert not calls
    other = store.records(replace(trial, seed=1), dataset, content, methods)
    assert len(calls) == 1
    assert [record.diverged for record in other] == ["the loss became nan"] * 2
    assert not any(record.scores for record in other)
    assert {record.kind for record in other} == {"fixed"}
    (path,) = (tmp_path / "trials").glob("etf-ce-seed0-*.json")
    values = json.loads(path.read_text())
    values["records"][0]["kind"] = "best"
    path.write_text(json.dumps(values))
    kept = path.read_text()
    for text in (kept, kept[:-40]):  # a value of another version; cut off in the middle of one
        path.write_text(text)
        store.damaged.clear()
        assert store.records(trial, dataset, content, methods)[0].diverged  # made anew
        assert list(store.damaged) == [path.name]
    assert len(calls) == 3


def test_the_digest_is_of_content_and_not_of_memory(table: Path) -> None:
    dataset = load_dataset(table)
    content = content_digest(dataset)
    transposed = dataset.train_x.t().contiguous().t()
    assert not transposed.is_contiguous()
    assert content_digest(replace(dataset, train_x=transposed)) == content
    swapped = torch.cat([dataset.train_x[1:2], dataset.train_x[:1], dataset.train_x[2:]])
    assert content_digest(replace(dataset, train_x=swapped))["training inputs"] != content["training inputs"]
    named = content_digest(replace(dataset, class_names=("a", "b", "c")))
    assert {part for part in content if content[part] != named[part]} == {"class names"}


def test_a_store_goes_to_another_process_with_its_folder_and_without_the_lock(tmp_path: Path) -> None:
    store = TrialStore(tmp_path)
    with FolderLock(tmp_path) as store.lock:
        again = pickle.loads(pickle.dumps(store))
        assert again.folder == store.folder
        again.lock.check()
    with pytest.raises(ValueError, match="was moved, emptied or taken over"):
        again.lock.check()
