"""Inputs that are nearly right, in forked processes with little memory: read, or refused by a message."""

from __future__ import annotations

import json
import os
import random
import resource
import select
import shutil
import signal
import sys
import tempfile
import traceback
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from trial.commands import COMMANDS, once
from trial.record import Record
from trial.targets import Target, targets

BATCH = 100  # inputs of a process
SECONDS = 20  # of processor time of an input
MEMORY = 3 * 2**30  # bytes beyond what a process begins with
_REFUSED = (ValueError, OSError, ImportError)  # what the command line shows as a message


class Hang(BaseException):
    """An input takes too long."""


def fuzz(record: Record, work: Path, *, inputs: int = 100_000, only: Sequence[str] = ()) -> None:
    """Run the part: ``inputs`` inputs over all targets, by their shares.

    Args:
        record: where the outcomes go.
        work: folder for files.
        inputs: their number.
        only: names of targets; all by default.
    """
    seeds = plant(work)
    every = targets(seeds)
    shares = sum(target.share for target in every)
    for target in every:
        if only and not any(part in target.name for part in only):
            continue
        part, number = f"fuzz, {target.name}", max(1, round(inputs * target.share / shares))
        known = record.cases.setdefault(part, {})
        while rest := [i for i in range(number) if str(i) not in known][:BATCH]:
            for case, outcome in _batch(target, rest, work / "sandbox").items():
                record.case(part, str(case), lambda outcome=outcome: outcome)


def _batch(target: Target, numbers: Sequence[int], sandbox: Path) -> dict[int, str]:
    """The outcomes of some inputs, up to the first that ends the process."""
    shutil.rmtree(sandbox, ignore_errors=True)
    sandbox.mkdir(parents=True)
    source, sink = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(source)
            _child(target, numbers, sandbox, sink)
        finally:
            os._exit(0)
    os.close(sink)
    found: dict[int, str] = {}
    text, silent = b"", False
    while not silent and (ready := select.select([source], [], [], 15.0 * SECONDS)):
        silent = not ready[0]
        if silent or not (block := os.read(source, 2**16)):
            break
        text += block
    os.close(source)
    if silent:
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    for line in text.splitlines():
        number, outcome = json.loads(line)
        found[number] = outcome
    if len(found) < len(numbers):
        ended = "it hangs" if silent else f"the process died: {status}"
        found[numbers[len(found)]] = ended
    return found


def _child(target: Target, numbers: Sequence[int], sandbox: Path, sink: int) -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nowhere, number)
    os.environ |= {
        "EQUIANGULAR_DEBUG": "1",
        "HOME": str(sandbox / "home"),
        "TMPDIR": str(sandbox),
        "EQUIANGULAR_MAX_PIXELS": str(2**22),
    }
    os.chdir(sandbox)
    tempfile.tempdir = str(sandbox)
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + MEMORY, now + MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGPROF, _too_long)
    warnings.simplefilter("ignore")
    outside = _watch(sandbox)
    for number in numbers:
        folder = sandbox / "in"
        folder.mkdir()
        outside.clear()
        outcome = _outcome(target, number, folder)
        if outside:
            outcome = f"outside: {outside[0]}"
        os.write(sink, json.dumps([number, outcome]).encode() + b"\n")
        shutil.rmtree(folder, ignore_errors=True)


def _outcome(target: Target, number: int, folder: Path) -> str:
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        found = target.attempt(random.Random(f"{target.name} {number}"), folder)
    except Hang:
        return f"it takes more than {SECONDS} s"
    except _REFUSED as error:
        return "good: refused" if str(error) else "refused without a word"
    except MemoryError:
        return f"it takes more than {MEMORY >> 30} GiB"
    except Exception as error:
        if "allocate memory" in str(error):
            return f"it takes more than {MEMORY >> 30} GiB"
        ours = [f for f in traceback.extract_tb(error.__traceback__) if "equiangular" in f.filename]
        place = f"{Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else "the trial"
        return f"internal error in {place}: {type(error).__name__}: {str(error)[:120]}"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    if isinstance(found, int) and not isinstance(found, bool) and target.name.startswith("command"):
        return {0: "good: read", 2: "good: refused", 3: "good: refused in part"}.get(found, f"it ended with {found}")
    return "good: read"


