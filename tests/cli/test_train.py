"""``equiangular train`` and ``resume`` as a user meets them."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from tests.command_line import run

QUICK = ["--epochs", "2", "--imbalance", "20", "--accelerator", "cpu"]


def test_help_names_every_option(capsys: pytest.CaptureFixture) -> None:
    from dataclasses import fields

    from equiangular.training import TrainConfig

    _, out, _ = run(capsys, "train", "--help")
    for f in fields(TrainConfig):
        assert f.name == "data" or f"--{f.name.replace('_', '-')}" in out
    assert "Passes over the training data" in out


def test_train_then_train_again(capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
    code, out, err = run(capsys, "train", "digits", "-o", tmp_path / "r", *QUICK)
    assert code == 0
    assert "recommended head + logit adjustment on digits" in out
    assert "2 (last)" in out
    assert "epoch 2/2, loss" in err
    assert {"results.json", "metrics.csv", "curves.png", "model", "best"} <= set(os.listdir(tmp_path / "r"))
    code, out, _ = run(capsys, "train", "digits", "-o", tmp_path / "r", *QUICK)
    assert code == 0
    assert "had finished already" in out
    code, _, err = run(capsys, "train", "digits", "-o", tmp_path / "r", *QUICK, "--seed", "4")
    assert code == 2
    assert "seed: 0 then, 4 now" in err


def test_a_recipe_is_where_it_starts_and_options_win(capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
    code, _, err = run(capsys, "train", "digits", "-o", tmp_path / "r", "--recipe", "paper", "--quiet", *QUICK)
    assert (code, err) == (0, "")
    text = (tmp_path / "r" / "config.yaml").read_text()
    assert "method: etf-dr-batch\n" in text
    assert "mix: mixup:1.0\n" in text
    assert "epochs: 2\n" in text


def test_a_file_sets_the_defaults_and_the_command_line_wins(capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
    given = "data: digits\nmethod: etf-dr\nepochs: 1\nimbalance: 20\nhead: {norm: none}\nseed: 9\n"
    (tmp_path / "c.yaml").write_text(given)
    options = ["-c", tmp_path / "c.yaml", "-o", tmp_path / "r", "--seed", "3", "--quiet"]
    code, out, err = run(capsys, "train", *options, "--head", "norm=batch,drop_rate=0.1")
    assert (code, err) == (0, "")
    assert "ETF + DR" in out
    text = (tmp_path / "r" / "config.yaml").read_text()
    assert "method: etf-dr\n" in text
    assert "seed: 3\n" in text
    assert "head: {norm: batch, drop_rate: 0.1}\n" in text


def test_stopped_and_resumed(capsys: pytest.CaptureFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from equiangular.cli.train import ProgressBar

    def interrupt(self: ProgressBar, training: Any, row: Any) -> None:
        if training.step == 3:
            signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(ProgressBar, "__call__", interrupt)
        code, out, err = run(capsys, "train", "digits", "-o", tmp_path / "r", *QUICK)
    assert code == 128 + signal.SIGTERM
    assert f"equiangular: stopped in epoch 1, step 3. Go on with: equiangular resume {tmp_path / 'r'}" in err
    assert "Traceback" not in out + err
    code, out, _ = run(capsys, "resume", tmp_path / "r", "--threads", "1")
    assert code == 0
    assert "2 (last)" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "digitz"], "did you mean 'digits'"),
        (["train", "digits", "--method", "etf-rd"], "did you mean 'etf-dr'"),
        (["train", "digits", "--recipe", "recomended"], "did you mean 'recommended'"),
        (["train", "digits", "--epoch", "3"], "--epochs"),
        (["train", "digits", "--epochs", "0"], "epochs must be an integer >= 1, got 0"),
        (["train", "digits", "--config", "none.yaml"], "cannot read the configuration 'none.yaml'"),
        (["train", "digits", "--config", "bad.yaml"], "unknown key 'lerning_rate' in bad.yaml; did you mean"),
        (["train", "digits", "--head", "batch"], "--head must be name=value"),
        (["train", "digits", "--head", "nrm=batch"], "unknown option 'nrm' of the head 'recommended'; did"),
        (["train", "digits", "--augment", "crop,flipp"], "did you mean 'flip'"),
        (["train", "wine", "--augment", "crop"], "is for images, the inputs have shape"),
        (["train", "digits", "--validation", "0.001"], "hold-out of 0.001 is empty"),
        (["train", "digits", "--backbone", "resnet33"], "did you mean 'resnet32'"),
        (["resume", "nowhere"], "no run in 'nowhere'"),
    ],
)
def test_errors_teach_and_show_no_traceback(
    capsys: pytest.CaptureFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.yaml").write_text("lerning_rate: 1\n")
    code, out, err = run(capsys, *arguments)
    assert code == 2
    assert message in err
    assert "Traceback" not in out + err


def test_a_full_disk_anywhere(capsys: pytest.CaptureFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    from equiangular.report import figure

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(figure, "save_figure", full)
        code, _, err = run(capsys, "train", "digits", "-o", tmp_path / "r", *QUICK, "--quiet")
    assert code == 2
    assert "No space left on device. Make room and give the same command again; what is finished is kept." in err
    assert run(capsys, "train", "digits", "-o", tmp_path / "r", *QUICK)[0] == 0


def test_a_long_epoch_is_not_silent(
    capsys: pytest.CaptureFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("equiangular.cli.train.QUIET_FOR", -1.0)
    code, _, err = run(capsys, "train", "iris", "--epochs", 1, "--accelerator", "cpu", "-o", tmp_path / "run")
    assert code == 0
    assert "epoch 1/1, step 1 of " in err
    assert "epoch 1/1, loss" in err
