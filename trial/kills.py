"""Commands killed at every event of every atomic write, and at random; given again, they end as if nothing had been."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trial.commands import COMMANDS, Writes, arguments_of, end, leftovers, results, start, torn
from trial.record import Record

# Of the random kills of a command: how many of a hundred; the quick ones have more.
SHARES = {
    "train": 60, "train in two stages": 50, "train in one call": 80, "compare": 30, "compare vectors": 30, "embed": 120,
    "evaluate": 30, "predict": 120, "export to ONNX": 5, "export to pt2": 5, "frame": 80, "frame as npy": 80,
    "measure": 50, "report": 40, "theory": 2,
}  # fmt: skip


def kills(
    record: Record, work: Path, *, most: int | None = None, at_random: int = 0, commands: Sequence[str] = ()
) -> None:
    """Run the part: ``most`` events of each command, spread over all, by default every one; and random kills.

    Args:
        record: where the outcomes go.
        work: folder for the runs.
        most: events of a command.
        at_random: kills of a command at a random moment, on average over the commands and nearly so.
        commands: names; all by default.
    """
    for name in commands or COMMANDS:
        events, lasted, expected = uncut(name, work, Writes())
        for number in chosen(events, most):
            record.case(f"kills at a write, {name}", str(number), _killed, name, work, expected, kill_at=number)
        for number in range(-(-at_random * SHARES[name] // 100)):
            after = random.Random(number).uniform(0, lasted)
            record.case(f"kills at random, {name}", str(number), _killed, name, work, expected, after=after)


def uncut(name: str, work: Path, writes: Writes) -> tuple[int, float, dict[str, Any]]:
    """A command from beginning to end: how many events, how many seconds, and what it leaves."""
    whole, count = work / "whole", work / "events"
    arguments = arguments_of(name, work, whole)
    began = time.monotonic()
    if code := end(start(arguments, writes=writes, count=count)):
        raise SystemExit(f"{name} ends with {code} without being disturbed")
    return int(count.read_text()), time.monotonic() - began, results(whole)


def chosen(events: int, most: int | None) -> Sequence[int]:
    """All events, or some spread over all of them."""
    if most is None:
        return range(events)
    return sorted({round(i * (events - 1) / max(1, most - 1)) for i in range(most)})


def _killed(name: str, work: Path, expected: Any, *, kill_at: int | None = None, after: float | None = None) -> str:
    """Kill, look at what is there, give the command again, compare."""
    folder = work / "cut"
    arguments = arguments_of(name, work, folder)
    child = start(arguments, writes=Writes(kill_at))
    if after is not None:
        time.sleep(after)
        os.kill(child, signal.SIGKILL)
    died = end(child)
    if died not in (-signal.SIGKILL, 0) or (died == 0 and kill_at is not None):
        return f"it ended with {died} and was not killed"
    if bad := torn(folder):
        return f"not whole: {bad[0]}"
    again, odd = arguments, (kill_at or 0) % 2 == 1
    if odd and name.startswith("train") and (folder / "config.yaml").exists():
        again = ["resume", str(folder), "-q"]
    return given_again(again, work, folder, expected)


def given_again(arguments: Sequence[str], work: Path, folder: Path, expected: Any) -> str:
    """A command that was cut short, given again: whether it ends as it would have."""
    said = work / "said"
    if code := end(start(arguments, said=said)):
        return f"given again it ended with {code}: {said.read_text()[-300:]}"
    if left := leftovers(folder):
        return f"left behind: {left[0]}"
    found = results(folder)
    if found == expected:
        return "good: whole and identical"
    other = sorted(n for n in {*found, *expected} if found.get(n) != expected.get(n))
    return f"other results in {', '.join(other)}"
