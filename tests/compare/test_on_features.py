"""`equiangular compare` on an encoder's vectors: classifiers computed or fitted in one call beside tuned rivals."""

import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tests.compare.conftest import HELD, blobs

from equiangular._files import read_json
from equiangular.compare import Comparing, answer, compare, configure
from equiangular.compare import run as run_module
from equiangular.compare.config import FEATURE_METHODS, NAMED_METHODS
from equiangular.compare.trainings import folds_of
from equiangular.compare.tuning import (
    BEYOND,
    Settings,
    Space,
    beyond,
    next_settings,
    validation_dataset,
    without_validation,
)
from equiangular.data import load_dataset
from equiangular.records import Answer, Comparison, from_json, to_json
from equiangular.report import abilities_table, comparison_page, comparison_table
from equiangular.training import TrainConfig, train
from equiangular.training.engine.memory import PeakMemory

FEW = {"methods": ("class-means", "ridge", "logistic", "logistic-pc"), "seeds": 2}


def write(path: Path, test_x: np.ndarray | None = None, test_y: np.ndarray | None = None) -> Path:
    (x, y), (own_x, own_y) = blobs(HELD, 0), blobs((20,) * len(HELD), 1)
    own_x, own_y = (own_x if test_x is None else test_x), (own_y if test_y is None else test_y)
    np.savez(path, train_X=x, train_y=y, test_X=own_x, test_y=own_y)
    return path


