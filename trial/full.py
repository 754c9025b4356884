"""Commands whose disk is full at every step of their writing, and on a disk that is too small; then there is room."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trial.commands import COMMANDS, FullDisk, arguments_of, end, start, torn
from trial.kills import chosen, given_again, uncut
from trial.record import Record


def full(record: Record, work: Path, *, most: int | None = None, commands: Sequence[str] = ()) -> None:
    """Run the part: ``most`` steps of each command, spread over all, by default every one; and disks of 12 sizes.

    Args:
        record: where the outcomes go.
        work: folder for the runs.
        most: steps of a command.
        commands: names; all by default.
    """
    for name in commands or COMMANDS:
        steps, _, expected = uncut(name, work, FullDisk())
        for number in chosen(steps, most):
            for there in (False, True):
                case = f"{number}{', old files there' if there else ''}"
                # A later run may need fewer steps than the first, which made what is cached.
                writes = FullDisk(number, lasting=number % 2 == 0)
                record.case(f"full disk, {name}", case, _full, name, work, expected, writes, there=there)
        if most is None and os.geteuid() == 0 and (size := _size(work / "whole")):
            for part in range(12):
                kilobytes = max(4, round(size / 1024 * (part + 0.5) / 12))
                record.case(f"small disk, {name}", str(kilobytes), _small, name, work, expected, kilobytes)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _full(name: str, work: Path, expected: Any, writes: FullDisk, *, there: bool) -> str:
    """Let the disk be full, look at what is said and what is there, give the command again, compare."""
    folder = work / "cut"
    arguments = arguments_of(name, work, folder)
    if there:
        if code := end(start(arguments)):
            return f"it ended with {code} on an empty disk"
        if "results.json" in expected:  # finished: given again it only reads, and writes its page
            (folder / "results.json").unlink()
    said = work / "said"
    code = end(start(arguments, writes=writes, said=said))
    if wrong := _told(code, said):
        return wrong
    if bad := torn(folder):
        return f"not whole: {bad[0]}"
    if there and (lost := [n for n in expected if not (folder / n).exists() and n != "results.json"]):
        return f"what was there is gone: {lost[0]}"
    return given_again(arguments, work, folder, expected)


def _told(code: int, said: Path) -> str:
    """What is wrong with an exit code and what was printed."""
    text = said.read_text(errors="replace")
    if code not in (0, 2, 3):
        return f"it ended with {code}: {text[-300:]}"
    if code == 2 and not any(words in text for words in ("No space left", "disk is full")):
        return f"it does not say that the disk is full: {text[-300:]}"
    return "" if "Traceback" not in text else f"a traceback: {text[-300:]}"


def _small(name: str, work: Path, expected: Any, kilobytes: int) -> str:
    """A file system in memory of some size, made larger afterwards."""
    disk = work / "disk"
    disk.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "none", str(disk)], check=True)
    try:
        folder, said = disk / "out", work / "said"
        arguments = arguments_of(name, work, folder)
        code = end(start(arguments, said=said))
        if wrong := _told(code, said):
            return wrong
        if bad := torn(folder):
            return f"not whole: {bad[0]}"
        subprocess.run(["mount", "-o", "remount,size=512m", str(disk)], check=True)
        return given_again(arguments, work, folder, expected)
    finally:
        shutil.rmtree(disk / "out", ignore_errors=True)
        subprocess.run(["umount", str(disk)], check=True)
