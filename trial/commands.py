"""Every command in forked processes that are killed, or run out of disk, at a chosen moment; and what they leave."""

from __future__ import annotations

import contextlib
import csv
import errno
import gc
import io
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from equiangular import _atomic
from equiangular._files import CACHE_VARIABLE, read_json, read_safetensors
from equiangular._random import isolated_rng

_SHORT = ("--epochs", "2", "--accelerator", "cpu", "-q")
# {out}: the folder that a command is given; {made}: what was made once for all of them.
COMMANDS: dict[str, tuple[str, ...]] = {
    "train": ("train", "iris", "--method", "etf-dr-batch", *_SHORT, "-o", "{out}"),
    "train in two stages": ("train", "iris", "--method", "linear-crt-las", *_SHORT, "-o", "{out}"),
    "train in one call": ("train", "{made}/vectors.npz", "--method", "gaussian", "-q", "-o", "{out}"),
    "compare": (
        "compare", "iris", "--methods", "linear-ce,etf-ce", "--seeds", "2", "--tune", "none", *_SHORT, "-o", "{out}",
    ),
    "compare vectors": (
        "compare", "{made}/vectors.npz", "--methods", "class-means,gaussian", "--seeds", "2", "-q", "-o", "{out}",
    ),
    "embed": (
        "embed", "{made}/texts.csv", "--encoder", "hf-text:{made}/bert#mean", "--cache", "{out}/kept", "-q",
        "-o", "{out}/features.safetensors",
    ),
    "evaluate": ("evaluate", "{made}/run", "-q", "-o", "{out}"),
    "predict": ("predict", "{made}/run", "{made}/rows.csv", "-q", "-o", "{out}/rows.csv"),
    "export to ONNX": ("export", "{made}/run", "{out}/model.onnx"),
    "export to pt2": ("export", "{made}/run", "{out}/model.pt2"),
    "frame": (
        "frame", "7", "3", "--construction", "spread", "--restarts", "2", "--overwrite", "-q",
        "-o", "{out}/frame.safetensors",
    ),
    "frame as npy": ("frame", "8", "7", "--overwrite", "-q", "-o", "{out}/frame.npy"),
    "measure": ("measure", "{made}/run", "-q", "-o", "{out}"),
    "report": ("report", "{made}/run", "{made}/comparison", "-o", "{out}/both.html"),
    "theory": ("theory", "--quick", "-q", "-o", "{out}"),
}  # fmt: skip
# What differs from run to run, and says nothing of a result.
_TIMES = ("seconds", "peak_memory", "provenance", "time_utc", "resumed", "checksum", "path", "output", "speed")
_ALLOWED = ".lock"


class Writes:
    """Counts the events of atomic writes, three or more each, and does something at one of them.

    A temporary file is made; a file is about to take its name; it has it. Of a checkpoint the old one changes its name
    first.

    Args:
        at: number of the event, from 0; None for none.
        act: what is done; kills the process by default.
    """

    def __init__(self, at: int | None = None, act: Callable[[], None] | None = None) -> None:
        self.at, self.seen = at, 0
        self.act = act or (lambda: os.kill(os.getpid(), signal.SIGKILL))

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
        """Count, or act."""
        self.seen += 1
        if self.seen - 1 == self.at:
            self.act()


class FullDisk(Writes):
    """Counts the steps of writes that need room, and lets one, or all from one on, find a full disk.

    Opening for writing, temporary files, renaming, ``fsync``, and folders that are made.

    Args:
        at: number of the first step that fails, from 0; None for none.
        lasting: all after it fail, too.
    """

    def __init__(self, at: int | None = None, *, lasting: bool = True) -> None:
        super().__init__(at)
        self.lasting = lasting

    def listen(self) -> None:
        """From now on, in this process."""
        import builtins

        def fails(function: Callable[..., Any], writes: Callable[..., bool] = lambda *_, **__: True) -> Any:
            def tried(*args: Any, **options: Any) -> Any:
                if writes(*args, **options):
                    self.seen += 1
                    number = self.seen - 1
                    if self.at is not None and (number >= self.at if self.lasting else number == self.at):
                        name = args[0] if args and isinstance(args[0], (str, Path)) else None
                        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), None if name is None else str(name))
                return function(*args, **options)

            return tried

        def opens(file: Any, mode: str = "r", *_: Any, **__: Any) -> bool:
            return isinstance(file, (str, Path)) and bool(set(mode) & set("wax+")) and not str(file).startswith("/dev/")

        tempfile.mkstemp = fails(tempfile.mkstemp)
        os.replace, os.fsync, os.mkdir = fails(os.replace), fails(os.fsync), fails(os.mkdir)
        builtins.open = io.open = fails(io.open, opens)


