"""Being told to stop: SIGTERM, SIGUSR1 and Ctrl-C are noted, and obeyed after the step in hand."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGUSR1") if hasattr(signal, name))
# Processes of a distributed run have to agree on the step they stop at; they ask each other this often.
_STEPS_BETWEEN_QUESTIONS = 16


class Stopped(Exception):  # noqa: N818 - no error: what was asked for
    """A training was told to stop, by a signal of number ``signal``, and has left a checkpoint."""

    def __init__(self, number: int, message: str) -> None:
        super().__init__(message)
        self.signal = number


class StopSignals:
    """While entered, notes SIGTERM, SIGINT and SIGUSR1 instead of dying of them. A second one has its usual effect.

    SIGUSR1 is what SLURM is usually told to send ahead of a time limit (``--signal=USR1@120``).

    Example:
        >>> with StopSignals() as stop:
        ...     signal.raise_signal(signal.SIGTERM)
        ...     stop.received == signal.SIGTERM
        True
    """

    def __init__(self) -> None:
        self.received = 0
        self._before: dict[int, Any] = {}
        self._asked = 0

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: Any) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = number
        for each, handler in self._before.items():
            signal.signal(each, handler)

    def agreed(self, fabric: Any, due: bool) -> tuple[int, bool]:
        """The signal that any process has received, 0 for none, and whether a checkpoint is due on any.

        The answer is the same on all processes, which call this together once a step.
        """
        if fabric.world_size == 1:
            return self.received, due
        self._asked += 1
        if self._asked % _STEPS_BETWEEN_QUESTIONS:
            return 0, False
        import torch

        flags = torch.tensor([float(self.received), float(due)], device=fabric.device)
        number, due = fabric.all_reduce(flags, reduce_op="max").tolist()
        return int(number), bool(due)