@pytest.fixture
def vectors(tmp_path: Path) -> Path:
    return write(tmp_path / "v.npz")


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer random features, so that a test is quick."""
    from equiangular.compare.config import CompareConfig

    made = CompareConfig.trial_of

    def trial_of(self, method, seed, head, **changes):
        more = {"width": 60} if method.name == "random-features" else {}
        return made(self, method, seed, {**head, **more}, **changes)

    monkeypatch.setattr(CompareConfig, "trial_of", trial_of)


@pytest.mark.usefixtures("narrow")
def test_the_whole_of_it(vectors: Path, tmp_path: Path) -> None:
    comparing = Comparing(configure(str(vectors), seeds=2), tmp_path / "out")
    plan, seen = comparing.plan(), []
    text = "\n".join(plan.lines())
    assert "7 classifiers fitted in one call x 2 runs + 10 to tune and choose on validation data = 24 fits" in text
    assert "no cut: runs of a classifier that is fitted in one call differ by the samples held out" in text
    assert "epochs" not in text
    found = comparing.run(plan, lambda *told: seen.append(told[1:]))
    searches = {name: one.trainings for name, one in found.tuning.items()}
    assert set(searches) == {"logistic", "logistic-balanced"}
    assert all(5 <= trainings <= 5 + BEYOND for trainings in searches.values())
    fits = 14 + sum(searches.values())  # those of a search that went on are planned as they come
    assert [done for done, _ in seen] == list(range(fits))
    assert (seen[0][1], seen[-1][1]) == (24, fits)
    assert [row.method for row in found.rows] == list(FEATURE_METHODS)
    assert {row.method: row.kind for row in found.rows if row.kind != "computed"} == dict.fromkeys(
        ("logistic", "logistic-pc", "logistic-balanced"), "learned"
    )
    assert all(set(one.settings) == {"strength"} for one in found.tuning.values())
    kept = {row.method: row.numbers_kept for row in found.rows}
    trained_on = sum(found.runs[0].class_counts)
    assert kept["logistic"] == kept["logistic-pc"] == trained_on * 7
    assert kept["class-means"] == kept["ridge"] > 6 * 6 + 6 * 6 + 6
    assert found.row("ridge").abilities == ["one pass", "merge", "new classes", "remove"]
    assert found.row("kernel").abilities == ["merge", "new classes", "remove"]
    assert found.row("logistic").abilities == []
    assert found.row(found.answer.fixed).kind == "computed"
    assert found.row(found.answer.learned).kind == "learned"
    assert "computed" in found.answer.effect
    assert from_json(Comparison, read_json(tmp_path / "out" / "results.json")) == from_json(Comparison, to_json(found))
    table = comparison_table(found)
    assert not {"NC1", "NC2", "NC3"} & {str(column.header) for column in table.columns}
    page = comparison_page(found)
    assert "new classes" in page
    assert "Collapse during training" not in page
    rows = abilities_table(found)
    assert list(rows.columns[-1].cells) == ["yes"] * 5 + ["-"] * 3
    assert f"= {fits} fits, all done already" in "\n".join(
        Comparing(configure(str(vectors), seeds=2), tmp_path / "out").plan().lines()
    )
    again = compare(configure(str(vectors), seeds=2), tmp_path / "out")
    assert [replace(run, seconds=0.0) for run in again.runs] == [replace(run, seconds=0.0) for run in found.runs]


def test_what_is_tuned_and_chosen_does_not_know_the_test_part(tmp_path: Path) -> None:
    """Inverse regularisation, leave-one-out and the choice of heads are the same with nonsense as the test part."""
    nonsense = np.full((20 * len(HELD), 6), 7.0, np.float32), np.repeat(np.arange(len(HELD)), 20)[::-1].copy()
    found = {}
    for name, part in (("true", ()), ("nonsense", nonsense)):
        path = write(tmp_path / f"{name}.npz", *part)
        config = configure(str(path), **FEW, imbalance=20.0)
        found[name] = compare(config, tmp_path / f"{name}-out")
    true, wrong = found["true"], found["nonsense"]
    trainings = {name: one.trainings for name, one in true.tuning.items()}
    assert trainings.pop("logistic") >= 5
    assert trainings == {"class-means": 1, "ridge": 1}
    for name, one in true.tuning.items():
        assert replace(one, seconds=0.0) == replace(wrong.tuning[name], seconds=0.0)
    for first, second in zip(true.runs, wrong.runs, strict=True):
        assert (first.weights_sha256, first.validation) == (second.weights_sha256, second.validation)
    assert (true.answer.fixed, true.answer.learned) == (wrong.answer.fixed, wrong.answer.learned)
    means = [one.row("ridge").measures["balanced_accuracy"].mean for one in (true, wrong)]
    assert means[0] > means[1] + 20  # the poison works: it does change what is reported


def test_one_fit_one_set_of_scores(vectors: Path, tmp_path: Path) -> None:
    found = compare(configure(str(vectors), methods=("ridge", "logistic-pc"), seeds=2, tune="none"), tmp_path / "out")
    for record in found.runs:
        config = TrainConfig(
            data=str(vectors), method=record.method, seed=record.seed, subset_seed=record.subset_seed, accelerator="cpu"
        )
        results = train(config, tmp_path / f"{record.method}-{record.seed}")
        assert results["weights_sha256"] == record.weights_sha256
        for key in ("balanced_accuracy", "ece", "few"):
            assert results["test"][key] == pytest.approx(record.scores[key], nan_ok=True)


def test_beside_trained_heads(vectors: Path, tmp_path: Path) -> None:
    """A method asked for by name stands beside them on a network of its own, and either side takes part."""
    methods = ("ridge", "linear-la", "etf-la")
    config = configure(str(vectors), methods=methods, seeds=2, epochs=2, tune="none")
    comparing = Comparing(config, tmp_path / "out")
    plan = comparing.plan()
    text = "\n".join(plan.lines())
    assert "backbone mlp, 2 epochs" in text
    assert "2 trainings x 2 runs, not tuned, = 4, about" in text
    assert "1 classifier fitted in one call x 2 runs = 2 fits" in text
    found = comparing.run(plan)
    assert [row.kind for row in found.rows] == ["computed", "learned", "fixed"]
    assert {(run.method, run.backbone) for run in found.runs} == set(
        zip(methods, ("identity", "mlp", "mlp"), strict=True)
    )
    assert {found.answer.fixed, *(c.fixed for c in found.answer.secondary)} == {"ridge", "etf-la"}


def test_the_kernel_is_left_out_where_there_are_many_samples(
    vectors: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_module, "KERNEL_SAMPLES", 188)
    comparing = Comparing(configure(str(vectors)), tmp_path / "out")
    assert "kernel" not in comparing.config.methods
    text = "\n".join(comparing.plan().lines())
    assert "the kernel is left out with more than 188 samples to train on, here 189" in text
    monkeypatch.setattr(run_module, "KERNEL_SAMPLES", 189)
    assert "kernel" in Comparing(configure(str(vectors)), tmp_path / "out").config.methods
    monkeypatch.setattr(run_module, "KERNEL_SAMPLES", 1)
    asked = Comparing(configure(str(vectors), methods=("kernel", "logistic")), tmp_path / "out")
    assert asked.config.methods == ("kernel", "logistic")


def test_runs_on_one_subset_say_what_they_differ_by(vectors: Path, tmp_path: Path) -> None:
    config = configure(str(vectors), methods=("ridge", "logistic"), seeds=3, tune="none", subset_seed=4)
    found = compare(config, tmp_path / "out")
    assert any(note.startswith("one training subset: ") and "random draws" in note for note in found.data.notes)
    contrast = found.answer.contrast
    assert contrast.run_low == pytest.approx(contrast.run_high, abs=2e-6)  # nothing differs: runs say nothing
    assert contrast.low < contrast.difference - 0.5  # the test samples do


@pytest.mark.parametrize(
    ("kinds", "message"),
    [
        ({"ridge": "computed"}, r"no learned head .*--methods ridge,logistic"),
        ({"linear-la": "learned"}, r"no fixed head .*--methods etf-la,linear-la"),
    ],
)
def test_a_side_that_is_missing(kinds: dict, message: str) -> None:
    hits = {name: [[True, False]] * 2 for name in kinds}
    found = answer(hits, np.array([0, 1]), kinds=kinds, validation=dict.fromkeys(kinds, 50.0), data="d")
    assert found.verdict == "none"
    assert re.search(message, found.effect)


def test_computed_and_fixed_heads_are_one_side_and_the_word_is_that_of_the_chosen() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(2000) % 4
    kinds = {"ridge": "computed", "etf-la": "fixed", "logistic": "learned"}
    hits = {name: rng.random((3, 2000)) < p for name, p in (("ridge", 0.9), ("etf-la", 0.8), ("logistic", 0.6))}
    for best, word in (("ridge", "computed"), ("etf-la", "fixed")):
        validation = {"ridge": 70.0, "etf-la": 70.0, "logistic": 70.0} | {best: 71.0}
        found = answer(hits, labels, kinds=kinds, validation=validation, data="d")
        assert (found.fixed, found.verdict) == (best, "better")
        assert f"a {word} classifier is better" in found.effect
        assert f"the {word} head chosen on validation data" in found.statistics


def test_the_search_moves_inverse_regularisation_by_three_and_then_by_its_root() -> None:
    """Going there and back is not another setting: 0.0999 stood for 0.1 and took a training."""
    for axis in ("strength", "learning_rate"):
        scores, tried = {}, []
        for _ in range(6):
            settings = next_settings(Space(Settings(**{axis: 0.1}), scales=False), scores)
            value = getattr(settings, axis)
            scores[settings] = -abs(np.log(value / 0.025))
            tried.append(value)
        low, high = sorted(tried)[:-1], sorted(tried)[1:]
        assert all(b > 1.2 * a for a, b in zip(low, high, strict=True))
        assert min(abs(np.log(value / 0.025)) for value in tried) < np.log(3) / 2
        assert len(tried) == 6


@pytest.mark.usefixtures("narrow")
def test_names_of_classes_take_part_where_they_have_vectors(tmp_path: Path) -> None:
    """With one or two samples in a class, the class's centre as the vector of its name is worth a lot."""
    (x, y), (test_x, test_y) = blobs((6, 6, 2, 1, 1), 0, spread=2.0), blobs((40,) * 5, 1, spread=2.0)
    centres = np.random.default_rng(99).normal(size=(5, 6)) * 2  # those of blobs
    arrays = {"train_features": x, "train_labels": y, "test_features": test_x, "test_labels": test_y}
    tensors = {key: torch.from_numpy(value) for key, value in arrays.items()}
    save_file({**tensors, "names_features": torch.from_numpy(centres).float()}, tmp_path / "named.safetensors")
    save_file(tensors, tmp_path / "plain.safetensors")
    config = configure(str(tmp_path / "named.safetensors"), seeds=2, tune="none")
    found = compare(config, tmp_path / "out")
    assert [row.method for row in found.rows] == [*NAMED_METHODS, *FEATURE_METHODS]
    scores = {row.method: row.measures["balanced_accuracy"].mean for row in found.rows}
    for name in ("class-means", "ridge", "kernel"):
        assert scores[f"{name}-names"] > scores[name] + 5, scores
        assert found.row(f"{name}-names").kind == "computed"
    assert "vectors of class names" in found.data.digest
    learned = {"logistic-pc-names", "named-learned-la"}
    assert {
        row.method for row in found.rows if row.method.startswith(("logistic", "named")) and row.kind == "learned"
    } == {*learned, "logistic", "logistic-pc", "logistic-balanced"}
    assert found.row("named-la").kind == "mapped"
    assert scores["logistic-pc-names"] > scores["logistic-pc"] + 5
    assert min(scores["named-la"], scores["named-learned-la"]) > scores["logistic-pc"] + 5
    # Both of the pair have the names, and so has what stands beside it.
    assert found.answer.learned in learned
    assert all(name.endswith("-names") for name in (found.answer.fixed, *(c.fixed for c in found.answer.secondary)))
    assert ", with the class names given to both," in found.answer.effect
    with pytest.raises(ValueError, match=r"'ridge-names' takes the vectors of the class names"):
        Comparing(configure(str(tmp_path / "plain.safetensors"), methods=("ridge-names", "logistic")), tmp_path / "no")


