"""The main job: on digits at a small budget, and on a table of one's own."""

import errno
import json
import math
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests import command_line
from tests.compare.conftest import COUNTS

from equiangular._files import read_json
from equiangular.compare import Comparing, compare, configure
from equiangular.compare.config import DEFAULT_METHODS, PRESETS, fit_to, without_etf
from equiangular.compare.summary import rows_of
from equiangular.compare.trainings import width_of
from equiangular.compare.tuning import FIRST_SEED
from equiangular.data import from_arrays, load_dataset
from equiangular.measures import paired_comparison
from equiangular.posthoc.footing import crossed_logits
from equiangular.records import Comparison, from_json, to_json, unpack
from equiangular.training import METHODS, TrainConfig, build_task, corrected_logits, get_method, train
from equiangular.training.run.outcome import accuracy_among
from equiangular.training.run.trial import run_trial

SMALL = {"imbalance": 20, "seeds": 2, "epochs": 2, "methods": ("linear-ce", "etf-dr", "etf-dr-pc")}
QUICK = {"seeds": 2, "epochs": 3, "methods": ("linear-la", "etf-la")}
RESULTS = Path(__file__).parents[2] / "experiments" / "results"


def without_times(results: Comparison) -> list:
    return [replace(run, seconds=0.0) for run in results.runs]


def test_results_are_written_and_a_second_run_reads_them(tmp_path: Path) -> None:
    config, seen = configure("digits", **SMALL), []
    results = compare(config, tmp_path, progress=lambda *told: seen.append(told))
    assert from_json(Comparison, read_json(tmp_path / "results.json")) == from_json(Comparison, to_json(results))
    assert [row.method for row in results.rows] == list(SMALL["methods"])
    heads = ("learnable linear + CE", "ETF + DR")
    assert seen == [(f"{head}, run {s + 1} of 2", 2 * s + i, 4) for s in (0, 1) for i, head in enumerate(heads)]
    for run in results.runs:
        assert 0 <= run.scores["balanced_accuracy"] <= 100
        assert run.head_parameters == (128 if run.method.startswith("etf") else 778)  # BatchNorm; 640 + 10 more
        hits = np.array(unpack(run.correct, 500))
        assert 100 * hits.mean() == pytest.approx(run.scores["accuracy"])
    files = {p: p.stat().st_mtime_ns for p in (tmp_path / "trials").iterdir()}
    again = compare(config, tmp_path)
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "trials").iterdir()} == files
    assert to_json(again)["runs"] == to_json(results)["runs"]


