"""Every script of examples/ runs by itself, with warnings as errors, and what it prints is what it promises."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


def run(name: str, folder: Path, *arguments: str) -> str:
    paths = [str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    command = [sys.executable, "-W", "error", str(ROOT / "examples" / f"{name}.py"), *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    shown = (ROOT / "docs" / "examples" / f"{name}.txt").read_text(encoding="utf-8")
    assert _form(done.stdout) == _form(shown), f"docs/examples/{name}.txt is what this printed once; print it anew"
    return done.stdout


def _form(text: str) -> str:
    """What is printed but for its figures, which other machines round differently."""
    return re.sub(r" +", " ", re.sub(r"[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?", "#", text))


def percentages(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"(\d+(?:\.\d+)?) ?%", text)]


@pytest.mark.slow
def test_the_minimal_loop(tmp_path: Path) -> None:
    text = run("minimal_loop", tmp_path)
    assert percentages(text)[0] > 75
    assert float(re.search(r"^NC1 ([\d.]+):", text, flags=re.MULTILINE)[1]) < 1
    assert len((ROOT / "examples" / "minimal_loop.py").read_text(encoding="utf-8").splitlines()) <= 80


@pytest.mark.slow
def test_a_table_becomes_predictions(tmp_path: Path) -> None:
    lines = run("csv_to_prediction", tmp_path).splitlines()
    assert percentages(lines[0])[0] > 85
    assert [line.split(",")[1] for line in lines[2:]] == ["kind 0", "kind 1", "kind 2"]
    assert not list(tmp_path.iterdir())  # all of it was temporary


@pytest.mark.slow
def test_the_prior_is_taken_out_and_found(tmp_path: Path) -> None:
    forest, logistic, trained, estimated = (
        percentages(line) for line in run("prior_correction", tmp_path).splitlines()[1:]
    )
    assert forest[1] > forest[0] + 3
    assert logistic[1] > logistic[0] + 3
    assert estimated[-1] < trained[-1] / 2


@pytest.mark.slow
def test_classes_arrive_and_go(tmp_path: Path) -> None:
    text = run("classes_that_arrive", tmp_path)
    assert [int(n) for n in re.findall(r"(\d+) classes", text)] == [6, 8, 10, 10]
    assert min(percentages(text)) > 85
    assert float(re.search(r"differ by (\S+)", text)[1]) < 1e-9


@pytest.mark.slow
def test_collapse_is_measured_and_drawn(tmp_path: Path) -> None:
    rows = run("measure_collapse", tmp_path, "collapse.svg").splitlines()
    last = {row.split()[0]: float(re.search(r"nc1 ([\d.]+)", row)[1]) for row in rows}
    assert last["fixed"] < last["learned"]
    assert (tmp_path / "collapse.svg").stat().st_size > 1000


def test_every_script_is_tested_and_listed() -> None:
    tests = Path(__file__).read_text(encoding="utf-8")
    listed = (ROOT / "docs" / "examples" / "index.md").read_text(encoding="utf-8")
    for script in EXAMPLES:
        assert f'run("{script.stem}"' in tests
        assert f"(../../examples/{script.name})" in listed
