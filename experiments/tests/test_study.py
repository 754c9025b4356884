from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch

from equiangular.compare.tuning import FIRST_SEED, choose, validation_dataset
from equiangular.data import load_dataset
from equiangular.training.config.budget import Budget
from equiangular.training.methods import TrainingDivergedError
from equiangular.training.run import store as store_module
from equiangular.training.run.trial import TrialRun
from experiments.studies import jobs as jobs_module
from experiments.studies.cells import Cell
from experiments.studies.jobs import Job, run_job
from experiments.studies.registry import STUDIES, get_study, screening
from experiments.studies.run import run_factorial
from experiments.studies.study import SCALES, Study
from experiments.studies.summary import factor_effects, fixed_against_learnable
from experiments.studies.tuning import Settings, candidates, mean_score
from experiments.tests.synthetic import TINY

ETF = Cell("etf", "normalised", "scaled-ce", "none", "none")


def test_tuning_is_never_given_the_test_part(tmp_path, monkeypatch):
    """Every tuning job gives the same records when the test part is replaced by nonsense: it is not read."""
    digits = load_dataset("digits")
    poisoned = replace(digits, test_x=255 - digits.test_x, test_y=torch.zeros_like(digits.test_y))
    job = Job(
        TINY, 50.0, Cell("etf", "normalised", "scaled-ce", "none", "none"), Settings(0.1, 8.0), FIRST_SEED, tuning=True
    )
    final = replace(job, tuning=False, seed=0)
    scores: dict[Job, list] = {job: [], final: []}
    for name, data in (("true", digits), ("poisoned", poisoned)):
        monkeypatch.setattr(jobs_module, "_dataset", lambda name, size, data=data: data)
        jobs_module._data.cache_clear()
        for one, found in scores.items():
            found.append([record["balanced_accuracy"] for record in run_job(one, tmp_path / name)])
    jobs_module._data.cache_clear()
    assert scores[job][0] == scores[job][1]
    assert scores[final][0] != scores[final][1]  # the poison works: it does change what a reported run measures


def test_validation_data_is_a_part_of_the_pool_and_apart_from_what_is_trained_on():
    digits = load_dataset("digits")
    inner = validation_dataset(digits, fraction=0.2, seed=3)
    rows = lambda x: {bytes(image.numpy().tobytes()) for image in x}  # noqa: E731
    assert rows(inner.train_x) | rows(inner.test_x) == rows(digits.train_x)
    assert len(inner.train_y) + len(inner.test_y) == len(digits.train_y)
    assert np.bincount(inner.test_y).tolist() == [int(0.2 * n) for n in digits.train_counts]


def test_a_study_goes_on_from_what_is_done(tmp_path, monkeypatch):
    first = run_factorial(TINY, tmp_path)
    trained = sorted(p.name for p in (tmp_path / "trainings").iterdir())
    # Scales at one rate, one more rate at the chosen scale of each cell, two runs at each chosen setting.
    assert sum("-seed100" in name for name in trained) >= 2 * (len(SCALES["normalised"]) + 1)

    def refuse(trial, *arguments, **options):
        raise AssertionError(f"trained again: {trial}")

    monkeypatch.setattr(store_module, "run_trial", refuse)
    again = run_factorial(TINY, tmp_path)
    assert again["parts"] == first["parts"]
    part = first["parts"][0]
    assert set(part["table"]) == {
        f"{h}/normalised/scaled-ce/{c}/none" for h in ("learnable", "etf") for c in ("none", "pc")
    }
    assert part["contrast"]["fixed"].startswith("etf/")
    assert part["contrast"]["learnable"].startswith("learnable/")
    assert {s["learning_rate"] for s in part["settings"].values()} <= {0.05, 0.1}
    assert all(1 <= s["scale"] <= 128 for s in part["settings"].values())


@pytest.mark.slow
def test_two_processes_give_what_one_gives(tmp_path):
    study = TINY.changed(tuning_seeds=1, levels=(("head", ("etf",)), *TINY.levels[1:]))
    alone, both = (run_factorial(study, tmp_path / str(n), jobs=n) for n in (1, 2))
    for key in ("settings", "table"):
        for name, value in alone["parts"][0][key].items():
            other = both["parts"][0][key][name]
            assert value.get("balanced_accuracy") == other.get("balanced_accuracy")
            assert value.get("scale") == other.get("scale")


def test_a_diverged_training_is_a_record_without_a_score(tmp_path, monkeypatch):
    def diverge(trial, dataset, methods, *, watcher, **options):
        watcher.start(TrialRun(trial, dataset, method=methods[0]))
        raise TrainingDivergedError("the loss became nan")

    monkeypatch.setattr(store_module, "run_trial", diverge)
    job = Job(TINY, 50.0, ETF, Settings(0.1, 8.0), 0, tuning=False)
    records = run_job(job, tmp_path)
    assert [r["method"] for r in records] == ["etf/normalised/scaled-ce/none/none", "etf/normalised/scaled-ce/pc/none"]
    assert np.isnan(mean_score([records], "etf/normalised/scaled-ce/none/none"))


