"""Files that are there whole or not at all: written to a temporary name in the same folder, then renamed."""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

_swept: set[str] = set()  # folders that this process has looked through for what killed ones left


def write_atomically(
    path: str | Path, write: Callable[[Path], object], *, durable: bool = False, before: str | Path | None = None
) -> Path:
    """Let ``write`` fill a temporary file beside ``path``, then rename it: a reader sees all of it or none.

    The name of the temporary file says which process it belongs to. What a process that was killed has left in the
    folder is removed by the first write of the next one.

    Args:
        path: the file; its folder must exist.
        write: called with the temporary path.
        durable: whether all is on the disk before the old file goes, so that a power cut costs neither.
        before: name that the old file takes, where there is one.

    Raises:
        OSError: it cannot be written; a file that was there is unharmed.
    """
    target = Path(path)
    sweep(target.parent)
    prefix = f".{target.name}.{_mark()}{os.getpid()}-"
    handle, name = tempfile.mkstemp(prefix=prefix, suffix=target.suffix, dir=target.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        temporary.chmod(0o666 & ~_umask())
        if durable:
            _to_disk(temporary, os.O_RDWR)  # Windows flushes no file that is open to be read alone
        if before is not None and target.exists():
            os.replace(target, before)
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
    if durable and os.name == "posix":
        with contextlib.suppress(OSError):  # the new file is there; not every file system takes this
            _to_disk(target.parent, os.O_RDONLY)
    return target


def sweep(folder: Path) -> None:
    """Remove the temporary files of processes of this machine that are gone, once for each folder and process."""
    if (place := os.path.abspath(folder)) in _swept:
        return
    _swept.add(place)
    pattern = re.compile(rf"\..+\.{_mark()}(\d+)-\w+(\.\w+)?")
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            found = pattern.fullmatch(entry.name)
            if found is not None and is_gone(int(found[1])):
                Path(entry.path).unlink(missing_ok=True)


def is_gone(process: int) -> bool:
    """Whether no process of this machine has the number; False where that cannot be known."""
    if os.name != "posix" or process <= 0:
        return False
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return True
    except OSError:  # it is another user's
        return False
    return False


def _mark() -> str:
    """What the names of temporary files of this machine have in common: process numbers of another say nothing."""
    return f"eq{hashlib.sha256(platform.node().encode()).hexdigest()[:6]}-"


def _to_disk(path: Path, flags: int) -> None:
    handle = os.open(path, flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