def _too_long(*_: Any) -> None:
    raise Hang


def _watch(sandbox: Path) -> list[str]:
    """What is written outside of a folder, run or fetched from now on, in the order of its happening."""
    seen: list[str] = []
    inside, cache, own = str(sandbox), os.environ["EQUIANGULAR_CACHE"], "/proc/self/"

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event == "open":
            path, mode, flags = args
            writes = bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)) if isinstance(flags, int) else mode != "r"
            if writes and isinstance(path, (str, os.PathLike)) and not _allowed(os.fspath(path), inside, cache, own):
                seen.append(f"it writes {path}")
        elif event in ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.symlink", "os.link", "os.truncate"):
            if isinstance(args[0], (str, os.PathLike)) and not _allowed(os.fspath(args[0]), inside, cache, own):
                seen.append(f"{event} {args[0]}")
        elif event in ("pickle.find_class", "os.system", "subprocess.Popen", "socket.connect", "os.exec"):
            if event == "subprocess.Popen" and str(args[0]) in ("git", "uname", "g++"):  # provenance, torch
                return
            seen.append(f"{event} {args[:2]}")

    sys.addaudithook(hook)
    return seen


def _allowed(path: str, *folders: str) -> bool:
    full = os.path.abspath(path)
    return full.startswith(("/dev/", *folders))


def plant(work: Path) -> Path:
    """Files of every kind that are right, and stored models of every kind of input."""
    import pyarrow as pa
    from pyarrow import feather, parquet

    from equiangular import simplex_etf
    from equiangular.closed_form import ClosedForm, save_closed_form
    from equiangular.data import load_dataset, write_vectors
    from equiangular.frames.io import save_frame

    seeds, made = work / "seeds", work / "made"
    shutil.rmtree(seeds, ignore_errors=True)
    some = seeds / "some"
    some.mkdir(parents=True)
    rows = {"x": [i / 7 for i in range(30)], "a": ["red", "blue", "green"] * 10, "label": ["p", "q"] * 15}
    lines = [",".join(rows), *(",".join(map(str, row)) for row in zip(*rows.values(), strict=True))]
    (some / "rows.csv").write_text("\n".join(lines) + "\n")
    (some / "rows.tsv").write_text("\n".join(lines).replace(",", "\t") + "\n")
    (some / "rows.txt").write_text("lost card\npay the bill\n")
    table = pa.table(rows)
    parquet.write_table(table, some / "rows.parquet")
    feather.write_feather(table, some / "rows.feather")
    x, y = np.random.default_rng(0).normal(size=(30, 6)).astype("f4"), np.arange(30) % 3
    np.savez(some / "rows.npz", X=x, y=y)
    np.save(some / "rows.npy", x)
    np.save(some / "labels.npy", y)
    write_vectors(load_dataset(some / "rows.npz"), some / "rows.safetensors")
    save_frame(some / "f.safetensors", simplex_etf(4))
    save_frame(some / "f.npy", simplex_etf(4))
    import torch

    closed = ClosedForm(6, 3).update(torch.from_numpy(x), torch.from_numpy(y))
    save_closed_form(some / "closed.safetensors", closed, metadata={"names": ["a"]})
    (some / "texts.json").write_text('{"a": "when", "b": ["why", "who"]}')
    (some / "prior.json").write_text('{"setosa": 1, "versicolor": 2.5, "virginica": 3}')
    short = ["--epochs", "1", "--accelerator", "cpu", "-q"]
    models = {"iris": "iris", "mixed": some / "rows.csv", "texts": made / "texts.csv", "digits": "digits"}
    for name, data in models.items():
        once(name, ["train", str(data), "--method", "linear-ce", *short, "-o", str(seeds / name)])
    once(
        "vectors", ["train", str(some / "rows.safetensors"), "--method", "gaussian", "-q", "-o", str(seeds / "vectors")]
    )
    for name in ("run", "comparison"):
        shutil.copytree(made / name, seeds / name)
    bare = seeds / "bare"
    bare.mkdir()
    for file in ("config.yaml", "provenance.json", "results.json"):
        shutil.copy(made / "run" / file, bare)
    for name, target in (("evaluate", "evaluation"), ("measure", "measures")):
        once(name, [part.format(out=seeds / target, made=made) for part in COMMANDS[name]])
    return seeds
