"""Two processes that write into one folder at nearly the same time: one is refused, or reads what the other did."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from pathlib import Path
from typing import Any

from trial.commands import COMMANDS, end, leftovers, results, start, torn
from trial.record import Record


def writers(record: Record, work: Path, *, pairs: int = 50) -> None:
    """Run the part: ``pairs`` pairs of ``train``, of one configuration and of two, and of ``compare``.

    The first writer is at work when the second comes, or is killed then.
    """
    for name in ("train", "compare"):
        alone = {}
        for seed in (0, 1):
            folder = work / f"alone-{seed}"
            shutil.rmtree(folder, ignore_errors=True)
            began = time.monotonic()
            end(start(_arguments(name, folder, seed)))
            alone[seed], lasted = results(folder), time.monotonic() - began
        for number in range(pairs if name == "train" else pairs // 5):
            wait = random.Random(number).uniform(0, lasted)
            record.case(f"two writers, {name}", str(number), _pair, name, work / "pair", alone, number, wait)


def _arguments(name: str, folder: Path, seed: int) -> list[str]:
    option = "--seed" if name == "train" else "--subset-seed"
    return [part.format(out=folder) for part in COMMANDS[name]] + [option, str(seed)]


def _pair(name: str, folder: Path, alone: dict[int, Any], number: int, wait: float) -> str:
    """Two seeds in odd cases; in every third the first writer is killed as the second begins."""
    shutil.rmtree(folder, ignore_errors=True)
    seeds = (0, number % 2)
    first = start(_arguments(name, folder, seeds[0]))
    second = start(_arguments(name, folder, seeds[1]), wait=wait)
    if number % 3 == 0:
        time.sleep(wait)
        os.kill(first, signal.SIGKILL)
    codes = end(first), end(second)
    if not set(codes) <= {0, 2, -signal.SIGKILL}:
        return f"they ended with {codes}"
    if bad := torn(folder):
        return f"not whole: {bad[0]}"
    if 0 not in codes:
        if not (codes[0] < 0 or seeds[0] != seeds[1]):
            return f"neither did it: {codes}"
        # The killed one's folder belongs to its configuration: given again, that ends it.
        done = next((s for s in seeds if end(start(_arguments(name, folder, s))) == 0), None)
        if done is None:
            return "the folder can be used no more"
    else:
        done = seeds[1 if codes == (0, 0) else codes.index(0)]  # a comparison may be followed by another
    if codes == (0, 0) and seeds[0] != seeds[1] and name == "train":
        return "both ended as if the folder were theirs"
    if left := leftovers(folder):
        return f"left behind: {left[0]}"
    found, expected = results(folder), alone[done]
    if name == "compare":  # the trainings of the one before stay
        found, expected = found["results.json"], expected["results.json"]
    if found != expected:
        return "other results"
    return {(0, 2): "good: the second refused", (2, 0): "good: the first refused"}.get(
        codes, "good: one after the other"
    )
