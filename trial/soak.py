"""Many small runs in one process: memory, threads, descriptors and files stay what they are; and a clock that jumps."""

from __future__ import annotations

import gc
import os
import random
import resource
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from trial.commands import Writes, arguments_of, end, leftovers, results, run, start
from trial.record import Record

_WARM = 0.2  # of the runs, before which memory may grow
_GROWTH = 0.05  # of the memory, that is no growth
_ROUND = ("train in one call", "predict", "train", "frame", "measure", "predict", "train in two stages", "report")


def soak(record: Record, work: Path, *, runs: int = 1000, commands: Sequence[str] = ()) -> None:
    """Run the part: ``runs`` commands one after the other in a forked process, which is looked at ten times."""
    seen, round_ = work / "soak.txt", [name for name in _ROUND if not commands or name in commands]

    def alone() -> str:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, 1)
                os.dup2(nowhere, 2)
                os.close(nowhere)
                seen.write_text(_verdict([*_looks(work, runs, round_)]))
                code = 0
            finally:
                os._exit(code)
        code = end(child, within=24 * 3600.0)
        return seen.read_text() if code == 0 else f"it ended with {code}"

    record.case("soak", f"{runs} runs in one process", alone)


def _looks(work: Path, runs: int, round_: Sequence[str]) -> Iterator[dict[str, float]]:
    out, caches = work / "soak", Path(os.environ["EQUIANGULAR_CACHE"])
    for number in range(runs):
        name = round_[number % len(round_)]
        if code := run(arguments_of(name, work, out)):
            raise RuntimeError(f"{name}, run {number}, ended with {code}")
        if (number + 1) % max(1, runs // 10) == 0:
            gc.collect()
            yield {
                "run": number + 1,
                "memory": int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize(),
                "descriptors": len(os.listdir("/proc/self/fd")),
                "threads": threading.active_count(),
                "files": sum(1 for _ in caches.rglob("*")),
                "left behind": len(leftovers(out)),
            }


def _verdict(looks: list[dict[str, float]]) -> str:
    """What grew after the first fifth; or that nothing did."""
    later = [look for look in looks if look["run"] >= _WARM * looks[-1]["run"]]
    first, last = later[0], later[-1]
    for name in ("descriptors", "threads", "files", "left behind"):
        if last[name] > first[name]:
            return f"{name} grew from {first[name]:.0f} to {last[name]:.0f}"
    sizes = " ".join(f"{look['memory'] / 2**20:.0f}" for look in looks)
    if last["memory"] > (1 + _GROWTH) * first["memory"]:
        return f"memory grew: {sizes} MiB"
    return f"good: flat ({sizes} MiB, {last['descriptors']:.0f} descriptors, {last['threads']:.0f} threads)"


def clock(record: Record, work: Path, *, cases: int = 20, commands: Sequence[str] = ()) -> None:
    """Run the part: commands whose wall clock jumps by years at every look, killed at a write and given again."""
    chosen = [n for n in ("train", "compare", "embed", "train in one call") if not commands or n in commands]
    for number in range(cases):
        name = chosen[number % len(chosen)]
        record.case("clock jumps", str(number), _jumped, name, work, number)


def _jumped(name: str, work: Path, number: int) -> str:
    whole, cut = work / "whole", work / "cut"
    if code := end(start(arguments_of(name, work, whole))):
        return f"undisturbed, it ended with {code}"
    expected, chance = results(whole), random.Random(number)
    arguments = arguments_of(name, work, cut)
    end(start(arguments, writes=Jumping(chance, at=chance.randrange(3, 25))))
    for path in cut.rglob("*"):  # files of the future, or of long ago
        os.utime(path, (stamp := chance.choice((0, 2**31, 2**33)), stamp))
    if code := end(start(arguments, writes=Jumping(chance))):
        return f"given again it ended with {code}"
    if left := leftovers(cut):
        return f"left behind: {left[0]}"
    return "good: identical" if results(cut) == expected else "other results"


class Jumping(Writes):
    """As :class:`Writes`, in a process whose wall clock is somewhere else at every look."""

    def __init__(self, chance: random.Random, at: int | None = None) -> None:
        super().__init__(at)
        self.chance = chance

    def listen(self) -> None:
        """From now on, in this process."""
        super().listen()
        from datetime import datetime, timedelta

        from equiangular import _lock, _provenance

        real, chance = time.time, self.chance

        def jumping() -> float:
            return real() + chance.uniform(-1.0, 1.0) * 1e9

        class Clock(datetime):
            @classmethod
            def now(cls, tz: Any = None) -> datetime:
                return datetime.now(tz) + timedelta(days=chance.randint(-9000, 9000))

        time.time = jumping
        _lock.datetime = _provenance.datetime = Clock  # type: ignore[attr-defined, misc]
