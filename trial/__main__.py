"""``python -m trial``: all parts, or some; given again it goes on where it was stopped."""

from __future__ import annotations

import argparse
from pathlib import Path

from equiangular._files import prepare_folder, write_json
from equiangular._lock import FolderLock
from trial.commands import COMMANDS, loaded
from trial.damage import damage
from trial.full import full
from trial.fuzz import fuzz
from trial.kills import kills
from trial.numbers import numbers
from trial.processes import processes
from trial.record import Record
from trial.soak import clock, soak
from trial.writers import writers

PARTS = ("numbers", "kills", "writers", "full", "damage", "soak", "clock", "processes", "fuzz")


def main(arguments: list[str] | None = None) -> int:
    """Run, print the figures, and end with 1 where something was wrong."""
    parser = argparse.ArgumentParser(prog="python -m trial", description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=Path("runs/trial"), help="folder of trial.json")
    parser.add_argument("--only", choices=PARTS, action="append", help="a part; all by default")
    parser.add_argument("--figures", type=Path, help="also write the figures, without the cases, to this file")
    parser.add_argument("--command", choices=COMMANDS, action="append", help="a command; all by default")
    parser.add_argument("--events", type=int, help="moments of a kill or of a full disk; all by default")
    parser.add_argument("--random", type=int, default=100, help="kills at random moments, by shares")
    parser.add_argument("--flips", type=int, default=1000, help="flipped bits of each kind of file")
    parser.add_argument("--cuts", type=int, default=200, help="cut lengths of each kind of file")
    parser.add_argument("--pairs", type=int, default=50, help="pairs of writers")
    parser.add_argument("--cases", type=int, default=10_000, help="cases of numbers")
    parser.add_argument("--inputs", type=int, default=100_000, help="fuzzed inputs")
    parser.add_argument("--runs", type=int, default=1000, help="runs of the soak")
    parser.add_argument("--jumps", type=int, default=20, help="runs whose clock jumps")
    parser.add_argument("--processes", type=int, default=4, help="killed ranks, and as many killed workers")
    told = parser.parse_args(arguments)
    parts = told.only or PARTS
    output = prepare_folder(told.output).resolve()
    work, commands = output / "work", told.command or ()
    with FolderLock(output), loaded(work, commands):
        record = Record(output / "trial.json")
        if "numbers" in parts:
            numbers(record, cases=told.cases)
        if "kills" in parts:
            kills(record, work, most=told.events, at_random=told.random, commands=commands)
        if "writers" in parts:
            writers(record, work, pairs=told.pairs)
        if "full" in parts:
            full(record, work, most=told.events, commands=commands)
        if "damage" in parts:
            damage(record, work, flips=told.flips, cuts=told.cuts)
        if "soak" in parts:
            soak(record, work, runs=told.runs, commands=commands)
        if "clock" in parts:
            clock(record, work, cases=told.jumps, commands=commands)
        if "processes" in parts:
            processes(record, work, cases=told.processes)
        if "fuzz" in parts:
            fuzz(record, work, inputs=told.inputs)
    record.write()
    if told.figures is not None:
        write_json(told.figures, record.summary())
    print(record)
    return int(any(figures["wrong"] for figures in record.figures().values()))


if __name__ == "__main__":
    raise SystemExit(main())
