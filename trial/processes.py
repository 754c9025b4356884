"""Ranks and workers that are killed: the others end, say so, and the run goes on as if nothing had been."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from trial.commands import leftovers, results, torn
from trial.record import Record

_WITHIN = 120.0  # seconds in which all processes are gone, on a loaded machine


def processes(record: Record, work: Path, *, cases: int = 4) -> None:
    """Run the part: ``cases`` kills of a rank of two, and as many of a worker that decodes images."""
    ranks = ["train", "iris", "--method", "linear-ce", "--epochs", "3", "--accelerator", "cpu", "--devices", "2", "-q"]
    decoding = [
        "train", str(_images(work)), "--method", "linear-ce", "--epochs", "3", "--memory", "stream", "--workers", "2",
        "--accelerator", "cpu", "-q",
    ]  # fmt: skip
    for name, arguments in (("a rank of two", ranks), ("a worker", decoding)):
        expected = None
        for number in range(cases):
            if expected is None and str(number) not in record.cases.get(f"killed, {name}", {}):
                began = time.monotonic()
                _run(arguments, work / "whole").communicate(timeout=600)
                expected, lasted = results(work / "whole"), time.monotonic() - began
            wait = random.Random(number).uniform(0.4, 0.95) * lasted if expected is not None else 0.0
            record.case(f"killed, {name}", str(number), _killed, arguments, work / "cut", expected, number, wait)


def _images(work: Path) -> Path:
    """A folder of 60 small pictures of three classes."""
    from PIL import Image

    folder, chance = work / "pictures", np.random.default_rng(0)
    for number in range(60):
        place = folder / f"c{number % 3}"
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(chance.integers(0, 255, (8, 8, 3), dtype=np.uint8)).save(place / f"{number}.png")
    return folder


def _run(arguments: list[str], folder: Path) -> subprocess.Popen[str]:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)
    return _again(arguments, folder)


def _again(arguments: list[str], folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "equiangular", *arguments, "-o", str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def _below(process: int) -> list[int]:
    """The numbers of all processes below one."""
    found = []
    for task in Path(f"/proc/{process}/task").glob("*/children"):
        for child in map(int, task.read_text().split()):
            found += [child, *_below(child)]
    return found


def _killed(arguments: list[str], folder: Path, expected: object, number: int, wait: float) -> str:
    first = _run(arguments, folder)
    time.sleep(wait)
    for _ in range(400):  # until it has started another
        if (below := _below(first.pid)) or first.poll() is not None:
            break
        time.sleep(0.05)
    victims = [first.pid, *below] if "--devices" in arguments else below
    if victims:
        with contextlib.suppress(ProcessLookupError):
            os.kill(random.Random(number).choice(victims), signal.SIGKILL)
    began = time.monotonic()
    try:
        said = first.communicate(timeout=_WITHIN)[0]
    except subprocess.TimeoutExpired:
        for process in [*_below(first.pid), first.pid]:
            os.kill(process, signal.SIGKILL)
        return f"it did not end within {_WITHIN:g} s"
    while [p for p in below if Path(f"/proc/{p}").exists()] and time.monotonic() - began < _WITHIN:
        time.sleep(0.1)
    if any(Path(f"/proc/{p}").exists() for p in below):
        return "a process outlives the others"
    if first.returncode == 1 or "Traceback" in said or "internal error" in said:
        return f"it ended with {first.returncode}: {said[-300:]}"
    if bad := torn(folder):
        return f"not whole: {bad[0]}"
    second = _again(arguments, folder)
    said = second.communicate(timeout=600)[0]
    if second.returncode:
        return f"given again it ended with {second.returncode}: {said[-300:]}"
    if left := leftovers(folder):
        return f"left behind: {left[0]}"
    return "good: identical" if results(folder) == expected else "other results"
