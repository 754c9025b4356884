"""Processes that this library starts end when the one that started them is gone, however it went."""

from __future__ import annotations

import os
import threading
import time

_SECONDS = 0.5  # between two looks


def end_with_parent(parent: int | None = None) -> None:
    """End this process soon after its parent has ended; to be called once, in the child.

    A process that is killed cannot end its children; without this they wait for it until a timeout of the network.

    Args:
        parent: number of the parent, which may be gone already; by default the present one.
    """
    number = os.getppid() if parent is None else parent

    def watch() -> None:
        while os.getppid() == number:
            time.sleep(_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, name="end-with-parent", daemon=True).start()
