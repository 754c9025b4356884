"""The trial of ``make trial``: what it keeps, and a short version of it all."""

import json
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from trial import mutate
from trial.damage import _seen
from trial.fuzz import _outcome
from trial.numbers import LOSSES, _precision, _same_loss
from trial.record import Record
from trial.soak import _verdict
from trial.targets import Target

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


def test_what_grows_is_a_finding() -> None:
    looks = [
        {"run": i, "memory": 2**20, "descriptors": 5, "threads": 1, "files": 3, "left behind": 0} for i in (1, 5, 9)
    ]
    assert _verdict(looks) == "good: flat (1 1 1 MiB, 5 descriptors, 1 threads)"
    assert _verdict([*looks[:2], {**looks[2], "memory": 1.1 * 2**20}]) == "memory grew: 1 1 1 MiB"
    assert _verdict([*looks[:2], {**looks[2], "descriptors": 6}]) == "descriptors grew from 5 to 6"


def test_a_number_that_is_off_is_a_finding() -> None:
    for wrong in (lambda z, y, n: 1.01 * LOSSES["cross-entropy"](z, y, n), lambda z, y, n: z[:, 0]):
        assert any(_precision_of(wrong, number) or _same_of(wrong, number) for number in range(20))
    assert not any(_precision_of(LOSSES["focal"], number) for number in range(20))


def _precision_of(loss: Any, number: int) -> str:
    def rounded(z: Any, y: Any, n: Any) -> Any:
        return loss(z, y, n) if z.dtype.itemsize == 8 else LOSSES["cross-entropy"](z, y, n)

    given = loss if loss is LOSSES["focal"] else rounded
    return _precision(given, random.Random(number), torch.Generator().manual_seed(number))


def _same_of(loss: Any, number: int) -> str:
    return _same_loss(loss, random.Random(number), torch.Generator().manual_seed(number))


def _tried(attempt: Callable[..., object], folder: Path) -> str:
    folder.mkdir()
    return _outcome(Target("it", 1, attempt), 0, folder)


def test_what_an_input_does_is_told_apart(tmp_path: Path) -> None:
    def refuse(*_: object) -> None:
        raise ValueError("no")

    assert _tried(lambda *_: 1, tmp_path / "a") == "good: read"
    assert _tried(refuse, tmp_path / "b") == "good: refused"
    assert (
        _tried(lambda *_: [][0], tmp_path / "c") == "internal error in the trial: IndexError: list index out of range"
    )


def test_a_changed_input_follows_from_its_number() -> None:
    one, two = (mutate.content(random.Random("x 3"), b"abcdef" * 9, b"123") for _ in range(2))
    assert one == two != b"abcdef" * 9
    assert mutate.value(random.Random("x 3"), {"a": [1, 2]}) == mutate.value(random.Random("x 3"), {"a": [1, 2]})


@pytest.mark.slow
def test_the_trial_in_short(tmp_path: Path) -> None:
    few = [
        "--command",
        "train",
        "--command",
        "predict",
        "--events",
        "2",
        "--random",
        "0",
        "--pairs",
        "1",
        "--flips",
        "8",
    ]
    few += ["--cuts", "2", "--cases", "100", "--inputs", "100", "--runs", "10", "--jumps", "1", "--processes", "0"]
    command = [sys.executable, "-m", "trial", "-o", str(tmp_path), "--figures", str(tmp_path / "figures.json"), *few]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads((tmp_path / "figures.json").read_text())["figures"]

    def cases(*parts: str) -> int:
        return sum(one["cases"] for part, one in figures.items() if part.startswith(parts))

    assert (cases("kills at a write"), cases("full disk"), cases("two writers")) == (4, 8, 1)
    assert cases("flips", "cuts") == 10 * 14
    assert cases("numbers") >= 100
    assert cases("fuzz") >= 70
    assert (cases("soak"), cases("clock")) == (1, 1)
