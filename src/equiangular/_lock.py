"""One writer a folder: a lock that the system frees when its process ends, however it ends."""

from __future__ import annotations

import contextlib
import os
import platform
import secrets
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from equiangular._atomic import is_gone
from equiangular._extras import require
from equiangular._files import read_json, write_json

LOCK, WRITER = ".lock", ".writer.json"
_ORPHANS = 15.0  # seconds that processes of a killed writer may take to see that it is gone


class FolderLock:
    """While entered, this process alone writes into a folder.

    The lock is the system's, on the file ``.lock``: a writer that was killed holds it no longer, and the next one takes
    the folder over. ``.writer.json`` says who writes. Where a file system has no locks the last to come writes, and
    :meth:`check` stops the one before.

    Args:
        folder: the folder; it exists.

    Raises:
        ValueError: another process writes there; the message has its number, its host and since when.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder, FolderLock(folder) as lock:
        ...     lock.check()
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._me: dict[str, Any] = {}
        self._lock: Any = None

    def __getstate__(self) -> dict[str, Any]:
        """A copy in another process, such as one that trains for this one, can check; the lock stays here."""
        return {**self.__dict__, "_lock": None}

    def __enter__(self) -> FolderLock:
        filelock = require("filelock", extra="train", purpose="Writing into a folder that others may write into")
        self._lock = filelock.FileLock(str(self.folder / LOCK))
        try:
            self._lock.acquire(timeout=0)
        except filelock.Timeout as error:
            try:  # a writer that is gone may have left processes that are about to go
                self._lock.acquire(timeout=_ORPHANS if self.left() else 0)
            except filelock.Timeout:
                raise ValueError(self._taken()) from error
        except NotImplementedError:
            self._lock = None
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        self._me = {"process": os.getpid(), "host": platform.node(), "since": now, "token": secrets.token_hex(8)}
        write_json(self.folder / WRITER, self._me)
        return self

    def __exit__(self, *_: Any) -> None:
        if self.writer() == self._me:
            (self.folder / WRITER).unlink(missing_ok=True)
        if self._lock is not None:
            self._lock.release()

    def writer(self) -> dict[str, Any]:
        """Who writes, as far as the folder says; empty where it does not."""
        try:
            found = read_json(self.folder / WRITER)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def check(self) -> None:
        """Raise if the folder is not this writer's any more: it was moved, deleted or taken by another process.

        Raises:
            ValueError: that is so; nothing is to be written.
        """
        if self.writer() != self._me:
            raise ValueError(
                f"{str(self.folder)!r} was moved, emptied or taken over while this process wrote into it. Nothing more "
                "is written. Start again in a folder of its own (--output)."
            )

    def forget_gone(self) -> None:
        """Remove what a killed writer of this machine has said of itself; where nothing can be removed, it stays."""
        if self.left():
            with contextlib.suppress(OSError):
                (self.folder / WRITER).unlink(missing_ok=True)

    def left(self) -> bool:
        """Whether the writer is of this machine and gone, so that only processes of its own can hold the lock."""
        who = self.writer()
        number = who.get("process")
        return isinstance(number, int) and who.get("host") == platform.node() and is_gone(number)

    def _taken(self) -> str:
        who = self.writer()
        process = f"process {who['process']} on {who['host']}, since {who['since']}" if _complete(who) else "a process"
        return (
            f"{str(self.folder)!r} is being written by another run of equiangular ({process}). Wait for it or stop it, "
            "or give this run a folder of its own (--output)."
        )


def _complete(who: dict[str, Any]) -> bool:
    return all(name in who for name in ("process", "host", "since"))