def start(
    arguments: Sequence[str],
    *,
    writes: Writes | None = None,
    count: Path | None = None,
    said: Path | None = None,
    wait: float = 0.0,
) -> int:
    """Fork a process that runs a command; its number.

    Args:
        arguments: of the command.
        writes: listens to its writes.
        count: a file that gets the number of their events.
        said: a file that gets what it prints.
        wait: seconds before it begins.
    """
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        screen = os.open(said or os.devnull, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(screen, 1)
        os.dup2(screen, 2)
        _atomic._swept.clear()  # what this process is to find, the one before it has not seen
        time.sleep(wait)
        if writes is not None:
            writes.listen()
        code = run(arguments)
        if count is not None and writes is not None:
            with os.fdopen(os.open(count, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), "w") as file:
                file.write(str(writes.seen))
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def run(arguments: Sequence[str]) -> int:
    """Run a command in this process; its exit code."""
    from equiangular.cli import main

    try:
        main(list(arguments))
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def end(child: int, *, within: float = 300.0) -> int:
    """The exit code of a process, or minus the signal that it died of; it is killed where it takes too long."""
    deadline = time.monotonic() + within
    pause = 0.001
    while (found := os.waitpid(child, os.WNOHANG))[0] == 0:
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            raise TimeoutError(f"it took more than {within:g} s")
        time.sleep(pause)
        pause = min(2 * pause, 0.02)
    status = found[1]
    return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def arguments_of(name: str, work: Path, out: Path) -> list[str]:
    """The arguments of a command that writes into a folder, which is emptied."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    return [part.format(out=out, made=work / "made") for part in COMMANDS[name]]


def results(folder: Path) -> dict[str, Any]:
    """What a command has left, file by file, without times: what has to be the same whatever happened on the way."""
    found: dict[str, Any] = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and not p.name.startswith(".")):
        name = str(path.relative_to(folder))
        if name.endswith("-before.safetensors"):  # a checkpoint has one before it, or not
            continue
        if path.suffix == ".json" and path.name != "provenance.json":
            found[name] = _bare(read_json(path))
        elif path.suffix == ".safetensors":
            found[name] = _values(path)
        elif path.suffix == ".csv":
            with path.open(newline="") as file:
                found[name] = [{k: v for k, v in row.items() if k not in _TIMES} for row in csv.DictReader(file)]
        elif path.suffix in (".npy", ".yaml"):
            found[name] = path.read_bytes()
        else:  # a page or a picture, with times in it
            found[name] = path.stat().st_size > 0
    return found


def _bare(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _bare(item) for key, item in value.items() if key not in _TIMES}
    return [_bare(item) for item in value] if isinstance(value, list) else value


def _values(path: Path) -> dict[str, Any]:
    tensors = read_safetensors(path, remedy="")[0]
    return {n: (str(t.dtype), tuple(t.shape), t.contiguous().numpy().tobytes()) for n, t in tensors.items()}


def torn(folder: Path) -> list[str]:
    """The files that are not whole; temporary ones, which no reader takes, are none of them."""
    readers: dict[str, Callable[[Path], Any]] = {
        ".json": read_json,
        ".safetensors": lambda path: read_safetensors(path, remedy=""),
        ".npy": np.load,
        ".html": _ends("</html>"),
        ".svg": _ends("</svg>"),
        ".png": _ends("IEND"),
    }
    found = []
    for path in sorted(folder.rglob("*")) if folder.exists() else ():
        if path.name.startswith(".") or path.suffix not in readers:
            continue
        try:
            readers[path.suffix](path)
        except (ValueError, EOFError) as error:
            found.append(f"{path.name}: {error}")
    return found


def _ends(text: str) -> Callable[[Path], None]:
    def check(path: Path) -> None:
        if text.encode() not in path.read_bytes()[-64:]:
            raise ValueError(f"no {text} at its end")

    return check


def leftovers(folder: Path) -> list[str]:
    """Hidden files but for the lock, and folders of a temporary name."""
    return sorted(p.name for p in folder.rglob("*") if p.name.startswith(("tmp", ".")) and p.name != _ALLOWED)


@contextlib.contextmanager
def loaded(work: Path, commands: Sequence[str] = ()) -> Iterator[None]:
    """What commands, by default all, read is made, and each has run once: what it imports costs a fork nothing."""
    import torch

    torch.set_num_threads(1)
    os.environ[CACHE_VARIABLE] = str(work / "cache")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    made = work / "made"
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(parents=True, exist_ok=True)
    make(made, encoder="embed" in (commands or COMMANDS))
    for name in commands or COMMANDS:
        once(name, arguments_of(name, work, work / "first"))
    gc.collect()
    gc.freeze()
    yield


def once(name: str, arguments: Sequence[str]) -> None:
    """A command in this process, without a word unless it fails."""
    words = io.StringIO()
    with contextlib.redirect_stdout(words), contextlib.redirect_stderr(words):
        code = run(arguments)
    if code:
        raise SystemExit(f"{name} ends with {code}: {words.getvalue()[-1000:]}")


def make(made: Path, *, encoder: bool = True) -> None:
    """Vectors, texts, an encoder if wanted, rows, a run and a comparison."""
    chance = np.random.default_rng(0)
    y = np.arange(60) % 3
    np.savez(made / "vectors.npz", X=chance.normal(size=(60, 6)).astype("f4") + y[:, None], y=y)
    words = ["lost", "card", "again", "pay", "the", "bill"]
    lines = [f"{words[i % 6]} {words[i * 5 % 7 % 6]} {words[i * 3 % 5]},{'ab'[i % 2]}" for i in range(60)]
    (made / "texts.csv").write_text("\n".join(["text,label", *lines]) + "\n")
    (made / "rows.csv").write_text("sepal length (cm),sepal width (cm),petal length (cm),petal width (cm)\n5,3,1,0.2\n")
    if encoder:
        _encoder(made / "bert", words)
    for name, folder in (("train", "run"), ("compare", "comparison")):
        once(name, [part.format(out=made / folder, made=made) for part in COMMANDS[name]])


def _encoder(bert: Path, words: Sequence[str]) -> None:
    """A BERT of eight dimensions with random weights, as its library saves it."""
    import transformers

    bert.mkdir()
    (bert / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]))
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    with isolated_rng(0):
        network = transformers.BertModel(transformers.BertConfig(vocab_size=11, max_position_embeddings=12, **sizes))
    network.save_pretrained(bert)
    transformers.BertTokenizerFast(vocab=str(bert / "vocab.txt")).save_pretrained(bert)
