"""A run that is stopped, killed or out of disk goes on and ends as an uninterrupted one does, bit for bit."""

import errno
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import tests.training.partners  # noqa: F401 - adds the mixing 'from-all'
import torch
from safetensors.torch import load_file, save_file
from tests.damage import flip_last_bit
from torch import nn

from equiangular.cli.train import show_run
from equiangular.heads import LinearHead
from equiangular.training import Stopped, Task, TrainConfig, Training, get_method, load_model, resume, train
from equiangular.training.config.budget import Budget
from equiangular.training.engine.stopping import SIGNALS
from equiangular.training.run.checkpoint import load_checkpoint, read_checkpoint, save_checkpoint

CONFIG = TrainConfig(
    data="digits", method="linear-ce", head={"drop_rate": 0.2}, imbalance=20.0, epochs=2, mix="mixup:1.0", ema=0.5,
    accelerator="cpu", checkpoint_minutes=0,
)  # fmt: skip


class Interrupted(Exception):  # noqa: N818
    pass


def make_training(**budget: Any) -> Training:
    """A small network with BatchNorm and dropout."""
    generator = torch.Generator().manual_seed(0)
    images, labels = torch.rand(41, 1, 4, 4, generator=generator), torch.arange(41) % 3
    with torch.random.fork_rng():
        torch.manual_seed(0)
        first = [nn.Conv2d(1, 1, 3, padding=1)] if budget.get("optimizer") == "muon" else []
        rest = (nn.Flatten(), nn.Linear(16, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3))
        backbone = nn.Sequential(*first, *rest)
        task = Task(backbone, LinearHead(8, 3), get_method("linear-ce"))
    fields = {"epochs": 3, "batch_size": 8, "mix": "mixup:1.0", **budget}
    return Training(task, images, labels, Budget(**fields), seed=5)


def stop_at(number: int) -> Any:
    def on_step(training: Training) -> None:
        if training.epoch * len(training.batches) + training.step == number:
            raise Interrupted

    return on_step


def state(training: Training) -> dict[str, torch.Tensor]:
    average = {} if training.average is None else training.average.state_dict()
    return {**training.task.state_dict(), **{f"average.{k}": v for k, v in average.items()}}


BUDGETS = [
    {},
    {"optimizer": "adamw", "learning_rate": 1e-3},
    {"optimizer": "muon"},
    {"ema": 0.9, "clip_norm": 0.5, "momentum": 0.0},
    {"sampler": "class-balanced", "mix": "none", "schedule": "step"},
    {"mix": "from-all,mixup:1.0"},
]


@pytest.mark.parametrize("budget", BUDGETS, ids=str)
@pytest.mark.parametrize("stops", [(1,), (5, 6), (4, 11), (15,)])
def test_a_training_stopped_anywhere_ends_the_same(tmp_path: Path, budget: dict, stops: tuple[int, ...]) -> None:
    whole = make_training(**budget)
    whole.run()
    for number in stops:
        training = make_training(**budget)
        if (tmp_path / "c" / "s").exists():
            load_checkpoint(tmp_path / "c" / "s", training, config={"a": 1})
        with pytest.raises(Interrupted):
            training.run(on_step=stop_at(number))
        save_checkpoint(tmp_path / "c" / "s", training, config={"a": 1}, extra=["kept"])
    last = make_training(**budget)
    assert load_checkpoint(tmp_path / "c" / "s", last, config={"a": 1}) == ["kept"]
    last.run()
    assert last.losses == whole.losses
    for (name, value), other in zip(state(whole).items(), state(last).values(), strict=True):
        assert torch.equal(value, other), name


def test_dropout_and_mixup_are_at_work() -> None:
    """Without them the test above would show little."""
    ends = [make_training(**options) for options in ({}, {"mix": "none"})]
    without = make_training()
    without.task.backbone[4].p = 0.0
    for training in (*ends, without):
        training.run()
    weights = [t.task.head.weight for t in (*ends, without)]
    assert not torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def raise_signal_at(steps: int, number: int) -> Any:
    seen = []

    def progress(training: Training, row: Any) -> None:
        if row is None:
            seen.append(1)
            if len(seen) == steps:
                signal.raise_signal(number)

    return progress


@pytest.mark.parametrize("number", SIGNALS)
def test_told_to_stop_a_run_leaves_a_checkpoint_and_goes_on(tmp_path: Path, number: int) -> None:
    whole = train(CONFIG, tmp_path / "whole")
    handlers = [signal.getsignal(s) for s in SIGNALS]
    with pytest.raises(Stopped, match=r"stopped in epoch 1, step 4. Go on with: equiangular resume") as stopped:
        train(CONFIG, tmp_path / "cut", progress=raise_signal_at(4, number))
    assert stopped.value.signal == number
    assert [signal.getsignal(s) for s in SIGNALS] == handlers
    steps = []
    again = resume(tmp_path / "cut", progress=lambda training, row: steps.append(training.step))
    assert steps[0] == 5
    assert again["test"] == whole["test"]
    one, other = (load_model(tmp_path / run)[0].state_dict() for run in ("whole", "cut"))
    assert all(torch.equal(one[k], other[k]) for k in one)
    assert len(json.loads((tmp_path / "cut" / "provenance.json").read_text())["resumed"]) == 1