def test_one_class_among_the_samples_that_choose_is_no_choice(tmp_path: Path) -> None:
    (x, y), (own_x, own_y) = blobs((40, 2, 1, 1), 0), blobs((20, 20, 20, 20), 1)
    np.savez(tmp_path / "r.npz", train_X=x, train_y=y, test_X=own_x, test_y=own_y)
    found = compare(configure(str(tmp_path / "r.npz"), **FEW, tune="none"), tmp_path / "out")
    assert found.answer.verdict == "none"
    assert "fewer than two classes, so no choice can be made" in found.answer.effect
    assert "--methods ridge,logistic" in found.answer.effect


def test_a_table_in_the_place_of_vectors_is_standardised_by_column(vectors: Path, tmp_path: Path) -> None:
    """One wide column hid the others from logistic regression, and a computed classifier was told to be better."""
    (x, y), (own_x, own_y) = blobs(HELD, 0), blobs((20,) * len(HELD), 1)
    scores = {}
    for factor, scaling in ((1.0, "columns"), (1000.0, "auto"), (1000.0, "shared")):
        x[:, 0], own_x[:, 0] = factor * x[:, 0], factor * own_x[:, 0]
        path = tmp_path / f"t{factor:g}{scaling}.npz"
        np.savez(path, train_X=x, train_y=y, test_X=own_x, test_y=own_y, scaling=scaling)
        comparing = Comparing(configure(str(path), **FEW, tune="none"), tmp_path / path.stem)
        plan = comparing.plan()
        told = [note for note in plan.data.notes if "each is standardised by itself" in note]
        assert bool(told) == (scaling != "shared")
        assert all("add scaling='shared' to the file" in note for note in told)
        scores[factor, scaling] = comparing.run(plan).row("logistic").measures["balanced_accuracy"].values
        x[:, 0], own_x[:, 0] = x[:, 0] / factor, own_x[:, 0] / factor
    assert scores[1000.0, "auto"] == pytest.approx(scores[1.0, "columns"], abs=0.9)  # a test sample, for rounding
    assert max(scores[1000.0, "shared"]) < min(scores[1000.0, "auto"])


