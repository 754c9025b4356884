"""Commands in processes of their own that are killed at a chosen moment of their writing, and what they leave."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from equiangular._files import read_json, read_safetensors

TRAIN = ("train", "iris", "--method", "etf-dr-batch", "--epochs", "2", "--accelerator", "cpu", "-q")
COMPARE = (
    "compare", "iris", "--methods", "linear-ce,etf-ce", "--epochs", "2", "--seeds", "2", "--tune", "none", "-q",
    "--accelerator", "cpu",
)  # fmt: skip
COMMANDS = {"train": TRAIN, "compare": COMPARE}
# What differs from run to run, and says nothing of a result.
_TIMES = ("seconds", "peak_memory", "provenance", "time_utc")


def start(arguments: Sequence[str], *, kill_at: int | None = None, count: Path | None = None, wait: float = 0.0) -> int:
    """Fork a process that runs a command; its number.

    Args:
        arguments: of the command.
        kill_at: number of the event of an atomic write, from 0, at which the process kills itself.
        count: a file that gets the number of events.
        wait: seconds before it begins.
    """
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        time.sleep(wait)
        events = Events(kill_at)
        events.listen()
        code = _run(arguments)
        if count is not None:
            count.write_text(str(events.seen))
    finally:
        os._exit(code)


class Events:
    """Counts the events of atomic writes, three or more each, and kills the process at one of them.

    A temporary file is made; a file is about to take its name; it has it. Of a checkpoint the old one changes its name
    first.
    """

    def __init__(self, kill_at: int | None) -> None:
        self.kill_at, self.seen = kill_at, 0

    def listen(self) -> None:
        """From now on, in this process."""
        make, replace = tempfile.mkstemp, os.replace

        def made(*args: Any, **options: Any) -> Any:
            result = make(*args, **options)
            self.event()
            return result

        def renamed(*args: Any, **options: Any) -> None:
            self.event()
            replace(*args, **options)
            self.event()

        tempfile.mkstemp, os.replace = made, renamed

    def event(self) -> None:
        """Count, or die."""
        if self.seen == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        self.seen += 1


def _run(arguments: Sequence[str]) -> int:
    from equiangular.cli import main

    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    try:
        main(list(arguments))
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def end(child: int) -> int:
    """The exit code of a process, or minus the signal that it died of."""
    _, status = os.waitpid(child, 0)
    return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def results(folder: Path) -> Any:
    """What a command has found, without times: what has to be the same whatever happened on the way."""

    def bare(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: bare(item) for key, item in value.items() if key not in _TIMES}
        return [bare(item) for item in value] if isinstance(value, list) else value

    found = bare(read_json(folder / "results.json"))
    files = sorted(p for p in folder.rglob("model.safetensors") if p.parent.name in ("model", "best"))
    tensors = {str(p.relative_to(folder)): _values(p) for p in files}
    return json.loads(json.dumps([found, tensors]))


def _values(path: Path) -> dict[str, Any]:
    return {name: value.tolist() for name, value in read_safetensors(path, remedy="")[0].items()}


def torn(folder: Path) -> list[str]:
    """The files that are not whole; temporary ones, which no reader takes, are none of them."""
    readers: dict[str, Callable[[Path], Any]] = {
        ".json": read_json,
        ".safetensors": lambda path: read_safetensors(path, remedy=""),
    }
    found = []
    for path in sorted(folder.rglob("*")) if folder.exists() else ():
        if path.name.startswith(".") or path.suffix not in readers:
            continue
        try:
            readers[path.suffix](path)
        except ValueError as error:
            found.append(str(error))
    return found


def leftovers(folder: Path) -> list[str]:
    """Hidden files but for the lock."""
    return sorted(p.name for p in folder.rglob(".*") if p.name != ".lock")


@contextlib.contextmanager
def loaded() -> Any:
    """Everything imported that a child needs, so that a fork costs little."""
    import matplotlib.pyplot  # noqa: F401
    import torch

    import equiangular.cli.app
    import equiangular.compare
    import equiangular.training  # noqa: F401

    torch.set_num_threads(1)
    sys.stdout.flush()
    yield