def test_a_full_disk_is_said_and_the_run_goes_on_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = replace(CONFIG, checkpoint_minutes=1e-9)
    whole = train(config, tmp_path / "whole")
    written = []

    def full(descriptor: int) -> None:
        written.append(descriptor)
        if len(written) == 7:  # of the fourth checkpoint: of each the file and its folder
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(ValueError, match=r"No space left on device. The checkpoint before it is unharmed"):
            train(config, tmp_path / "cut")
    assert read_checkpoint(tmp_path / "cut" / "checkpoint" / "state.safetensors")[1]["step"] == 3
    assert [path.name for path in (tmp_path / "cut").rglob(".*")] == [".lock"]
    assert train(config, tmp_path / "cut")["test"] == whole["test"]


def test_a_full_disk_elsewhere_is_said_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from equiangular.training.run.folder import RunFolder

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "metrics.csv")

    monkeypatch.setattr(RunFolder, "write_metrics", full)
    with pytest.raises(ValueError, match=r"the disk is full: metrics.csv could not be written.*equiangular resume"):
        train(CONFIG, tmp_path)


@pytest.fixture
def stopped(tmp_path: Path) -> Path:
    with pytest.raises(Stopped):
        train(CONFIG, tmp_path / "run", progress=raise_signal_at(3, signal.SIGTERM))
    return tmp_path / "run"


def test_another_configuration_is_refused_and_what_does_not_matter_is_not(stopped: Path) -> None:
    with pytest.raises(ValueError, match=r"another configuration \(seed: 0 then, 1 now, epochs: 2 then, 3 now\)"):
        train(replace(CONFIG, epochs=3, seed=1), stopped)
    with pytest.raises(ValueError, match=r"mix: 'mixup:1.0' then, 'none' now"):
        resume(stopped, mix="none")
    assert resume(stopped, threads=1, checkpoint_epochs=0)["test"]["samples"] == 500


def test_other_data_are_refused(stopped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from equiangular.training.run import train

    load = train.load_data
    monkeypatch.setattr(train, "load_data", lambda options, **how: load(replace(options, split_seed=1), **how))
    with pytest.raises(ValueError, match=r"the data have changed since .* the training inputs, training labels"):
        resume(stopped)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda path: path.write_bytes(path.read_bytes()[:1000]),
            r"not a readable .safetensors file .* Delete its folder",
        ),
        (flip_last_bit, "is damaged: its content has another hash than was written.* Delete its folder"),
        (lambda path: path.write_bytes(b""), r"not a readable .safetensors file .* Delete its folder"),
        (lambda path: save_file({"a": torch.ones(1)}, path), "no checkpoint of equiangular"),
        (lambda path: rewrite(path, format=0), "has format 0, this version of equiangular reads format 1"),
        (lambda path: rewrite(path, drop="task.head.weight"), "does not fit this network: .*'head.weight'"),
        (lambda path: rewrite(path, reshape="task.head.weight"), r"tensor of shape \(1,\) where \(10, 64\) is needed"),
    ],
)
def test_checkpoints_that_cannot_be_used(stopped: Path, damage: Any, message: str) -> None:
    damage(stopped / "checkpoint" / "state.safetensors")
    with pytest.raises(ValueError, match=message):
        resume(stopped)