def test_a_finished_comparison_is_read_where_nothing_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    few = ("--methods", "linear-ce,etf-ce", "--epochs", "1", "--seeds", "2", "--tune", "none", "-q", "-o", tmp_path)
    code, out, _ = command_line.run(capsys, "compare", "iris", *few)
    assert code == 0
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with monkeypatch.context() as patch:
        for name in ("tempfile.mkstemp", "tempfile.TemporaryFile", "os.open", "os.replace"):
            patch.setattr(name, refuse)
        code, again, _ = command_line.run(capsys, "compare", "iris", *few)
        assert code == 0
        assert "had finished already, and nothing can be written" in again
        assert again.split("\nthis comparison")[0] == out.split("\nwrote")[0]
        code, _, error = command_line.run(capsys, "compare", "iris", *few, "--margin", "3")
        assert code == 2
        assert "cannot write to the output folder" in error
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_an_interrupted_comparison_ends_with_the_same_result(tmp_path: Path) -> None:
    config = configure("digits", **SMALL)
    whole = compare(config, tmp_path / "whole")

    def stop(what: str, done: int, planned: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compare(config, tmp_path / "cut", progress=stop)
    assert not (tmp_path / "cut" / "results.json").exists()
    resumed = compare(config, tmp_path / "cut")
    assert without_times(resumed) == without_times(whole)
    assert resumed.answer == whole.answer


def test_a_damaged_trial_is_told_and_made_anew(tmp_path: Path) -> None:
    """One file stopped the whole comparison."""
    config = configure("digits", **SMALL)
    whole = compare(config, tmp_path)
    (path,) = (tmp_path / "trials").glob("etf-dr-seed1-*.json")
    for content in ("{", json.dumps({"records": [{"format": 2}]}), json.dumps({"runs": []}), "[]"):
        path.write_text(content)
        told = f"{path} is damaged, so its training is made anew: "
        comparing = Comparing(config, tmp_path)
        plan = comparing.plan()
        assert any(note.startswith(told) for note in plan.data.notes), content
        again = comparing.run(plan)
        assert any(note.startswith(told) for note in again.notes)
        assert without_times(again) == without_times(whole)
        assert not any("damaged" in note for note in compare(config, tmp_path).notes)
    path.write_text(json.dumps({"records": []}))
    assert len(compare(config, tmp_path).runs) == 6


def test_a_stored_trial_with_altered_figures_is_not_believed(tmp_path: Path) -> None:
    config = configure("iris", **QUICK, tune="none")
    whole = compare(config, tmp_path)
    path = sorted((tmp_path / "trials").iterdir())[0]
    record = json.loads(path.read_text())
    record["records"][0]["scores"]["accuracy"] = 100.0
    path.write_text(json.dumps(record))
    again = compare(config, tmp_path)
    told = f"{path} is damaged, so its training is made anew: "
    assert any(note.startswith(told) and "another hash" in note for note in again.notes)
    assert without_times(again) == without_times(whole)


def test_two_comparisons_do_not_write_into_one_folder(tmp_path: Path) -> None:
    def second(*_: object) -> None:
        with pytest.raises(ValueError, match="is being written by another run of equiangular"):
            compare(configure("iris", **QUICK, tune="none"), tmp_path)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compare(configure("iris", **QUICK, tune="none"), tmp_path, progress=second)


def test_a_folder_has_one_data_set(table: Path, tmp_path: Path) -> None:
    """The results of the first were overwritten by those of the second."""
    compare(configure("iris", **QUICK, tune="none"), tmp_path / "out")
    with pytest.raises(ValueError, match=r"has a comparison on 'iris', and this one is on 'blobs'.*another folder"):
        Comparing(configure(str(table), **QUICK), tmp_path / "out")


def test_the_subset_seed_is_apart_from_the_training_seed(tmp_path: Path) -> None:
    hashes = {}
    for name, subset in (("free", None), ("fixed", 7)):
        found = compare(configure("digits", **SMALL, subset_seed=subset), tmp_path / name)
        hashes[name] = [run.subset_sha256 for run in found.runs if run.method == "linear-ce"]
    assert len(set(hashes["free"])) == 2
    assert len(set(hashes["fixed"])) == 1


def test_every_method_starts_from_the_same_backbone() -> None:
    tasks = [build_task(get_method(m), "digits", (1, 8, 8), 10, seed=5) for m in ("linear-ce", "etf-dr", "cosine-la")]
    states = [task.backbone.state_dict() for task in tasks]
    for key, value in states[0].items():
        assert all(torch.equal(value, s[key]) for s in states[1:])


def test_options_find_their_place() -> None:
    config = configure("digits", mix="mixup:0.2", augment="crop", precision="64-true", size=8, width=0.5, workers=2)
    trial = config.trial
    assert (trial.mix, trial.augment, trial.weight_decay) == ("mixup:0.2", "crop", 5e-3)
    assert (trial.precision, config.hardware.accelerator, config.hardware.workers) == ("64-true", "cpu", 2)
    assert (trial.size, trial.width) == (8, 0.5)
    with pytest.raises(ValueError, match="did you mean 'flip'"):
        configure("digits", augment="flipp")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"seeds": 1}, "seeds must be an integer >= 2"),
        ({"validation": 0.0}, "strictly between 0 and 1"),
        ({"methods": ("etf-lo",)}, "did you mean 'etf-la'"),
        ({"imbalance": 0.5}, "imbalance"),
        ({"tune": "slow"}, "tune must be one of"),
        ({"margin": 0.0}, "margin must be"),
        ({"subset_seed": -1}, "subset_seed must be an integer >= 0"),
        ({"epoch": 3}, "an option of a comparison must be one of 'seeds', .* got 'epoch'; did you mean 'epochs'?"),
        ({"seed": 3}, "did you mean 'seeds'"),
        ({"head": {}}, "an option of a comparison must be one of"),
    ],
)
def test_bad_configurations(fields: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        configure("digits", **fields)


# What a new user met, each once wrong.


def test_a_path_is_used_as_it_is(table: Path, tmp_path: Path) -> None:
    """It was cut to imbalance 100, by default and without a word."""
    config = configure(str(table), **QUICK, tune="none")
    comparing = Comparing(config, tmp_path / "out")
    plan = comparing.plan()
    assert plan.config.trial.imbalance == 1
    used = sum(n for part, n in plan.data.samples.items() if "test" not in part)
    assert used == sum(COUNTS)
    held = [c // 5 for c in COUNTS]
    assert plan.data.counts == [c - h for c, h in zip(COUNTS, held, strict=True)]
    assert comparing.run(plan).runs[0].class_counts == plan.data.counts
    cut = Comparing(configure(str(table), **QUICK, imbalance=100.0), tmp_path / "cut").plan()
    assert any(note.startswith("cut to imbalance 100: ") and "233" in note for note in cut.data.notes)


def test_the_plan_says_what_will_be_done(table: Path, tmp_path: Path) -> None:
    plan = Comparing(configure(str(table), seeds=3, epochs=2), tmp_path / "out").plan()
    text = "\n".join(plan.lines())
    assert "6 classes, the largest is '0' with 96 training samples, the smallest '5' with 2" in text
    assert "186 to train on, 47 held out" not in text  # 24 + 12 + 6 + 3 + 1 are held out
    assert "187 to train on, 46 held out of the training part to calibrate on, 120 to test on" in text
    held = (
        "too few samples to hold one out, no part in calibration; heads are chosen by the other classes and among them"
    )
    assert f"{held}: '5' (2)" in text
    assert "backbone mlp, 2 epochs, batches of 64, on cpu" in text
    assert "8 trainings x (8 to tune + 3 runs) = 88, about" in text
    assert plan.seconds > 0


def test_scores_of_a_preset_choose_in_its_own_experiment_only() -> None:
    """Other epochs, another cut: the preset's scores are those of another experiment."""
    scores = PRESETS["digits"].validation
    assert configure("digits", seeds=3, margin=2.0).validation == scores
    assert configure("digits", epochs=40, imbalance=100.0).validation == scores
    for changes in ({"epochs": 1}, {"imbalance": 1.0}, {"backbone": "mlp"}, {"learning_rate": 0.3}):
        assert configure("digits", **changes).validation == {}, changes


def test_old_and_repeated_names_are_one_row(table: Path, tmp_path: Path) -> None:
    with pytest.warns(DeprecationWarning, match="recommended"):
        config = configure(str(table), methods=("best", "linear-la", "linear-la"), seeds=2, epochs=1, tune="none")
    assert [row.method for row in compare(config, tmp_path).rows] == ["recommended", "linear-la"]


def test_folders_of_runs_and_of_comparisons_are_apart(tmp_path: Path) -> None:
    train(TrainConfig(data="iris", method="linear-la", epochs=1), tmp_path / "run")
    before = (tmp_path / "run" / "results.json").read_bytes()
    config = configure("iris", methods=("linear-la", "etf-la"), seeds=2, epochs=1, tune="none")
    with pytest.raises(ValueError, match=r"a run of equiangular train.* another folder"):
        compare(config, tmp_path / "run")
    assert (tmp_path / "run" / "results.json").read_bytes() == before
    compare(config, tmp_path / "comparison")
    with pytest.raises(ValueError, match=r"the results of a comparison.* another folder"):
        train(TrainConfig(data="iris", method="linear-la", epochs=1), tmp_path / "comparison")


@pytest.mark.parametrize("old", ["[]", "null", '{"data": null}', '{"data": "x"}', '{"data": {"digest": 3}}'])
def test_results_of_another_shape_are_no_obstacle(old: str, tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text(old)
    config = configure("iris", methods=("linear-la", "etf-la"), seeds=2, epochs=1, tune="none")
    assert not [note for note in Comparing(config, tmp_path).plan().data.notes if "changed since" in note]


def test_heads_that_diverge_do_not_end_the_comparison(table: Path, tmp_path: Path) -> None:
    methods = ("cosine-la", "linear-la", "etf-la")
    config = configure(str(table), methods=methods, learning_rate=1e8, epochs=2, seeds=2, tune="quick")
    found = compare(config, tmp_path)
    assert [row.method for row in found.rows] == list(methods)
    assert "2 of 2 runs diverged: linear-la diverged" in found.row("linear-la").note
    assert found.answer.verdict == "none"
    assert [row.kind for row in found.rows] == ["learned", "learned", "fixed"]  # all were "learned"


def test_a_comparison_gone_on_with_says_what_is_done(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All trainings were announced, and those of another process were no part of the time that tuning took."""
    config = configure(str(table), **QUICK, tune="quick")

    def stop(what: str, done: int, planned: int) -> None:
        if done == 13:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compare(config, tmp_path, progress=stop)
    comparing = Comparing(config, tmp_path)
    plan = comparing.plan()
    assert (plan.done, plan.trainings) == (13, 20)
    assert ") = 20, 13 done already, about " in plan.lines()[-1]
    found = comparing.run(plan)
    trained = {name: [] for name in found.tuning}
    for path in (tmp_path / "trials").iterdir():
        (record,) = read_json(path)["records"]
        if record["seed"] >= FIRST_SEED:
            trained[record["method"]].append(record["seconds"])
    assert {name: one.seconds for name, one in found.tuning.items()} == {
        name: pytest.approx(sum(seconds)) for name, seconds in trained.items()
    }
    monkeypatch.setattr("equiangular.compare.run.estimate_seconds", None)  # nothing is timed, nothing is trained
    again = Comparing(config, tmp_path).plan()
    assert (again.done, again.seconds) == (20, 0.0)
    assert again.lines()[-1].endswith(") = 20, all done already")


def test_changed_data_are_noticed_before_there_are_results(table: Path, tmp_path: Path) -> None:
    config = configure(str(table), **QUICK, tune="none")

    def stop(what: str, done: int, planned: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compare(config, tmp_path, progress=stop)
    assert not any("changed since" in note for note in Comparing(config, tmp_path).plan().data.notes)
    data = dict(np.load(table))
    np.savez(table, **{**data, "train_x": data["train_x"] + 1})
    plan = Comparing(config, tmp_path).plan()
    assert any(note.startswith("training inputs changed since the trainings in") for note in plan.data.notes)
    assert plan.done == 0


def test_heads_are_chosen_among_the_classes_held_out(table: Path, tmp_path: Path) -> None:
    """What a head predicts of a class that has no held-out sample has no part in the choice; the answer says so."""
    config = configure(str(table), seeds=2, epochs=3, tune="none", methods=("linear-ce", "linear-la", "etf-la"))
    comparing = Comparing(config, tmp_path)
    plan = comparing.plan()
    assert list(plan.blind) == [5]
    found = comparing.run(plan)
    assert "both heads chosen" not in found.answer.statistics
    assert "the learned head chosen on validation data, which has no sample of 1 class" in found.answer.statistics
    trial = comparing.config.trial_of(get_method("linear-la"), 1, {})
    run, (outcome,) = run_trial(trial, comparing.dataset)
    split = run.split
    held = outcome.task.eval()(split.standardise(split.holdout_x))["logits"].detach()
    right = held[:, :5].argmax(1) == split.holdout_y
    expected = 100 * np.mean([right[split.holdout_y == k].double().mean() for k in range(5)])
    (record,) = (r for r in found.runs if r.method == "linear-la" and r.seed == 1)
    assert record.validation == pytest.approx(expected)


def test_a_correction_is_not_scored_on_what_it_was_fitted_on(table: Path) -> None:
    trial = configure(str(table), epochs=20).trial
    methods = [get_method(name) for name in ("etf-dr", "etf-dr-pc")]
    run, (plain, corrected) = run_trial(replace(trial, method="etf-dr"), load_dataset(table), methods)
    split, counts = run.split, run.split.class_counts
    held = plain.task.eval()(split.standardise(split.holdout_x))["logits"].detach()
    assert "declined" not in corrected.info.correction
    assert plain.validation == accuracy_among(held, split.holdout_y)
    assert corrected.validation == accuracy_among(crossed_logits(held, split.holdout_y, counts), split.holdout_y)
    fitted = corrected_logits(held, corrected.info)
    assert not torch.allclose(fitted, crossed_logits(held, split.holdout_y, counts))


def test_a_correction_that_worsens_the_held_out_part_is_left_out_and_the_row_says_so(
    table: Path, tmp_path: Path
) -> None:
    """It passed as long as half of the balanced accuracy was left: here it goes from 68.3 to 55.0 %."""
    trial = configure(str(table), epochs=3).trial
    methods = [get_method(name) for name in ("etf-dr", "etf-dr-pc")]
    _, (plain, corrected) = run_trial(replace(trial, method="etf-dr"), load_dataset(table), methods)
    assert "lowers balanced accuracy from 68.3 to 55.0 %, more than chance would" in corrected.note
    assert torch.equal(plain.correct, corrected.correct)
    assert plain.validation == corrected.validation


def test_a_note_of_some_runs_says_of_how_many(table: Path, tmp_path: Path) -> None:
    """Each run had a note of its own, with its own numbers, and none said which runs it was about."""
    config = configure(str(table), methods=("etf-ce-pc", "linear-la"), seeds=2, epochs=1, tune="none")
    runs = compare(config, tmp_path).runs
    two = [run for run in runs if run.method == "etf-ce-pc"]
    some = "in {} of 2 runs, at first: {}".format
    for notes, text in ((("a", "a"), "a"), (("a", "b"), some(2, "a")), (("", "b"), some(1, "b"))):
        noted = [replace(run, note=note) for run, note in zip(two, notes, strict=True)]
        assert rows_of(noted, ("etf-ce-pc",), {})[0].note == text


def test_classes_without_test_samples_are_named(tmp_path: Path) -> None:
    """Three classes are tested, with 10, 4 and 2 samples: one of the two is worth 100 / 3 / 2 points."""
    rng = np.random.default_rng(0)
    y, test = np.repeat(range(4), 20), np.repeat([0, 1, 2], [10, 4, 2])
    x, test_x = (rng.normal(size=(len(part), 3)).astype(np.float32) for part in (y, test))
    np.savez(tmp_path / "some.npz", train_x=x, train_y=y, test_x=test_x, test_y=test)
    plan = Comparing(configure(str(tmp_path / "some.npz"), seeds=2, epochs=1), tmp_path / "out").plan()
    text = "\n".join(plan.data.notes)
    assert "no test samples, not tested at all: '3'; balanced accuracy is over the other 3 classes" in text
    np.savez(tmp_path / "one.npz", train_x=x, train_y=y, test_x=test_x[:10], test_y=test[:10])
    plan = Comparing(configure(str(tmp_path / "one.npz"), seeds=2, epochs=1), tmp_path / "one").plan()
    assert "balanced accuracy is over the other class" in "\n".join(plan.data.notes)
    assert "worth up to 16.7 points of balanced accuracy: '1' (4), '2' (2)" in text


def test_classes_too_small_for_a_test_part(tmp_path: Path) -> None:
    y = np.repeat(range(5), 3)
    np.savez(tmp_path / "three.npz", x=np.zeros((15, 2), np.float32), y=y)
    with pytest.raises(ValueError, match="no test part, and none can be taken: the largest class has 3 samples"):
        Comparing(configure(str(tmp_path / "three.npz")), tmp_path / "out")


def test_fixed_is_what_the_built_head_is(tmp_path: Path) -> None:
    """At K = 26 and d = 64 the recommended head learns a map of 1,753 numbers, more than a linear classifier has."""
    counts = (6,) * 26
    rng = np.random.default_rng(0)
    x = rng.normal(size=(sum(counts), 5)).astype(np.float32)
    y = np.repeat(np.arange(26), counts)
    np.savez(tmp_path / "letters.npz", train_x=x, train_y=y, test_x=x[::2], test_y=y[::2])
    methods = ("recommended", "linear-la", "etf-la")
    config = configure(str(tmp_path / "letters.npz"), methods=methods, seeds=2, epochs=1, tune="none")
    found = compare(config, tmp_path / "out")
    kinds = {row.method: row.kind for row in found.rows}
    assert kinds == {"recommended": "mapped", "linear-la": "learned", "etf-la": "fixed"}
    assert found.row("recommended").measures["head_parameters"].mean == 1753
    assert found.row("linear-la").measures["head_parameters"].mean == 1690
    assert (found.answer.fixed, found.answer.learned) == ("etf-la", "linear-la")
    only = compare(replace(config, methods=("recommended", "linear-la")), tmp_path / "out")
    assert only.answer.verdict == "none"
    assert "no fixed head" in only.answer.sentence


def test_more_classes_than_an_etf_has_room_for(tmp_path: Path) -> None:
    """The default methods take the frame that fits; a method asked for by name is refused with what to do."""
    counts = (3,) * 9
    x, y = np.random.default_rng(0).normal(size=(27, 4)).astype(np.float32), np.repeat(np.arange(9), counts)
    np.savez(tmp_path / "many.npz", train_x=x, train_y=y, test_x=x, test_y=y)
    config = configure(str(tmp_path / "many.npz"), width=0.1, seeds=2, tune="none", validation=0.34)
    comparing = Comparing(config, tmp_path / "out")
    assert width_of(comparing.config, comparing.dataset, get_method("linear-la")) < 8
    assert comparing.config.methods == without_etf(DEFAULT_METHODS)
    assert not any(name.startswith("etf") for name in comparing.config.methods)
    with pytest.raises(ValueError, match="frame-la"):
        Comparing(replace(config, methods=("etf-la", "linear-la")), tmp_path / "out")


def test_heads_are_tuned_alike_and_the_test_part_takes_no_part_in_it(table: Path, tmp_path: Path) -> None:
    """Everything tuned is the same when the test part is replaced by nonsense."""
    config = configure(str(table), seeds=2, epochs=2)
    found = {}
    for name in ("true", "nonsense"):
        if name == "nonsense":
            data = dict(np.load(table))
            data["test_x"] = np.full_like(data["test_x"], 7.0)
            data["test_y"] = data["test_y"][::-1].copy()
            np.savez(table, **data)
        found[name] = compare(config, tmp_path / name)
    first, second = (one.tuning for one in found.values())
    assert set(first) == {METHODS[name].training_name for name in DEFAULT_METHODS}
    assert {one.trainings for one in first.values()} == {8}
    for name, one in first.items():
        assert one.settings == second[name].settings
        assert one.validation == second[name].validation
        assert one.seconds > 0
    rates = {one.settings["learning_rate"] for one in first.values()}
    assert len(rates | {json.dumps(one.settings, sort_keys=True) for one in first.values()}) > 2
    chosen = [found[name].answer for name in found]
    assert (chosen[0].fixed, chosen[0].learned) == (chosen[1].fixed, chosen[1].learned)
    true, nonsense = (one.row("linear-la").measures["balanced_accuracy"].mean for one in found.values())
    assert true != nonsense  # the poison works: it does change what is reported


def test_one_training_one_set_of_scores(table: Path, tmp_path: Path) -> None:
    """`train` and `compare` had two calibration errors for the same weights."""
    options = {"epochs": 3, "batch_size": 64, "learning_rate": 0.05}
    methods = ("linear-la", "etf-ce-pc")
    found = compare(configure(str(table), methods=methods, seeds=2, tune="none", **options), tmp_path)
    for record in found.runs:
        config = TrainConfig(
            data=str(table), method=record.method, seed=record.seed, subset_seed=record.subset_seed, accelerator="cpu",
            **options,
        )  # fmt: skip
        results = train(config, tmp_path / f"{record.method}-{record.seed}")
        assert results["weights_sha256"] == record.weights_sha256
        for key in ("accuracy", "balanced_accuracy", "ece", "ece_uncalibrated", "few"):
            assert results["test"][key] == pytest.approx(record.scores[key], nan_ok=True), key
        assert results["test"]["correction"] == record.correction


def test_the_answer_knows_how_small_the_test_part_is(table: Path, tmp_path: Path) -> None:
    """Its interval came from the runs alone."""
    found = compare(configure(str(table), **QUICK, tune="none"), tmp_path)
    contrast = found.answer.contrast
    ours, rival = (found.row(name).measures["balanced_accuracy"].values for name in ("etf-la", "linear-la"))
    alone = paired_comparison(ours, rival)
    assert contrast.difference == pytest.approx(alone.mean_difference, abs=1e-5)
    assert contrast.run_low == pytest.approx(alone.ci_low, abs=1e-5)
    assert contrast.high - contrast.low >= contrast.run_high - contrast.run_low
    assert contrast.high - contrast.low > 5  # 20 test samples of a class: one is 0.8 points
    assert (contrast.runs, contrast.samples) == (2, 120)


def test_a_correction_without_a_footing_is_left_out_and_says_so(tmp_path: Path) -> None:
    """It was offered as a gain with three held-out samples for eight classes, and cost points."""
    counts = (8, 6, 5, 1, 1, 1, 1, 1)
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(8), counts)
    x = (np.eye(8, 5)[y] * 3 + rng.normal(size=(len(y), 5))).astype(np.float32)
    test_y = np.repeat(np.arange(8), 4)
    test_x = (np.eye(8, 5)[test_y] * 3 + rng.normal(size=(32, 5))).astype(np.float32)
    np.savez(tmp_path / "few.npz", train_x=x, train_y=y, test_x=test_x, test_y=test_y)
    methods = ("linear-ce", "linear-ce-pc", "etf-ce", "etf-ce-pc")
    config = configure(str(tmp_path / "few.npz"), methods=methods, seeds=2, epochs=3, tune="none")
    found = compare(config, tmp_path / "out")
    for head in ("linear", "etf"):
        plain, corrected = (found.row(f"{head}-ce{end}") for end in ("", "-pc"))
        assert plain.measures["balanced_accuracy"] == corrected.measures["balanced_accuracy"]
        assert plain.measures["ece"] == corrected.measures["ece"]
        assert "prior correction left out: the held-out part has 3 samples of 3 of the 8 classes" in corrected.note
        assert not plain.note
    assert any("left out" in note for note in found.notes)


def test_changed_data_are_noticed_and_never_mixed(table: Path, tmp_path: Path) -> None:
    """Results of the old data, or of a mixture, came out without a word."""
    config = configure(str(table), **QUICK, tune="none")
    first = compare(config, tmp_path / "out")
    data = dict(np.load(table))
    data["train_x"] = data["train_x"][::-1].copy()  # the labels stay
    np.savez(table, **data)
    comparing = Comparing(config, tmp_path / "out")
    plan = comparing.plan()
    assert any(note.startswith("training inputs changed since the trainings in") for note in plan.data.notes)
    second = comparing.run(plan)
    alone = compare(config, tmp_path / "alone")
    assert without_times(second) == without_times(alone)
    assert {run.fingerprint for run in first.runs}.isdisjoint(run.fingerprint for run in second.runs)
    assert not any("changed since" in note for note in Comparing(config, tmp_path / "out").plan().data.notes)


def test_a_diverged_run_has_no_part_in_the_answer(table: Path, tmp_path: Path) -> None:
    config = configure(str(table), **QUICK, tune="none", learning_rate=0.1)
    config = replace(config, head={"etf-la": {"normalize": False, "scale": 1e30}})
    found = compare(config, tmp_path / "out")
    assert "runs diverged: the loss of" in found.row("etf-la").note
    assert math.isnan(found.row("etf-la").measures["balanced_accuracy"].mean)
    assert found.answer.verdict == "none"
    assert "no fixed head" in found.answer.sentence


def test_the_preset_of_digits_is_what_its_tuning_found() -> None:
    rows = read_json(RESULTS / "recipe" / "tune_digits.json")["rows"]
    preset = PRESETS["digits"]
    for method, score in preset.validation.items():
        options = {"norm": "batch", **preset.head.get(METHODS[method].training_name, {})}
        if method == "recommended":
            options = {}
        own = [
            row
            for row in rows
            if row["method"] == method and row["learning_rate"] == 0.1 and row["weight_decay"] == 5e-3
            and {"normalize": False, **row["head_options"]} == {"normalize": False, **options}
        ]  # fmt: skip
        assert len(own) == 1, method
        assert own[0]["mean"] == pytest.approx(score, abs=1e-4)
        family = [row["mean"] for row in rows if row["method"] == method]
        assert method.endswith(("-ce", "-pc")) or own[0]["mean"] >= max(family) - 1.0  # within its error of the best


def test_the_data_of_the_plan_are_those_of_the_data_set(table: Path, tmp_path: Path) -> None:
    dataset = load_dataset(table)
    plan = Comparing(configure(str(table), **QUICK, tune="none"), tmp_path / "out").plan()
    assert plan.data.classes == list(dataset.class_names)
    assert plan.data.samples["to test on"] == len(dataset.test_y)
    assert set(plan.data.digest) == {
        "training inputs", "training labels", "test inputs", "test labels", "class names",
    }  # fmt: skip


def test_epochs_are_those_of_the_cut_not_of_the_pool() -> None:
    generator = torch.Generator().manual_seed(0)
    data = from_arrays(torch.randn(24_000, 3, generator=generator).numpy(), np.arange(24_000) % 10)
    assert fit_to(configure("a"), data).trial.epochs == 8  # 160,000 over 19,200
    cut = fit_to(configure("a", imbalance=100.0), data).trial
    assert (cut.epochs, cut.batch_size) == (34, 64)  # 160,000 over 4,762 = sum of 1,920 x 100^(-k / 9)
