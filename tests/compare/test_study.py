"""The main job on real digits, at a small budget."""

import json
from pathlib import Path

import pytest
import torch
from equiangular.compare.protocol import run_split

from equiangular._files import read_json, write_json
from equiangular.compare import configure, run_study
from equiangular.data import load_dataset

SMALL = {"imbalance": 20, "seeds": 2, "epochs": 2, "methods": ("linear-ce", "etf-dr", "etf-dr-pc")}


def without_times(results: dict) -> dict:
    runs = [{k: v for k, v in r.items() if k != "seconds"} for r in results["runs"]]
    return {"runs": runs, "comparisons": results["comparisons"]}


def test_results_are_written_and_a_second_run_reads_them(tmp_path: Path) -> None:
    config, seen = configure("digits", **SMALL), []
    results = run_study(config, tmp_path, progress=seen.append)
    on_disk = read_json(tmp_path / "results.json")
    assert set(on_disk["table"]) == set(SMALL["methods"])
    assert len(on_disk["runs"]) == 6
    assert seen == [f"{m}, seed {s}" for s in (0, 1) for m in ("learnable linear + CE", "ETF + DR")] + [""]
    for run in on_disk["runs"]:
        assert 0 <= run["balanced_accuracy"] <= 100
        assert run["head_parameters"] == (128 if run["method"].startswith("etf") else 778)  # BatchNorm; 640 + 10 more
    files = {p: p.stat().st_mtime_ns for p in (tmp_path / "trainings").iterdir()}
    again = run_study(config, tmp_path)
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "trainings").iterdir()} == files
    assert json.dumps(again["runs"]) == json.dumps(results["runs"])


def test_an_interrupted_study_ends_with_the_same_result(tmp_path: Path) -> None:
    config = configure("digits", **SMALL)
    whole = run_study(config, tmp_path / "whole")

    def stop(description: str) -> None:
        if description == "ETF + DR, seed 1":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_study(config, tmp_path / "cut", progress=stop)
    assert not (tmp_path / "cut" / "results.json").exists()
    resumed = run_study(config, tmp_path / "cut")
    assert without_times(resumed) == without_times(whole)


def test_a_changed_configuration_trains_again(tmp_path: Path) -> None:
    first = run_study(configure("digits", **SMALL), tmp_path)
    other = run_study(configure("digits", **{**SMALL, "imbalance": 10}), tmp_path)
    assert first["runs"][0]["subset_sha256"] != other["runs"][0]["subset_sha256"]


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    config = configure("digits", **SMALL)
    run_study(config, tmp_path)
    (tmp_path / "trainings" / "etf-dr-seed1.json").write_text("{")
    with pytest.raises(ValueError, match=r"etf-dr-seed1.json' is not a JSON file"):
        run_study(config, tmp_path)
    write_json(tmp_path / "trainings" / "etf-dr-seed1.json", {"records": []})
    assert len(run_study(config, tmp_path)["runs"]) == 6


def test_the_split_keeps_test_data_out_of_training() -> None:
    dataset, config = load_dataset("digits"), configure("digits", imbalance=100)
    split = run_split(dataset, config, seed=0)
    assert len(split.test_y) == len(dataset.test_y)
    assert torch.bincount(split.test_y).unique().numel() == 1
    assert split.train_y.bincount(minlength=10).tolist() == split.class_counts.tolist()
    assert split.train_y.bincount(minlength=10).min() >= 1
    rows = {tuple(r.tolist()) for r in split.test_x.flatten(1)}
    shared = [r for x in (split.train_x, split.holdout_x) for r in x.flatten(1) if tuple(r.tolist()) in rows]
    assert not shared
    assert split.standardise(split.train_x).mean().abs() < 1e-5


def test_the_subset_seed_is_apart_from_the_training_seed() -> None:
    dataset = load_dataset("digits")
    free, fixed = configure("digits"), configure("digits", subset_seed=7)
    shas = [[run_split(dataset, c, seed).manifest.sha256 for seed in (0, 1)] for c in (free, fixed)]
    assert shas[0][0] != shas[0][1]
    assert shas[1][0] == shas[1][1]


def test_every_method_starts_from_the_same_backbone() -> None:
    from equiangular.training import build_task, get_method

    tasks = [build_task(get_method(m), "digits", (1, 8, 8), 10, seed=5) for m in ("linear-ce", "etf-dr", "cosine-la")]
    states = [task.backbone.state_dict() for task in tasks]
    for key, value in states[0].items():
        assert all(torch.equal(value, s[key]) for s in states[1:])


def test_options_of_budget_and_hardware_find_their_place() -> None:
    config = configure("digits", mix="mixup:0.2", augment="crop", precision="64-true", size=8, width=0.5)
    assert (config.budget.mix, config.budget.augment, config.budget.weight_decay) == ("mixup:0.2", "crop", 5e-3)
    assert (config.hardware.precision, config.hardware.accelerator) == ("64-true", "cpu")
    assert (config.size, config.width) == (8, 0.5)
    with pytest.raises(ValueError, match="did you mean 'flip'"):
        configure("digits", augment="flipp")


def test_the_fingerprint_covers_augmentation_and_precision_and_not_where_it_runs() -> None:
    base = configure("digits").run_fingerprint("etf-la")
    for changes in ({"mix": "mixup:1"}, {"augment": "crop"}, {"precision": "bf16-mixed"}, {"width": 2.0}, {"size": 8}):
        assert configure("digits", **changes).run_fingerprint("etf-la") != base
    for changes in ({"workers": 2}, {"channels_last": True}, {"root": "/data"}, {"memory": "stream"}):
        assert configure("digits", **changes).run_fingerprint("etf-la") == base


def test_augmentation_and_mixing_are_at_work(tmp_path: Path) -> None:
    small = {**SMALL, "methods": ("linear-ce", "etf-la")}
    plain = run_study(configure("digits", **small), tmp_path / "plain")
    mixed = run_study(configure("digits", augment="crop", mix="mixup:1.0", **small), tmp_path / "mixed")
    assert all(a["final_loss"] < b["final_loss"] for a, b in zip(plain["runs"], mixed["runs"], strict=True))
    assert {r["subset_sha256"] for r in plain["runs"]} == {r["subset_sha256"] for r in mixed["runs"]}