def damaged_in_the_middle(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_stopped_between_the_last_step_of_an_epoch_and_its_end_the_epoch_has_the_same_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(CONFIG, data="iris", mix="none", checkpoint_minutes=1e-9)

    def lines(folder: Path) -> list[dict[str, Any]]:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in train(config, folder)["epochs"]]

    whole = lines(tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr("equiangular.training.run.folder.RunFolder.write_metrics", Mock(side_effect=Interrupted))
        with pytest.raises(Interrupted):
            train(config, tmp_path / "cut")
    assert whole[0]["learning_rate"] > 0
    assert lines(tmp_path / "cut") == whole


@pytest.mark.parametrize("damage", [damaged_in_the_middle, lambda path: path.write_bytes(path.read_bytes()[:50])])
def test_a_damaged_checkpoint_costs_what_came_after_the_one_before_it(tmp_path: Path, damage: Any) -> None:
    config = replace(CONFIG, checkpoint_minutes=1e-9)
    whole = train(config, tmp_path / "whole")
    with pytest.raises(Stopped):
        train(config, tmp_path / "cut", progress=raise_signal_at(5, signal.SIGTERM))
    path = tmp_path / "cut" / "checkpoint" / "state.safetensors"
    damage(path)
    steps: list[int] = []
    with pytest.warns(UserWarning, match=r"goes on from the checkpoint before it, .*state-before.safetensors"):
        again = resume(tmp_path / "cut", progress=lambda training, row: steps.append(training.step))
    assert steps[0] < 6
    assert {**again["test"], "ece": None} == {**whole["test"], "ece": None}
    one, other = (load_model(tmp_path / run)[0].state_dict() for run in ("whole", "cut"))
    assert all(torch.equal(one[k], other[k]) for k in one)


def test_killed_between_two_names_a_run_goes_on_from_the_checkpoint_before(stopped: Path) -> None:
    path = stopped / "checkpoint" / "state.safetensors"
    path.rename(path.with_name("state-before.safetensors"))
    steps: list[int] = []
    resume(stopped, progress=lambda training, row: steps.append(training.step))
    assert steps[0] == 4


@pytest.mark.parametrize("lose", [lambda path: path.unlink(), damaged_in_the_middle])
def test_a_best_model_that_is_lost_is_told_before_anything_is_trained(tmp_path: Path, lose: Any) -> None:
    config = replace(CONFIG, checkpoint_minutes=1e-9, imbalance=1.0)
    with pytest.raises(Stopped):
        train(config, tmp_path, progress=raise_signal_at(30, signal.SIGTERM))
    lose(tmp_path / "checkpoint" / "best" / "model.safetensors")
    steps: list[int] = []
    with pytest.raises(ValueError, match=r"the best model so far, of epoch 1, is lost: .* train from the beginning"):
        resume(tmp_path, progress=lambda training, row: steps.append(training.step))
    assert not steps


def test_two_writers_of_one_folder(tmp_path: Path) -> None:
    def second(training: Training, row: Any) -> None:
        with pytest.raises(ValueError, match=rf"written by another run of equiangular \(process {os.getpid()} on "):
            train(CONFIG, other)
        raise Interrupted

    other = tmp_path / "run"
    with pytest.raises(Interrupted):
        train(CONFIG, other, progress=second)


def test_a_run_whose_folder_another_process_has_taken_over_writes_no_more(tmp_path: Path) -> None:
    def taken(training: Training, row: Any) -> None:
        (tmp_path / ".writer.json").write_text("{}")

    with pytest.raises(ValueError, match="taken over while this process wrote into it"):
        train(CONFIG, tmp_path, progress=taken)
    assert not (tmp_path / "results.json").exists()


def test_a_finished_run_is_read_where_nothing_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    results = train(CONFIG, tmp_path / "run")

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    for name in ("tempfile.mkstemp", "tempfile.TemporaryFile", "os.open", "pathlib.Path.mkdir", "os.replace"):
        monkeypatch.setattr(name, refuse)
    assert train(CONFIG, tmp_path / "run") == results
    show_run(CONFIG, tmp_path / "run", quiet=True, as_json=False)
    assert "this run had finished already" in capsys.readouterr().out


def test_a_configuration_that_was_changed_after_it_was_written_is_refused(stopped: Path) -> None:
    file = stopped / "config.yaml"
    file.write_text(file.read_text().replace("ema: 0.5", "ema: 0.7"))
    with pytest.raises(ValueError, match=r"config.yaml' is not what the run was started with"):
        resume(stopped)


PARTS = '{"method": {}, "data": {}, "test": {}, "epochs": []}'


@pytest.mark.parametrize("text", ["[1]", '"x"', '{"a": 1}', PARTS, "[" * 10_000, "{"])
def test_foreign_json_in_a_run_is_a_message(stopped: Path, text: str) -> None:
    for file in ("results.json", "provenance.json"):
        if file == "provenance.json" and text in ('{"a": 1}', PARTS):
            continue  # it says nothing of the data, as that of older versions
        (stopped / file).write_text(text)
        with pytest.raises(ValueError, match=rf"{file}' (holds|does not hold|is not a JSON file).* Delete it"):
            resume(stopped)
        (stopped / file).unlink()


def rewrite(path: Path, *, drop: str = "", reshape: str = "", **changes: Any) -> None:
    tensors, state = load_file(path), read_checkpoint(path)[1]
    tensors.pop(drop, None)
    if reshape:
        tensors[reshape] = torch.ones(1)
    save_file(tensors, path, metadata={"equiangular-checkpoint": json.dumps({**state, **changes})})


def test_a_folder_without_a_run(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no run in .*: it has no config.yaml. Start one with: equiangular train"):
        resume(tmp_path)


def test_a_finished_run_is_read_and_not_trained(tmp_path: Path) -> None:
    first = train(CONFIG, tmp_path)
    steps: list[int] = []
    assert train(CONFIG, tmp_path, progress=lambda t, r: steps.append(1)) == first
    assert steps == []


@pytest.mark.slow
def test_killed_at_random_points(tmp_path: Path) -> None:
    """SIGKILL at random moments: while loading, in a step, while a checkpoint or a model is written."""
    script = Path(__file__).with_name("kill_and_resume.py")
    command = [sys.executable, str(script), str(tmp_path), "5", "0"]
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=one_thread)
    outcome = json.loads(done.stdout.splitlines()[-1])
    assert outcome["killed"] >= 3
    assert not outcome["other epochs"]
    assert outcome["equal"] == {"model": True, "best": True, "epochs": True, "test": True}
    assert outcome["leftovers"] == []
