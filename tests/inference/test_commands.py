"""evaluate, predict and export as a user meets them: results, files, and errors without a traceback."""

import csv
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.command_line import run
from tests.report.test_page import without_scripts


@pytest.mark.parametrize("command", ["evaluate", "predict", "export"])
def test_help(capsys: pytest.CaptureFixture, command: str) -> None:
    code, out, _ = run(capsys, command, "--help")
    assert code == 0
    assert "--prior" in out


def test_evaluate_writes_everything(
    capsys: pytest.CaptureFixture, digits_run: Path, digit_images: Path, tmp_path: Path
) -> None:
    code, out, _ = run(capsys, "evaluate", digits_run, "--data", digit_images, "-o", tmp_path / "e")
    assert code == 0
    assert "balanced accuracy" in out
    assert "empty: no class has more than 100 training samples" in out
    assert re.search(r"digit 9 +│ +few", out)
    files = ["confusion.png", "evaluation.json", "reliability.png", "report.html"]
    assert sorted(p.name for p in (tmp_path / "e").iterdir()) == files
    results = json.loads((tmp_path / "e" / "evaluation.json").read_text())
    assert results["scores"]["empty_groups"] == ["many"]
    assert results["scores"]["many"] is None
    assert results["provenance"]["versions"]["torch"]
    page = (tmp_path / "e" / "report.html").read_text()
    assert "digit 9" in page
    assert not re.findall(r"(?:src|href)\s*=\s*[\"'](?!#|\s*data:)|@import|url\((?!#)", without_scripts(page))


def test_evaluate_writes_into_the_run(
    capsys: pytest.CaptureFixture, digits_run: Path, digit_images: Path, tmp_path: Path
) -> None:
    shutil.copytree(digits_run, tmp_path / "run")
    (tmp_path / "prior.yaml").write_text("\n".join(f"digit {c}: {c + 1}" for c in range(10)))
    given = ("--data", digit_images, "--prior", tmp_path / "prior.yaml", "--quiet")
    code, out, _ = run(capsys, "evaluate", tmp_path / "run", *given)
    assert code == 0
    assert "class prior of the predictions: as given" in out
    assert "taken for" not in out
    results = json.loads((tmp_path / "run" / "evaluation" / "evaluation.json").read_text())
    assert results["prior"] == [float(c + 1) for c in range(10)]


def test_predict_to_the_screen_and_to_files(
    capsys: pytest.CaptureFixture, digits_run: Path, digit_images: Path, tmp_path: Path
) -> None:
    code, out, err = run(capsys, "predict", digits_run, digit_images / "digit 3", "-k", 2)
    assert (code, err) == (0, "")
    rows = list(csv.DictReader(out.splitlines()))
    assert len(rows) == 8
    assert rows[0]["class"] == "digit 3"
    assert float(rows[0]["probability"]) >= float(rows[0]["probability_2"])
    for name in ("p.csv", "p.json"):
        code, out, _ = run(capsys, "predict", digits_run, digit_images, "-o", tmp_path / name, "--batch-size", 9)
        assert code == 0
        assert "wrote 80 rows" in out
    assert len(json.loads((tmp_path / "p.json").read_text())) == 80
    with (tmp_path / "p.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 80


@pytest.mark.parametrize("name", [None, "p.csv", "p.json"])
def test_predict_goes_on_past_a_corrupt_image(
    capsys: pytest.CaptureFixture, digits_run: Path, digit_images: Path, tmp_path: Path, name: str | None
) -> None:
    shutil.copytree(digit_images / "digit 1", tmp_path / "in")
    (tmp_path / "in" / "2.png").write_bytes(b"\x89PNG broken")
    output = () if name is None else ("-o", tmp_path / name)
    code, out, err = run(capsys, "predict", digits_run, tmp_path / "in", *output)
    assert code == 3
    assert "1 of 8 inputs could not be read" in err
    if name == "p.json":
        rows = json.loads((tmp_path / name).read_text())
        bad, good = [r for r in rows if "error" in r], [r for r in rows if "predictions" in r]
    else:
        text = out if name is None else (tmp_path / name).read_text()
        rows = list(csv.DictReader(text.splitlines()))
        bad, good = [r for r in rows if r["error"]], [r for r in rows if r["class"]]
    assert (len(bad), len(good)) == (1, 7)
    assert "2.png is not an image that can be read" in bad[0]["error"]


def test_predict_tables(capsys: pytest.CaptureFixture, table_run: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "t.npz", x=np.array([[0.0, 0, 0], [3, 3, 3], [np.nan, 0, 0]]))
    code, out, _ = run(capsys, "predict", table_run, tmp_path / "t.npz")
    assert code == 3
    rows = list(csv.DictReader(out.splitlines()))
    assert [r["class"] for r in rows] == ["low", "high", ""]


def test_export(capsys: pytest.CaptureFixture, table_run: Path, tmp_path: Path) -> None:
    code, out, _ = run(capsys, "export", table_run, "-o", tmp_path / "m.pt2")
    assert code == 0
    assert "input x: torch.float32 (batch, 3)" in out
    assert "logits differ by at most" in out
    assert (tmp_path / "m.pt2").stat().st_size > 1000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["evaluate", "nowhere"], "'nowhere' does not exist"),
        (["evaluate", "."], "no model in '.'"),
        (["evaluate", "RUN"], "does not say what data it was trained on"),
        (["evaluate", "RUN", "--data", "digts"], "did you mean 'digits'"),
        (["evaluate", "RUN", "--data", "IMAGES", "--prior", "unifrm"], "did you mean 'uniform'"),
        (["evaluate", "RUN", "--data", "IMAGES", "--batch-size", "0"], "--batch-size must be an integer >= 1"),
        (["evaluate", "RUN", "--data", "IMAGES", "--accelerator", "gpu"], "accelerator must be one of"),
        (["evaluate", "RUN", "--data", "IMAGES", "-o", "taken"], "cannot write to the output folder"),
        (["predict", "nowhere", "IMAGES"], "'nowhere' does not exist"),
        (["predict", "RUN", "none.png"], "'none.png' does not exist"),
        (["predict", "RUN", "taken"], "nothing a model of kind 'image' reads"),
        (["predict", "RUN", "empty"], "found none in empty"),
        (["predict", "RUN", "IMAGES", "-o", "p.txt"], "ends in .csv or .json"),
        (["predict", "RUN", "IMAGES", "-o", "none/p.csv"], "'none' does not exist"),
        (["predict", "RUN", "IMAGES", "-k", "0"], "top-k must be an integer >= 1"),
        (["predict", "RUN", "IMAGES", "--batch-size", "0"], "batch-size must be an integer >= 1"),
        (["predict", "RUN"], "Missing argument"),
        (["export", "RUN", "-o", "m.pb"], "ends in .onnx or .pt2"),
        (["export", "RUN", "-o", "none/m.onnx"], "'none' does not exist"),
        (["export", "RUN", "-o", "m.onnx", "--inputs", "bytes"], "inputs must be one of"),
        (["export", "RUN"], "no file to write. Name it: equiangular export"),
        (["export", "taken", "-o", "m.onnx"], "not a readable .safetensors file"),
    ],
)
def test_errors_teach(
    capsys: pytest.CaptureFixture,
    digits_run: Path,
    digit_images: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").write_text("a file")
    (tmp_path / "empty").mkdir()
    places = {"RUN": str(digits_run), "IMAGES": str(digit_images)}
    code, _, err = run(capsys, *(places.get(a, a) for a in arguments))
    assert code == 2
    assert message in " ".join(err.split()), err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["empty", "taken"]
