"""The command line as a user meets it: help, results, and errors without a traceback."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.command_line import run

from equiangular.cli._fields import as_options
from equiangular.cli.app import app

QUICK = ["--seeds", "2", "--epochs", "1", "--imbalance", "10", "--methods", "linear-ce,etf-dr,etf-dr-pc", "--quiet"]


def test_paragraphs_of_the_help_are_wrapped_by_the_screen_not_by_the_source() -> None:
    text = next(c.help for c in app.registered_commands if c.callback.__name__ == "evaluate")
    assert text.count("\n") == 2
    assert "confusion.png, reliability.png and report.html." in text


@pytest.mark.parametrize("command", [[], ["compare"], ["frame"]])
def test_help(capsys: pytest.CaptureFixture, command: list[str]) -> None:
    code, out, _ = run(capsys, *command, "--help")
    assert code == 0
    assert "Usage: equiangular" in out


def test_version(capsys: pytest.CaptureFixture) -> None:
    assert run(capsys, "--version")[:2] == (0, "equiangular 0.1.0\n")


def test_python_dash_m() -> None:
    command = [sys.executable, "-m", "equiangular", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("equiangular ")


@pytest.mark.parametrize("suffix", [".npy", ".safetensors"])
def test_frame_writes_an_etf(capsys: pytest.CaptureFixture, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"frame{suffix}"
    code, out, _ = run(capsys, "frame", "6", "5", "-o", str(path), "--dtype", "float64")
    assert code == 0
    assert str(path) in out
    from equiangular.frames import load_frame

    weight = np.load(path) if suffix == ".npy" else load_frame(path).numpy()
    expected = np.where(np.eye(6), 1, -1 / 5)
    assert np.abs(weight @ weight.T - expected).max() < 1e-12


def test_compare_writes_everything(capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
    code, out, _ = run(capsys, "compare", "digits", "-o", str(tmp_path / "r"), *QUICK)
    assert code == 0
    assert "ETF + DR + prior correction" in out
    assert "balanced accuracy" in out
    assert {"results.json", "figure.png", "report.html", "trials", "data.json", ".lock"} == set(
        os.listdir(tmp_path / "r")
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["compare", "digitz"], "digits"),
        (["compare", "digits", "--imbalance", "-3"], "at least 1, got -3"),
        (["compare", "digits", "--methods", "etf-rd"], "did you mean 'etf-dr'"),
        (["compare", "digits", "--seeds", "1"], "needs two runs"),
        (["compare", "digits", "--threads", "0"], "threads must be an integer >= 1"),
        (["compare", "digits", "--epochs", "0"], "--epochs must be an integer >= 1"),
        (["train", "digits", "--batch-size", "1"], "--batch-size must be an integer >= 2"),
        (["compare", "no/such/folder"], "are looked for under --root or $EQUIANGULAR_DATA"),
        (["compare", "x", "--root", "no/such"], "does not exist; set --root or $EQUIANGULAR_DATA"),
        (["train", "iris", "--augment", "crop"], "Use --augment none; --mix mixup:0.2 works on tables too"),
        (["train", "iris", "--accelerator", "cuda"], "--accelerator cuda needs an NVIDIA GPU"),
        (["train", "digits", "--protocol", "cao2019", "--imbalance", "10"], "--protocol local"),
        (["compare", "digits", "--imbalanse", "3"], "--imbalance"),
        (["compar"], "compare"),
        (["frame", "1", "5", "-o", "x.npy"], "num_classes must be an integer >= 2, got 1"),
        (["frame", "10", "5", "-o", "x.npy", "--construction", "simplex"], "spread_frame"),
        (["frame", "10", "5", "-o", "x.npy", "--construction", "spraed"], "did you mean 'spread'"),
        (["frame", "10", "5", "-o", "x.npy", "--basis", "dct"], "--basis dct is an orientation of a simplex ETF"),
        (["frame", "3", "1", "-o", "x.npy"], "one dimension has two unit vectors"),
        (["frame", "10", "5", "-o", "x.npy", "--construction", "nonnegative"], "10 non-negative vectors cannot be"),
        (["frame", "20", "5", "-o", "x.npy", "--objective", "tammes"], "objective must be one of 'max_cosine'"),
        (["frame", "5", "5", "-o", "x.npy", "--basis", "har"], "did you mean 'haar'"),
        (["frame", "5", "5", "-o", "x.npy", "--dtype", "float"], "did you mean 'float"),
        (["frame", "5", "5", "-o", "x.txt"], ".npy"),
        (["frame", "5", "5", "-o", "no/such/folder/x.npy"], "no/such/folder"),
    ],
)
def test_errors_teach_and_show_no_traceback(
    capsys: pytest.CaptureFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EQUIANGULAR_DATA", raising=False)  # a message may say what is there
    code, out, err = run(capsys, *arguments)
    assert code == 2
    assert message in err
    assert "Traceback" not in out + err


def test_arguments_are_said_as_options_and_nothing_else_changes() -> None:
    options = {"size": "--size", "split_seed": "--split-seed", "overwrite": "--overwrite", "epochs": "--epochs"}
    for text, said in [
        ("or another number (in Python size=32): they", "or another number: they"),
        ("replaced: overwrite=True (--overwrite).", "replaced: --overwrite."),
        ("set split_seed=3, or split_seed='none'.", "set --split-seed 3, or --split-seed none."),
        ("the epochs of this run; epochs must be", "the epochs of this run; epochs must be"),
        ("No data. epochs must be above 0.", "No data. --epochs must be above 0."),
    ]:
        assert as_options(text, options) == said
    for same in ("'/data/size=3/split_seed.npz' has 'split_seed'", "my_split_seed=3", "batch_size=3", "resize=3"):
        assert as_options(same, options) == same


def test_the_first_line_comes_before_the_data_are_read(
    capsys: pytest.CaptureFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a minute passed in silence where data are large."""

    def seen(*_: object, **__: object) -> None:
        assert capsys.readouterr().err.startswith("reading digits ...")
        raise ValueError("seen")

    monkeypatch.setattr("equiangular.compare.run.load_data", seen)
    code, _, err = run(capsys, "compare", "digits", "-o", str(tmp_path / "r"), *QUICK)
    assert (code, err) == (2, "equiangular: seen\n")


