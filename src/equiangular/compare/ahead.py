"""Trainings of a comparison in several processes at a time: they fill its folder, from which the comparison reads."""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.connection
import pickle
import signal
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from typing import Any

import torch

from equiangular._extras import require
from equiangular._orphans import end_with_parent
from equiangular.compare.trainings import Progress, Trainings
from equiangular.training.methods import Method

_WORTH = 20.0  # seconds of work; what is less is done before the processes have started
_MOST, _BYTES = 8, 2**31  # processes, and bytes of data in all of them together, where no number is asked for
_READY, _DONE, _FAILED, _ENDED = "ready", "done", "failed", "ended"
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


def check_importable(jobs: int) -> None:
    """End a process that only imports the script that started it, where the script compares with several jobs.

    Such a script would start processes without end; Python stops that with a page of tracebacks.
    """
    # A process that multiprocessing has started calls the script so, and knows its parent when it has imported it.
    imported = getattr(sys.modules.get("__mp_main__"), "__name__", "") == "__mp_main__"
    if jobs != 1 and imported and multiprocessing.parent_process() is None:
        sys.exit(
            "equiangular: every process of compare(jobs=...) imports the script that called it. Put what the script "
            'does behind if __name__ == "__main__":, or leave out jobs.'
        )


def train_ahead(
    trainings: Trainings, groups: Sequence[list[Method]], *, jobs: int, planned: int, progress: Progress | None
) -> tuple[bool, list[str]]:
    """Make the trainings of groups, several at a time, until all are in the store.

    A group is tuned in one process, for each setting to try depends on those before; its runs are apart. If a training
    fails, all end: the comparison goes on by itself, and meets what the process met. What a process was at that ended
    by itself is left to the comparison too.

    Args:
        trainings: what to train.
        groups: those of its groups that are not finished; the first are begun first.
        jobs: processes at a time, at most.
        planned: trainings and fits in all.
        progress: told of each training.

    Returns:
        Whether all of it is there, and what is to be told of processes that ended by themselves.
    """
    trainings.start(0, None)
    sent = pickle.dumps(trainings)  # whole: tensors in shared memory need more of it than containers have
    tasks: deque[_Task] = deque((group[0].training_name, None) for group in groups)
    done, more = 0, dict.fromkeys(tasks, 0)
    workers: dict[Any, _Worker] = {}
    notes: list[str] = []
    try:
        while True:
            waiting = sum(worker.task is None for worker in workers.values())
            while len(workers) + len(notes) < jobs and waiting < len(tasks):  # as many as have something to do
                worker = _Worker()
                workers[worker.pipe] = worker
                waiting += 1
            for worker in workers.values():
                if worker.ready and worker.task is None and tasks:
                    worker.give(tasks.popleft())
            if not workers or not (tasks or any(worker.task for worker in workers.values())):
                return not (tasks or notes), notes
            for pipe in multiprocessing.connection.wait(list(workers)):
                worker = workers[pipe]
                what, number = worker.hear()
                if what == _READY:
                    worker.take(sent)
                elif what == _ENDED:
                    notes.append(worker.epitaph())
                    del workers[pipe]
                elif what == _FAILED:
                    return False, notes
                elif worker.task is not None:
                    name, seed = worker.task
                    more[worker.task] = number
                    if what == _DONE:
                        worker.task = None
                        tasks.extend((name, seed) for seed in range(trainings.config.seeds if seed is None else 0))
                        continue
                    if progress is not None:
                        progress(what, done, planned + sum(more.values()))
                    done += 1
    finally:
        for worker in workers.values():
            worker.end()


class _Worker:
    """A process that trains what it is given."""

    def __init__(self) -> None:
        spawn = multiprocessing.get_context("spawn")
        self.pipe, other = spawn.Pipe()
        self.task: _Task | None = None
        self.ready = False
        self.process = spawn.Process(target=_work, args=(other, torch.get_num_threads()))
        with _without_interrupts():  # it is the parent that Ctrl-C ends, and that ends this
            self.process.start()
        other.close()  # or the end of the process would not be seen

    def take(self, sent: bytes) -> None:
        """Send what there is to train, now that the process is up and reads: the pipe holds little."""
        with contextlib.suppress(OSError):  # it has ended, which is heard of next
            self.pipe.send_bytes(sent)
        self.ready = True

    def give(self, task: _Task) -> None:
        self.task = task
        with contextlib.suppress(OSError):
            self.pipe.send(task)

    def hear(self) -> tuple[str, int]:
        """That it is up, what it is about to train and by how much its plan grew, or that it is done, or has failed."""
        try:
            what, more = self.pipe.recv()
        except (EOFError, OSError):
            return _ENDED, 0
        return str(what), int(more)

    def epitaph(self) -> str:
        """How a process ended that was not told to."""
        self.end()
        code = self.process.exitcode or 0
        how = f"by signal {-code}, as for lack of memory" if code < 0 else f"with code {code}"
        return f"a process that trained ended {how}; what it was at was made again"

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()


@contextlib.contextmanager
def _without_interrupts() -> Iterator[None]:
    """Hold Ctrl-C back, here until the end of the block, and for ever in processes that are started in it."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work(pipe: Connection, threads: int) -> None:
    """Tune and run, one task after the other, in a process of its own until it is ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    end_with_parent(None if parent is None else parent.pid)
    torch.set_num_threads(threads)
    with contextlib.suppress(EOFError, OSError):  # the parent is gone
        pipe.send((_READY, 0))
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
