"""What is drawn to mix a batch."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor


@dataclass(frozen=True)
class MixDraws:
    """How one global batch is mixed.

    Attributes:
        partner: (num,) int64: the position in the global batch that each sample is mixed with; positions from num on
            are those of ``extra``.
        lam: share of the sample itself, in [0, 1]; the partner has the rest, in the input and in the target. A number,
            or (num,) float32, one for every sample.
        box: top, left, bottom, right of what CutMix takes from the partner, in pixels; None for mixup.
        extra: int64 positions in the training data of partners that follow the batch; None where all are in it.
    """

    partner: Tensor
    lam: float | Tensor
    box: tuple[int, int, int, int] | None = None
    extra: Tensor | None = None

    def rows(self, rows: slice) -> MixDraws:
        """The draws of a slice of the batch; partners keep their positions in the whole."""
        lam = self.lam[rows] if isinstance(self.lam, Tensor) else self.lam
        return replace(self, partner=self.partner[rows], lam=lam)
