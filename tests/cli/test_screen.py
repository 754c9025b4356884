"""``--json`` on every command: one document on standard output, all else beside it; folders where none is named."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.command_line import run

from equiangular.cli import _checkup, app
from equiangular.training import TrainConfig
from equiangular.training.run.folder import RunFolder


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small table and a run on it."""
    folder = tmp_path_factory.mktemp("json")
    generator = np.random.default_rng(0)
    y = np.arange(90) % 3
    points = generator.normal(size=(90, 2)) + 3 * y[:, None]
    rows = [f"{a:.3f},{b:.3f},k{k}" for (a, b), k in zip(points, y, strict=True)]
    (folder / "t.csv").write_text("a,b,label\n" + "\n".join(rows) + "\n", encoding="utf-8")
    (folder / "new.csv").write_text("a,b\n0,0\n6,6\n", encoding="utf-8")
    np.savez(folder / "f.npz", features=generator.normal(size=(90, 4)).astype(np.float32), labels=y)
    return folder


def document(capsys: pytest.CaptureFixture, *arguments: object) -> Any:
    code, out, err = run(capsys, *arguments, "--json")
    assert code == 0, err
    assert out.count("\n") == 1 or arguments[0] == "predict", "one document, on one line"
    return json.loads(out)


def test_json_of_every_command(capsys: pytest.CaptureFixture, trained: Path) -> None:
    out = trained / "run"
    results = document(capsys, "train", trained / "t.csv", "--epochs", 1, "-o", out, "-q")
    stored = json.loads((out / "results.json").read_text(encoding="utf-8"))
    assert {**results, "checksum": stored["checksum"]} == stored
    assert document(capsys, "resume", out) == results
    found = document(capsys, "evaluate", out)
    assert found["scores"] == json.loads((out / "evaluation" / "evaluation.json").read_text(encoding="utf-8"))["scores"]
    rows = document(capsys, "predict", out, trained / "new.csv")
    assert [row["predictions"][0]["class"] for row in rows] == ["k0", "k2"]
    to_file = document(capsys, "predict", out, trained / "new.csv", "-o", trained / "p.csv")
    assert to_file == {"path": str(trained / "p.csv"), "predicted": 2, "failed": 0, "rejected": 0}
    exported = document(capsys, "export", out, "-o", trained / "m.onnx")
    assert Path(exported["path"]).stat().st_size == exported["bytes"]
    few = ("--seeds", 2, "--tune", "none", "--epochs", 1, "--methods", "linear-ce,etf-ce")
    compared = document(capsys, "compare", trained / "t.csv", "-o", trained / "c", *few)
    assert [row["method"] for row in compared["rows"]] == ["linear-ce", "etf-ce"]
    page = document(capsys, "report", out)
    assert page["bytes"] == (out / "report.html").stat().st_size
    measured = document(capsys, "measure", trained / "f.npz")
    assert measured["series"][0]["measures"]["nc1"] > 0
    frame = document(capsys, "frame", 4, 3, "-o", trained / "f.npy")
    assert frame["max_cosine"] == pytest.approx(-1 / 3)
    assert frame["path"] == str(trained / "f.npy")
    for kind in app.KINDS:
        assert all(all(row.values()) for row in document(capsys, "list", kind)), f"an empty cell in list {kind}"


def test_json_is_an_option_of_every_command() -> None:
    commands = app.app.registered_commands
    assert len(commands) == 13
    for command in commands:
        assert "as_json" in command.callback.__annotations__ or "as_json" in command.callback.__signature__.parameters


@pytest.mark.parametrize("command", ["train", "compare"])
def test_nothing_is_trained_unasked(capsys: pytest.CaptureFixture, tmp_path: Path, command: str) -> None:
    os.chdir(tmp_path)
    code, out, err = run(capsys, command)
    assert (code, out) == (2, "")
    assert f"For a first look: equiangular {command} digits" in err
    assert not list(tmp_path.iterdir())


