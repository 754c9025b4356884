"""Progress of an embedding: a bar with the time left, or where there is no terminal a line now and then."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.progress import Progress

_EVERY = 15.0  # seconds from one line to the next


class EmbeddingBar:
    """Called with the inputs done and their number; shows nothing before the first call.

    Args:
        quiet: show nothing at all.
        bar: a progress display to add to; by default one of its own.
    """

    def __init__(self, *, quiet: bool, bar: Progress | None = None) -> None:
        self.quiet, self.shared = quiet, bar
        self.own: Progress | None = None
        self.task: Any = None
        self.began = self.told = 0.0
        self.first = 0

    def __enter__(self) -> EmbeddingBar:
        return self

    def __exit__(self, *_: Any) -> None:
        if self.own is not None:
            self.own.stop()

    def __call__(self, done: int, total: int) -> None:
        """After every batch."""
        if self.quiet:
            return
        from rich.console import Console

        from equiangular.cli._fields import progress_bar

        console = Console(stderr=True)
        now = time.monotonic()
        if not self.began:
            self.began = self.told = now
            self.first = done
        if not console.is_terminal:
            if now - self.told > _EVERY:
                self.told = now
                rate = (done - self.first) / (now - self.began)
                left = time.strftime("%H:%M:%S", time.gmtime((total - done) / max(rate, 1e-9)))
                console.print(f"embedding {done:,} of {total:,}, {rate:.0f}/s, {left} left", highlight=False)
            return
        if self.task is None:
            if self.shared is None:
                self.own = self.shared = progress_bar("inputs")
                self.own.start()
            self.task = self.shared.add_task("embedding", total=total)
        if self.shared is not None:
            self.shared.update(self.task, completed=done, visible=done < total)
