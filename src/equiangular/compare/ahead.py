"""Trainings of a comparison in several processes at a time: they fill its folder, from which the comparison reads."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import pickle
import signal
import threading
from collections import deque
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any

import torch

from equiangular._extras import require
from equiangular.compare.trainings import Progress, Trainings
from equiangular.training.methods import Method

_WORTH = 20.0  # seconds of work; what is less is done before the processes have started
_MOST, _BYTES = 8, 2**31  # processes, and bytes of data in all of them together, where no number is asked for
_DONE, _FAILED = "done", "failed"
_Task = tuple[str, "int | None"]  # name of a training; the seed of a run, or None to tune it


def usual_jobs(trainings: Trainings) -> int:
    """How many trainings at a time the machine takes: one a processor core; on a GPU one.

    Each process has the data: of images that do not fit into memory, or large data, fewer.
    """
    hardware, data = trainings.config.hardware, trainings.dataset
    on_cpu = hardware.accelerator == "cpu" or (
        hardware.accelerator == "auto" and not (torch.cuda.is_available() or torch.backends.mps.is_available())
    )
    if not on_cpu or not isinstance(data.train_x, torch.Tensor) or not isinstance(data.test_x, torch.Tensor):
        return 1
    cores = int(require("joblib", extra="train", purpose="Several trainings at a time").cpu_count())
    fit = _BYTES // max(1, data.train_x.nbytes + data.test_x.nbytes)
    return max(1, min(cores // torch.get_num_threads(), fit, _MOST))


def useful_jobs(jobs: int, seconds: float) -> int:
    """One job where so few seconds of work are left that it is done before other processes have begun; else all.

    Example:
        >>> useful_jobs(8, 90.0), useful_jobs(8, 3.0)
        (8, 1)
    """
    return jobs if seconds > _WORTH else 1


def train_ahead(
    trainings: Trainings, groups: Sequence[list[Method]], *, jobs: int, planned: int, progress: Progress | None
) -> None:
    """Make the trainings of groups, several at a time, until all are in the store.

    A group is tuned in one process, for each setting to try depends on those before; its runs are apart. If one fails,
    all end: the comparison goes on by itself, and meets what the process met.

    Args:
        trainings: what to train.
        groups: those of its groups that are not finished; the first are begun first.
        jobs: processes at a time.
        planned: trainings and fits in all.
        progress: told of each training.
    """
    trainings.start(0, None)
    sent = pickle.dumps(trainings)  # whole: tensors in shared memory need more of it than containers have
    tasks: deque[_Task] = deque((group[0].training_name, None) for group in groups)
    done, more = 0, dict.fromkeys(tasks, 0)
    workers = [_Worker(sent) for _ in range(jobs)]
    try:
        busy: dict[Any, tuple[_Worker, _Task]] = {}
        while tasks or busy:
            for worker in workers:
                if tasks and worker.pipe not in busy:
                    busy[worker.pipe] = worker, tasks[0]
                    worker.pipe.send(tasks.popleft())
            for pipe in multiprocessing.connection.wait(list(busy)):
                worker, (name, seed) = busy[pipe]
                what, more[name, seed] = worker.hear()
                if what == _FAILED:
                    return
                if what == _DONE:
                    del busy[pipe]
                    tasks.extend((name, seed) for seed in range(trainings.config.seeds if seed is None else 0))
                    continue
                if progress is not None:
                    progress(what, done, planned + sum(more.values()))
                done += 1
    finally:
        for worker in workers:
            worker.end()


class _Worker:
    """A process that trains what it is given."""

    def __init__(self, sent: bytes) -> None:
        spawn = multiprocessing.get_context("spawn")
        self.pipe, other = spawn.Pipe()
        self.process = spawn.Process(target=_work, args=(other, torch.get_num_threads()))
        self.process.start()
        other.close()  # or the end of the process would not be seen
        self.pipe.send_bytes(sent)

    def hear(self) -> tuple[str, int]:
        """What it is about to do, or that it is done, or has failed; and by how much its plan grew."""
        try:
            what, more = self.pipe.recv()
        except (EOFError, OSError):
            return _FAILED, 0
        return str(what), int(more)

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()


def _work(pipe: Connection, threads: int) -> None:
    """Tune and run, one task after the other, in a process of its own until it is ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is the parent that ends, and ends this
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(threads)
    trainings: Trainings = pickle.loads(pipe.recv_bytes())
    groups = {group[0].training_name: group for group in trainings.groups}
    settings: dict[str, Any] = {}
    while True:
        name, seed = pipe.recv()
        try:
            if seed is not None and name not in settings:  # what was tuned in any process is read
                trainings.start(0, None)
                settings[name] = trainings.tune(groups[name]).settings
            trainings.start(0, lambda what, _, planned: pipe.send((what, planned)))
            if seed is None:
                trainings.tune(groups[name])
            else:
                trainings.run(groups[name], seed, settings[name])
        except Exception:  # the parent meets it again, and has the words for it
            pipe.send((_FAILED, 0))
            return
        pipe.send((_DONE, trainings.planned))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
