import errno
import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from equiangular import _atomic
from equiangular._atomic import is_gone, sweep, write_atomically

KILLED = """
import os, signal, sys
from equiangular._atomic import write_atomically
write_atomically(sys.argv[1], lambda path: os.kill(os.getpid(), signal.SIGKILL))
"""


def fill(path: Path, text: str = "new") -> None:
    path.write_text(text)


def test_what_a_killed_process_leaves_is_removed_by_the_next_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "model.onnx"
    target.write_text("old")
    done = subprocess.run([sys.executable, "-c", KILLED, str(target)])
    assert done.returncode == -signal.SIGKILL
    assert len(os.listdir(tmp_path)) == 2
    assert target.read_text() == "old"
    own = tmp_path / f".other.txt.{_atomic._mark()}{os.getpid()}-abc.txt"  # another thread of this process writes
    foreign = tmp_path / ".gitignore"
    own.write_text("")
    foreign.write_text("")
    monkeypatch.setattr(_atomic, "_swept", set())
    write_atomically(tmp_path / "another.txt", fill)
    assert set(os.listdir(tmp_path)) == {"model.onnx", "another.txt", own.name, foreign.name}


def test_the_old_file_takes_another_name(tmp_path: Path) -> None:
    target, before = tmp_path / "a.txt", tmp_path / "before.txt"
    write_atomically(target, lambda path: fill(path, "1"), before=before, durable=True)
    assert not before.exists()
    write_atomically(target, lambda path: fill(path, "2"), before=before, durable=True)
    assert (target.read_text(), before.read_text()) == ("2", "1")
    with pytest.raises(OSError, match="disk full"):
        write_atomically(target, lambda _: (_ for _ in ()).throw(OSError("disk full")), before=before)
    assert (target.read_text(), before.read_text(), len(os.listdir(tmp_path))) == ("2", "1", 2)


def test_processes_that_are_gone() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert is_gone(process.pid)
    assert not any(map(is_gone, (os.getpid(), 1, 0, -1)))
    assert is_gone(10**30)


def test_a_folder_that_cannot_be_read_is_not_swept(tmp_path: Path) -> None:
    sweep(tmp_path / "none")


def test_as_on_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There no folder can be flushed, no file that is open to be read alone, and no process number says anything."""

    def flush(handle: int) -> None:
        if fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        os.fsync(handle)

    def no_signal(*_: object) -> None:
        raise AssertionError("os.kill ends a process on Windows, whatever the signal")

    windows = SimpleNamespace(**{**vars(os), "name": "nt", "fsync": flush, "kill": no_signal})
    monkeypatch.setattr(_atomic, "os", windows)
    left = tmp_path / f".a.txt.{_atomic._mark()}999999999-abc.txt"
    left.write_text("")
    write_atomically(tmp_path / "a.txt", lambda path: fill(path, "1"), durable=True, before=tmp_path / "b.txt")
    write_atomically(tmp_path / "a.txt", lambda path: fill(path, "2"), durable=True, before=tmp_path / "b.txt")
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"a.txt": "2", "b.txt": "1", left.name: ""}
    assert not is_gone(999_999_999)
