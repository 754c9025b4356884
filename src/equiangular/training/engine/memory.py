"""The memory that a piece of work needs at its peak, as the system counts it."""

from __future__ import annotations

import contextlib
import ctypes
import math
import re
from pathlib import Path

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class PeakMemory:
    """While entered, notes by how much the process's resident memory grows at its peak: whatever library takes it.

    Linux counts the peak (``VmHWM``) and sets it back when asked. What was freed before is given back to the system
    first, or it would serve again unseen. What is there already, such as the data, does not count.

    Attributes:
        bytes: the growth, at least 0; NaN while entered and where the system does not count so.

    Example:
        >>> with PeakMemory() as peak:
        ...     block = bytearray(50_000_000)
        >>> peak.bytes >= 40_000_000 or peak.bytes != peak.bytes
        True
    """

    bytes = math.nan

    def __enter__(self) -> PeakMemory:
        self._before = math.nan
        with contextlib.suppress(AttributeError, OSError, TypeError):
            ctypes.CDLL(None).malloc_trim(0)  # of glibc alone
        try:
            _RESET.write_text("5", encoding="ascii")
        except OSError:
            return self
        self._before = _resident("VmRSS")
        return self

    def __exit__(self, *_: object) -> None:
        if not math.isnan(self._before):
            self.bytes = max(0.0, _resident("VmHWM") - self._before)


def _resident(what: str) -> float:
    found = re.search(rf"{what}:\s+(\d+) kB", _STATUS.read_text(encoding="ascii", errors="replace"))
    return 1024.0 * int(found[1]) if found else math.nan