def test_copies_in_the_test_part_are_told(tmp_path: Path) -> None:
    (x, y), (own_x, own_y) = blobs(HELD, 0), blobs((20,) * len(HELD), 1)
    own_x[:3], own_y[:3] = x[:3], (0, 0, 1)
    np.savez(tmp_path / "c.npz", train_X=x, train_y=y, test_X=own_x, test_y=own_y)
    notes = Comparing(configure(str(tmp_path / "c.npz"), **FEW), tmp_path / "out").plan().data.notes
    told = "3 of 120 test samples are in the training data too, number by number, 1 of them with another label: "
    assert any(note.startswith(told) for note in notes)


def test_the_search_goes_on_beyond_its_end(tmp_path: Path) -> None:
    """Logistic regression that is regularised too much is no rival: its search had five fits, wherever its best lay."""
    space, scores = Space(Settings(strength=0.1), scales=False), {}
    best = 300.0
    while len(scores) < 5:
        settings = next_settings(space, scores)
        scores[settings] = -abs(np.log(settings.strength / best))
    while (settings := beyond(space, scores)) is not None:
        scores[settings] = -abs(np.log(settings.strength / best))
    found = max(scores, key=scores.__getitem__).strength
    assert best / 9 < found < best * 9
    assert beyond(Space(Settings(0.1, 1.0)), dict.fromkeys((Settings(0.1, 1.0), Settings(0.3, 1.0)), 1.0)) is None
    (x, y), (own_x, own_y) = blobs((30,) * 4, 0), blobs((20,) * 4, 1)
    x, own_x = (
        np.hstack([part / 300, 5 * np.random.default_rng(3).normal(size=(len(part), 1))]) for part in (x, own_x)
    )
    np.savez(tmp_path / "s.npz", train_X=x, train_y=y, test_X=own_x, test_y=own_y, scaling="shared")
    comparing = Comparing(configure(str(tmp_path / "s.npz"), methods=("ridge", "logistic"), seeds=2), tmp_path / "out")
    plan, seen = comparing.plan(), []
    found = comparing.run(plan, lambda *told: seen.append(told[1:]))
    assert found.tuning["logistic"].trainings > 5
    assert found.tuning["logistic"].settings["strength"] > 2.7
    assert seen[-1][0] == seen[-1][1] - 1  # what was added is planned too
    again = Comparing(comparing.config, tmp_path / "out").plan()
    assert again.fits_done == again.trainings == seen[-1][1]
    assert again.lines()[-1].endswith("all done already")