def test_an_unwritable_output_folder(capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    code, _, err = run(capsys, "compare", "digits", "-o", str(tmp_path / "taken"), *QUICK)
    assert code == 2
    assert "cannot write to the output folder" in err
    assert "--output" in err


def test_a_defect_of_ours_is_called_one(capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    import equiangular.frames

    def broken(*_: object, **__: object) -> None:
        raise KeyError("oops")

    monkeypatch.setattr(equiangular.frames, "simplex_etf", broken)
    code, _, err = run(capsys, "frame", "3", "3", "-o", "x.npy")
    assert code == 1
    assert "internal error, KeyError" in err
    assert "EQUIANGULAR_DEBUG=1" in err


def test_ctrl_c_says_what_is_lost(
    capsys: pytest.CaptureFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import equiangular.frames

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(equiangular.frames, "simplex_etf", interrupted)
    code, _, err = run(capsys, "frame", "3", "3", "-o", "x.npy")
    assert code == 130
    assert "the same command begins again" in err
    monkeypatch.setattr("equiangular.compare.Comparing", interrupted)
    code, _, err = run(capsys, "compare", "wine", "-o", str(tmp_path / "c"))
    assert code == 130
    assert "goes on from there" in err


def test_verbose_is_taken_anywhere(capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    from equiangular.cli import main

    monkeypatch.setenv("EQUIANGULAR_DEBUG", "")
    with pytest.raises(ValueError, match="one of 'methods'"):
        main(["list", "foo", "--verbose"])


@pytest.mark.parametrize(
    "error", [MemoryError("16 GiB"), MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")]
)
def test_too_little_memory_is_told_as_such(
    error: Exception, capsys: pytest.CaptureFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("equiangular.frames.simplex_etf", fail)
    code, _, err = run(capsys, "frame", "4", "8", "-o", str(tmp_path / "f.npy"))
    assert code == 2
    assert "not enough memory" in err
    assert str(error) in err
    assert "()" not in err


@pytest.mark.parametrize(
    ("words", "told"),
    [  # PyTorch's and gloo's words
        ("DataLoader worker (pid 7) is killed by signal: Killed. ", "a process that decodes inputs was ended from out"),
        ("[pair.cc:553] Connection closed by peer [127.0.0.1]:11658", "another process of this command was ended from"),
    ],
)
def test_a_killed_worker_is_no_defect_of_ours(
    words: str, told: str, capsys: pytest.CaptureFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError(words)

    monkeypatch.setattr("equiangular.frames.simplex_etf", fail)
    code, _, err = run(capsys, "frame", "4", "8", "-o", str(tmp_path / "f.npy"))
    assert code == 2
    assert told in err
    assert f"({words.strip().rstrip('.')})" in err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_command_that_is_told_to_end_says_so(number: signal.Signals, tmp_path: Path) -> None:
    """SIGTERM printed nothing. The process is its own: a signal to this one would end the tests."""
    code = (
        "import os, signal, sys\n"
        "from equiangular.cli import main\nfrom equiangular.cli import app\n"
        "app.app.command('wait')(lambda: os.kill(os.getpid(), int(os.environ['NUMBER'])) or signal.pause())\n"
        "main(['wait'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, "NUMBER": str(int(number))},
        timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 128 + number
    assert "interrupted. What is written is whole; the same command begins again." in done.stderr
    assert "Traceback" not in done.stderr


def test_after_a_command_signals_are_as_before(capsys: pytest.CaptureFixture) -> None:
    before = signal.getsignal(signal.SIGTERM)
    run(capsys, "list", "data")
    assert signal.getsignal(signal.SIGTERM) is before
