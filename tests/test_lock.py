"""One writer a folder, in processes of their own: what a second one is told, and what a killed one leaves."""

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from equiangular._files import write_json
from equiangular._lock import LOCK, WRITER, FolderLock

HOLD = """
import sys, time, os
from equiangular._lock import FolderLock
with FolderLock(sys.argv[1]):
    if "fork" in sys.argv and os.fork() == 0:
        time.sleep(3)
        os._exit(0)
    print("held", flush=True)
    time.sleep(60)
"""


def holder(folder: Path, *how: str) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(folder), *how], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_writer_is_told_who_the_first_is_and_takes_over_when_it_is_killed(tmp_path: Path) -> None:
    with holder(tmp_path) as first:
        who = json.loads((tmp_path / WRITER).read_text())
        assert who["process"] == first.pid
        told = rf"is being written by another run.*process {first.pid} on {who['host']}, since {who['since'][:10]}"
        with pytest.raises(ValueError, match=told), FolderLock(tmp_path):
            pass
        assert json.loads((tmp_path / WRITER).read_text()) == who
        first.send_signal(signal.SIGKILL)
        first.wait()
        with FolderLock(tmp_path) as lock:
            lock.check()
            assert lock.writer()["process"] == os.getpid()
    assert os.listdir(tmp_path) == [LOCK]


def test_what_a_killed_writer_says_of_itself_is_forgotten_and_not_what_one_at_work_says(tmp_path: Path) -> None:
    with holder(tmp_path) as first:
        FolderLock(tmp_path).forget_gone()
        assert (tmp_path / WRITER).exists()
        first.send_signal(signal.SIGKILL)
        first.wait()
        FolderLock(tmp_path).forget_gone()
    assert os.listdir(tmp_path) == [LOCK]


def test_a_child_that_outlives_its_killed_parent_does_not_keep_the_folder(tmp_path: Path) -> None:
    with holder(tmp_path, "fork") as first:
        first.send_signal(signal.SIGKILL)
        first.wait()
        started = time.monotonic()
        with FolderLock(tmp_path) as lock:
            lock.check()
        assert time.monotonic() - started < 15


def test_a_process_that_the_writer_has_started_can_check_too(tmp_path: Path) -> None:
    with FolderLock(tmp_path) as lock:
        there = pickle.loads(pickle.dumps(lock))
        there.check()
        with pytest.raises(ValueError, match="is being written"), FolderLock(tmp_path):
            pass
    with pytest.raises(ValueError, match="was moved, emptied or taken over"):
        there.check()


def test_a_writer_whose_folder_was_taken_over_writes_no_more(tmp_path: Path) -> None:
    with FolderLock(tmp_path) as lock:
        mine = lock.writer()
        write_json(tmp_path / WRITER, {**mine, "token": "another"})
        with pytest.raises(ValueError, match="was moved, emptied or taken over"):
            lock.check()
    assert (tmp_path / WRITER).exists()  # it belongs to the other
    (tmp_path / WRITER).write_text("[")
    with FolderLock(tmp_path) as lock:
        lock.check()
        (tmp_path / WRITER).unlink()
        with pytest.raises(ValueError, match="was moved, emptied or taken over"):
            lock.check()


def test_where_a_file_system_has_no_locks_the_last_to_come_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: object, **__: object) -> None:
        raise NotImplementedError("FileSystem does not appear to support flock")  # filelock's words

    monkeypatch.setattr("filelock.FileLock.acquire", none)
    with FolderLock(tmp_path) as first:
        first.check()
        with FolderLock(tmp_path) as second:
            second.check()
            with pytest.raises(ValueError, match="was moved, emptied or taken over"):
                first.check()
        with pytest.raises(ValueError, match="was moved, emptied or taken over"):
            first.check()