def test_names_are_given_to_both_heads_of_an_answer_or_to_neither() -> None:
    """A computed classifier was told to be better for the names that its rival was not given."""
    rng = np.random.default_rng(0)
    labels = np.arange(2000) % 4
    rates = {"kernel-names": 0.9, "kernel": 0.7, "logistic-pc": 0.7, "logistic-pc-names": 0.9, "ridge": 0.6}
    kinds = {name: "learned" if name.startswith("logistic") else "computed" for name in rates}
    named = {name for name in rates if name.endswith("-names")}

    def told(validation: dict[str, float]) -> Answer:
        hits = {name: rng.random((3, 2000)) < rates[name] for name in validation}
        chosen = {name: kinds[name] for name in validation}
        return answer(hits, labels, kinds=chosen, validation=validation, data="d", named=named)

    found = told({"kernel-names": 90.0, "kernel": 70.0, "ridge": 60.0, "logistic-pc": 89.0, "logistic-pc-names": 88.0})
    assert (found.fixed, found.learned, found.secondary) == ("kernel-names", "logistic-pc-names", [])
    assert "On d, with the class names given to both, " in found.effect
    found = told({"kernel-names": 70.0, "kernel": 72.0, "ridge": 60.0, "logistic-pc": 73.0, "logistic-pc-names": 70.0})
    assert (found.fixed, found.learned, [c.fixed for c in found.secondary]) == ("kernel", "logistic-pc", ["ridge"])
    assert "names" not in found.effect
    found = told({"kernel-names": 90.0, "logistic-pc": 70.0})
    assert found.verdict == "better"
    assert found.effect.endswith(
        "The class names are given to the computed one alone, so the difference may be theirs."
    )
    found = told({"kernel-names": 90.0, "kernel": 70.0, "logistic-pc": 70.0})
    assert (found.fixed, found.learned) == ("kernel", "logistic-pc")