def test_a_new_folder_for_every_run(
    capsys: pytest.CaptureFixture, trained: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "train-t-old").mkdir(parents=True)
    once = ("train", trained / "t.csv", "--epochs", "1", "-q")
    for number in (1, 2):
        _, out, _ = run(capsys, *once)
        assert f"into runs/train-t-{number}\n" in out
    folder = RunFolder("runs/train-t-2")
    folder.results.unlink()  # as if it had been interrupted
    assert f"into {folder.path}\n" in run(capsys, *once)[1], "goes on with the same command"
    folder.results.unlink()
    assert "into runs/train-t-3\n" in run(capsys, *once, "--seed", "1")[1], "another run has a folder of its own"
    assert isinstance(folder.read_config(), TrainConfig)


def test_doctor(capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    found = document(capsys, "doctor", "-q")
    assert set(found) == {"versions", "devices", "extras", "tests"}
    assert found["devices"]["cpu"]
    assert {test["name"] for test in found["tests"]} == {"frames", "training", "closed form", "files"}
    assert all(test["right"] for test in found["tests"])
    code, out, _ = run(capsys, "doctor", "-q")
    assert code == 0
    assert out.count("ok  ") == len(found["tests"])

    def broken(device: str) -> tuple[bool, str]:
        raise RuntimeError(f"no kernel on {device}\nmore")

    monkeypatch.setitem(_checkup._TESTS, "frames", broken)
    code, out, _ = run(capsys, "doctor", "-q")
    assert code == 1
    assert "WRONG  cpu    frames: RuntimeError: no kernel on cpu (" in out


def test_extras_that_lack_something(monkeypatch: pytest.MonkeyPatch) -> None:
    stated = ["torch>=2.4", "rich>=99; extra == 'train'", "nosuch>=1; extra == 'plot'", "numpy>=1; extra == 'plot'"]
    monkeypatch.setattr(_checkup.importlib.metadata, "requires", lambda _: stated)
    here = _checkup.importlib.metadata.version("rich")
    found = _checkup.extras()
    assert found["train"] == {"installed": {}, "missing": [f"rich>=99 (here {here})"]}
    assert found["plot"]["missing"] == ["nosuch>=1"]
    assert list(found["plot"]["installed"]) == ["numpy"]


def test_verbose_shows_the_whole_error(monkeypatch: pytest.MonkeyPatch) -> None:
    from equiangular.cli import main

    monkeypatch.setenv("EQUIANGULAR_DEBUG", "")
    with pytest.raises(ValueError, match="unknown data set 'nosuch'"):
        main(["--verbose", "train", "nosuch"])


def test_results_that_were_edited_are_told(capsys: pytest.CaptureFixture, trained: Path, tmp_path: Path) -> None:
    assert run(capsys, "train", trained / "t.csv", "--epochs", 1, "-o", tmp_path / "run", "-q")[0] == 0
    results = json.loads((tmp_path / "run" / "results.json").read_text(encoding="utf-8"))
    del results["checksum"]
    for changes in ({"config": None}, {"data": "text"}, {"test": []}, {"epochs": 7}, {"provenance": None}):
        (tmp_path / "results.json").write_text(json.dumps({**results, **changes}), encoding="utf-8")
        code, _, err = run(capsys, "report", tmp_path / "results.json", "-o", tmp_path / "page.html")
        assert code in (0, 2), err
        assert "internal error" not in err
    (tmp_path / "results.json").write_text(json.dumps({**results, "config": None}), encoding="utf-8")
    assert "are not as this version writes them" in run(capsys, "report", tmp_path, "-o", tmp_path / "p.html")[2]


def test_a_table_that_is_gone(capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
    code, _, err = run(capsys, "train", tmp_path / "gone.csv", "--label", "kind")
    assert code == 2
    assert "neither a name nor a path that exists" in err
