"""Commands killed at every event of every atomic write, and at random; given again, they end as if nothing had been."""

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


def kills(record: Record, work: Path, *, most: int | None = None, at_random: int = 0) -> None:
    """Run the part: ``most`` events of each command, spread over all, by default every one; and random kills.

    Args:
        record: where the outcomes go.
        work: folder for the runs.
        most: events of a command.
        at_random: kills of a command at a random moment.
    """
    for name, arguments in COMMANDS.items():
        whole, count = work / f"{name}-whole", work / f"{name}-events"
        shutil.rmtree(whole, ignore_errors=True)
        end(start([*arguments, "-o", str(whole)]))  # what it leaves in caches is there from then on
        shutil.rmtree(whole, ignore_errors=True)
        began = time.monotonic()
        if code := end(start([*arguments, "-o", str(whole)], count=count)):
            raise SystemExit(f"{name} ends with {code} without being killed")
        lasted, events, expected = time.monotonic() - began, int(count.read_text()), results(whole)
        chosen = (
            range(events) if most is None else sorted({round(i * (events - 1) / max(1, most - 1)) for i in range(most)})
        )
        for number in chosen:
            record.case(f"kills at a write, {name}", str(number), _killed, name, work, expected, kill_at=number)
        for number in range(at_random):
            after = random.Random(number).uniform(0, lasted)
            record.case(f"kills at random, {name}", str(number), _killed, name, work, expected, after=after)


def _killed(name: str, work: Path, expected: Any, *, kill_at: int | None = None, after: float | None = None) -> str:
    """Kill, look at what is there, give the command again, compare."""
    folder = work / f"{name}-cut"
    shutil.rmtree(folder, ignore_errors=True)
    arguments = [*COMMANDS[name], "-o", str(folder)]
    child = start(arguments, kill_at=kill_at)
    if after is not None:
        time.sleep(after)
        os.kill(child, signal.SIGKILL)
    died = end(child)
    if died not in (-signal.SIGKILL, 0) or (died == 0 and kill_at is not None):
        return f"it ended with {died} and was not killed"
    if bad := torn(folder):
        return f"not whole: {bad[0]}"
    if code := end(start(arguments)):
        return f"given again it ended with {code}"
    if left := leftovers(folder):
        return f"left behind: {left[0]}"
    return "good: whole and identical" if results(folder) == expected else "other results"