def test_quicker_ways_are_named_where_it_takes_long(vectors: Path, tmp_path: Path) -> None:
    plan = Comparing(configure(str(vectors), methods=("ridge", "logistic"), seeds=2, tune="none"), tmp_path).plan()
    for kind, seconds, told in (("image", 301.0, True), ("image", 299.0, False), ("vectors", 301.0, False)):
        long = replace(plan, data=replace(plan.data, kind=kind), heads=1, seconds=seconds)
        assert any("quicker: --encoder auto" in line for line in long.lines()) == told
    assert "--size" in "".join(replace(plan, data=replace(plan.data, kind="image"), heads=1, seconds=999.0).lines())
    assert 0 < plan.fits_seconds < 60
    assert re.search(r"2 classifiers fitted in one call x 2 runs = 4 fits, about \d+ s", plan.lines()[-1])


def test_memory_is_measured_where_it_can_be(vectors: Path, tmp_path: Path) -> None:
    config = configure(str(vectors), methods=("ridge", "logistic"), seeds=2, tune="none")
    found = compare(config, tmp_path)
    (_, memory, *_), text = abilities_table(found).columns[1:], comparison_page(found)
    for row, cell in zip(found.rows, memory.cells, strict=True):
        assert cell == ("-" if row.peak_memory != row.peak_memory else f"{row.peak_memory / 1e6:.1f}")
    assert "resident memory" in text
    for of_training in ("last epoch", "same budget", "learning_rate", "epochs "):
        assert of_training not in text
    if sys.platform == "linux":
        with PeakMemory() as peak:
            _ = torch.ones(8_000_000)  # 32 MB, which neither tracemalloc nor a profiler of NumPy sees
        assert 30e6 < peak.bytes < 64e6 or peak.bytes != peak.bytes  # a container may forbid it


@pytest.mark.parametrize("folds", [2, 3, 5])
def test_folds_hold_everything_out_once_but_the_only_sample_of_a_class(tmp_path: Path, folds: int) -> None:
    counts = (20, 7, 3, 2, 1)
    labels = np.repeat(np.arange(5), counts)
    x = np.arange(len(labels), dtype=np.float32)[:, None]
    np.savez(tmp_path / "t.npz", train_x=x, train_y=labels, test_x=x, test_y=labels)
    dataset = load_dataset(tmp_path / "t.npz")
    assert without_validation(dataset, folds=folds) == [4]
    inner = [validation_dataset(dataset, seed=fold, folds=folds) for fold in range(folds)]
    held = torch.cat([part.test_x[:, 0] for part in inner])
    assert sorted(held.tolist()) == list(range(len(labels) - 1))
    for part in inner:
        assert part.train_counts.min() >= 1
        assert len(part.train_y) + len(part.test_y) == len(labels)
        assert abs(len(part.test_y) - (len(labels) - 1) / folds) <= 1


def test_fits_of_a_tail_are_tuned_and_chosen_by_all_of_its_classes(tmp_path: Path) -> None:
    """A share of every class has nothing of the rarest: strength and head would be chosen for the others alone."""
    (x, y), (own_x, own_y) = blobs((30, 12, 6, 3, 2), 0), blobs((20,) * 5, 1)
    np.savez(tmp_path / "v.npz", train_X=x, train_y=y, test_X=own_x, test_y=own_y)
    comparing = Comparing(configure(str(tmp_path / "v.npz"), **FEW), tmp_path / "out")
    plan = comparing.plan()
    assert plan.blind == []
    assert not any("no part in tuning" in note for note in plan.data.notes)
    # Ridge and class means are fitted once for a score to choose heads by, logistic regression five times and more.
    assert "+ 35 to tune and choose on validation data" in "\n".join(plan.lines())
    told: list[str] = []
    result = comparing.run(plan, lambda what, done, planned: told.append(what))
    assert "nearest class mean, tuning 1 of 1" in told
    assert {name: one.trainings % 5 for name, one in result.tuning.items()} == dict.fromkeys(result.tuning, 0)
    assert {row.method: row.validation for row in result.rows} == {
        name: value for one in result.tuning.values() for name, value in one.validation.items()
    }
    mixed = configure(str(tmp_path / "v.npz"), methods=("logistic", "linear-ce"))
    assert folds_of(mixed, comparing.dataset) == 0  # trainings are dear, and all are judged by the same samples
