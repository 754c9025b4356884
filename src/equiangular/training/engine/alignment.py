"""A fixed head that is moved to the class means between epochs, in any training loop."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from equiangular._validate import check_choice, check_int
from equiangular.heads import Head
from equiangular.heads.alignment import MOVES, Move, align_head
from equiangular.heads.unstored import UnstoredFrame
from equiangular.measures.collapse import ClassMoments


class AlignmentSchedule:
    """Collects class means while a loop runs and aligns the head with them after chosen epochs.

    Means are streamed (O(K d) memory) and forgotten at every ``step``, so that they are those of the current epoch.
    Classes without a sample just follow the frame. In a distributed run every process sees its own samples: sum them
    with ``ClassMoments.merge`` before ``step``.

    Args:
        head: a fixed head, see :func:`equiangular.align_head`.
        every: epochs between alignments.
        until: the last epoch, counted from 1, after which the head may move; None never stops. A frame at rest at the
            end lets the features settle.
        move: ``"turn"`` the frame or ``"match"`` classes to its vertices.

    Attributes:
        moments: class moments of the epoch so far.
        epoch: epochs ended.

    Raises:
        ValueError: an argument out of its range.

    Example:
        >>> import torch
        >>> from equiangular import ETFHead
        >>> head = ETFHead(8, 3, norm="batch")
        >>> schedule = AlignmentSchedule(head, until=2)
        >>> for epoch in range(4):
        ...     h = head(torch.randn(30, 8), pre_logits=True)
        ...     schedule.update(h, torch.arange(30) % 3)
        ...     moved = schedule.step()
        >>> schedule.epoch, moved
        (4, False)

    Source: Markou et al., "Guiding Neural Collapse", NeurIPS 2024, which solves for the nearest ETF in every step.
    """

    def __init__(self, head: Head, *, every: int = 1, until: int | None = None, move: Move = "turn") -> None:
        self.head = head
        if isinstance(head, UnstoredFrame):
            head.store_frame()  # before anything has counted the buffers
        self.every = check_int(every, "every", minimum=1)
        self.until = None if until is None else check_int(until, "until", minimum=1)
        self.move = check_choice(move, MOVES, "move")
        self.epoch = 0
        self.moments: ClassMoments | None = None

    def update(self, features: Tensor, labels: Tensor) -> None:
        """Take a batch into account: h (B, dim), from ``head(x, pre_logits=True)``, and integer labels (B,) in [0, K).

        Raises:
            ValueError: wrong shapes or dtypes, NaN, or a label out of range.
        """
        if self.moments is None:
            empty = ClassMoments.empty
            self.moments = empty(self.head.num_classes, self.head.dim, covariance=False, device=features.device)
        self.moments.update(features, labels)

    def step(self) -> bool:
        """End the epoch; align the head if it is one of the schedule's, and say whether it was."""
        self.epoch += 1
        moments, self.moments = self.moments, None
        due = self.epoch % self.every == 0 and (self.until is None or self.epoch <= self.until)
        if not due or moments is None:
            return False
        align_head(self.head, moments.mean, moments.count, move=self.move)
        return True

    def state_dict(self) -> dict[str, Any]:
        """What a run resumed between epochs needs beside the head's own state."""
        return {"epoch": self.epoch}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from :meth:`state_dict`."""
        self.epoch = int(state["epoch"])