def test_candidates_and_choice():
    linear, etf = Cell("learnable", "free", "scaled-ce", "none", "none"), Cell("etf", "free", "scaled-ce", "la", "none")
    first = candidates(TINY, linear, "grid", {})
    assert {(c.scale, c.norm) for c in first} == set(product(SCALES["free"], ("batch", "none")))
    assert {c.learning_rate for c in first} == {0.1}
    scored = {Settings(0.1, scale): 50.0 for scale in SCALES["free"]}
    for best, beyond in ((0.5, []), (0.25, [0.125]), (2.0, [4.0])):
        found = candidates(TINY, etf, "beyond", scored | {Settings(0.1, best): 60.0})
        assert [c.scale for c in found] == beyond
    second = candidates(TINY, linear, "rate", scored | {Settings(0.1, 0.5, "none"): 60.0})
    assert second == [Settings(0.05, 0.5, "none")]
    assert TINY.changed(short_grid=True).scales(etf) == (0.5, 1.0)
    dot_regression = Cell("etf", "normalised", "dr", "none", "none")
    assert candidates(TINY, dot_regression, "grid", {}) == [Settings(0.1)]
    assert candidates(TINY, dot_regression, "beyond", {Settings(0.1): 50.0}) == []
    assert choose({Settings(0.1): float("nan"), Settings(0.3): 1.0}).learning_rate == 0.3
    with pytest.raises(ValueError, match="none of the 1 candidates"):
        choose({Settings(0.1): float("nan")})


def test_tuning_at_one_imbalance_serves_all_and_may_be_shorter(tmp_path):
    study = TINY.changed(
        levels=(("head", ("etf",)), *TINY.levels[1:]), imbalances=(50, 20), tuned_at=50, tuning_epochs=1,
        budget=TINY.budget.with_changes(epochs=2),
    )  # fmt: skip
    results = run_factorial(study, tmp_path)
    assert results["parts"][0]["settings"] == results["parts"][1]["settings"]
    names = [path.name for path in (tmp_path / "trainings").iterdir()]
    settings = len(SCALES["normalised"]) + len(study.learning_rates) - 1  # and one beyond the grid, twice at most
    assert settings <= sum("-seed1000-" in name for name in names) <= settings + 2
    tuning, run = (Job(study, 50, study.cells()[0], Settings(0.1, 8.0), 0, tuning=t).budget for t in (True, False))
    assert (tuning.epochs, run.epochs) == (1, 2)


def test_effects_are_paired_and_matched():
    cells = {
        c.name: c
        for c in (Cell(h, "normalised", "scaled-ce", k, "none") for h in ("learnable", "etf") for k in ("none", "la"))
    }
    scores = {
        "learnable/normalised/scaled-ce/none/none": np.array([50.0, 52.0]),
        "learnable/normalised/scaled-ce/la/none": np.array([60.0, 64.0]),
        "etf/normalised/scaled-ce/none/none": np.array([51.0, 53.0]),
        "etf/normalised/scaled-ce/la/none": np.array([63.0, 65.0]),
    }
    found = {(e["factor"], e["level"]): e for e in factor_effects(scores, cells)}
    assert found["head", "etf"]["mean_difference"] == pytest.approx((1 + 3 + 1 + 1) / 4)
    assert found["correction", "la"]["mean_difference"] == pytest.approx((10 + 12 + 12 + 12) / 4)
    assert found["head", "etf"]["pairs"] == 2
    contrast = fixed_against_learnable(
        scores, cells, dict.fromkeys(cells, 0.0) | {"etf/normalised/scaled-ce/none/none": 1.0}
    )
    assert (contrast["fixed"], contrast["learnable"]) == (
        "etf/normalised/scaled-ce/none/none",
        "learnable/normalised/scaled-ce/la/none",
    )
    assert contrast["mean_difference"] == -10


def test_cells_beside_the_levels():
    also = ("etf-grouped/free/scaled-ce/vs/none", "etf/normalised/scaled-ce/none/none")
    names = [cell.name for cell in replace(TINY, also=also).cells()]
    assert names == [*(cell.name for cell in TINY.cells()), also[0]]  # what is there already is not there twice
    with pytest.raises(ValueError, match="a cell has the form"):
        replace(TINY, also=("etf",))


def test_registered_studies_have_cells_and_names():
    assert all(name == study.name and study.cells() for name, study in STUDIES.items())
    assert all(Cell.parse(name) for name in screening("spread-frame"))
    with pytest.raises(ValueError, match="did you mean 'digits'"):
        get_study("digit")
    with pytest.raises(ValueError, match="mix must be one of"):
        Study("x", "digits", (1,), Budget(), levels=(("mix", ("mixpu",)),))
    with pytest.raises(ValueError, match="no cell left"):
        Study("x", "digits", (1,), Budget(), levels=(("head", ()),))
