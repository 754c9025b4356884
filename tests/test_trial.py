"""The trial of ``make trial``: what it keeps, and a short version of it all."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from trial.damage import _seen
from trial.record import Record

ROOT = Path(__file__).resolve().parents[1]


def test_a_case_that_is_known_is_not_run_again(tmp_path: Path) -> None:
    ran = []

    def case(name: str, outcome: str) -> str:
        ran.append(name)
        return outcome

    record = Record(tmp_path / "trial.json")
    record.case("part", "1", case, "1", "good: refused")
    record.case("part", "2", case, "2", "other results")
    record.case("part", "3", lambda: 1 / 0)
    record.write()
    again = Record(tmp_path / "trial.json")
    again.case("part", "1", case, "1", "good: refused")
    assert ran == ["1", "2"]
    figures = json.loads((tmp_path / "trial.json").read_text())["figures"]["part"]
    wrong = {"2": "other results", "3": "ZeroDivisionError: division by zero"}
    assert figures == {"cases": 3, "good: refused": 1, "wrong": wrong}
    assert again.figures()["part"] == figures


def test_damage_that_is_not_seen_is_a_finding(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    for content, told in ((b"ab", "good: reads as it was written"), (b"ac", "reads as something else")):
        assert _seen(path, lambda p: p.read_text(), content, "ab") == told

    def refuse(_: Path) -> None:
        raise ValueError("it is damaged")

    assert _seen(path, refuse, b"", "ab") == "refused without its name: it is damaged"


@pytest.mark.slow
def test_the_trial_in_short(tmp_path: Path) -> None:
    few = ["--events", "2", "--random", "0", "--pairs", "1", "--flips", "8", "--cuts", "2"]
    command = [sys.executable, "-m", "trial", "-o", str(tmp_path), *few]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads((tmp_path / "trial.json").read_text())["figures"]
    assert {part: one["cases"] for part, one in figures.items() if "kills at a write" in part} == {
        "kills at a write, train": 2, "kills at a write, compare": 2,
    }  # fmt: skip
    assert sum(one["cases"] for part, one in figures.items() if part.startswith(("flips", "cuts"))) == 10 * 14
