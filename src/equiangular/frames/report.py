"""How good is a set of class vectors? Every figure beside the bound that no set of its size can beat."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from html import escape
from typing import Any

import numpy as np
import torch
from torch import Tensor

from equiangular._validate import check_num_classes
from equiangular.frames.bounds import levenshtein_bound, rankin_bound, welch_bound
from equiangular.frames.checks import extremes, frame_tensor, gram_tiles, unit_rows
from equiangular.frames.nearest import etf_distance


@dataclass(frozen=True)
class FrameReport:
    """Measured properties of K vectors in d dimensions. Cosines are between unit-normalised rows.

    Attributes:
        num_classes: K.
        dim: d.
        norm_min, norm_max: smallest and largest row norm.
        max_cosine: largest cosine of two rows: the hardest pair of classes. Lower is better.
        min_cosine, mean_cosine: smallest and mean cosine over pairs.
        coherence: largest absolute cosine.
        min_angle: smallest angle of two rows, degrees.
        tightness: largest over smallest nonzero eigenvalue of W^T W, W the unit rows: 1 where W^T W is a multiple of
            the identity on the span (a tight frame), above it otherwise.
        rank: dimension of the span: the number of those eigenvalues, what is smaller than the rounding of the entries
            left out.
        sum_norm: norm of the sum of the unit rows divided by K; 0 for an ETF.
        etf_distance: distance to the nearest simplex ETF, see :func:`etf_distance`; NaN where K > d+1.
        rankin_bound: no K vectors in d dimensions have a smaller ``max_cosine``.
        levenshtein_bound: nor one smaller than this; the larger of the two bounds is the one that counts.
        welch_bound: no K vectors in d dimensions have a smaller ``coherence``.
    """

    num_classes: int
    dim: int
    norm_min: float
    norm_max: float
    max_cosine: float
    min_cosine: float
    mean_cosine: float
    coherence: float
    min_angle: float
    tightness: float
    rank: int
    sum_norm: float
    etf_distance: float
    rankin_bound: float
    levenshtein_bound: float
    welch_bound: float

    def _repr_html_(self) -> str:
        """The lines of :meth:`__str__`, for notebooks."""
        return f"<pre>{escape(str(self))}</pre>"

    def as_dict(self) -> dict[str, Any]:
        """The figures as JSON-plain values; the distance to an ETF is None where there is no ETF."""
        values = asdict(self)
        return {**values, "etf_distance": None if math.isnan(self.etf_distance) else self.etf_distance}

    def __str__(self) -> str:
        none = f"none exists: K={self.num_classes} > d+1={self.dim + 1}"
        distance = none if math.isnan(self.etf_distance) else f"{self.etf_distance:.3g}"
        levenshtein = round(self.levenshtein_bound, 12) + 0.0  # no -3e-17 for 0
        bounds = f"Rankin bound {self.rankin_bound:.6g}, Levenshtein bound {levenshtein:.6g}"
        lines = (
            ("vectors", f"K={self.num_classes} in d={self.dim} dimensions, rank {self.rank}"),
            ("norms", f"{self.norm_min:.6g} to {self.norm_max:.6g}"),
            ("largest cosine", f"{self.max_cosine:.6g}  ({bounds})"),
            ("smallest angle", f"{self.min_angle:.4f} degrees"),
            ("coherence", f"{self.coherence:.6g}  (Welch bound {self.welch_bound:.6g})"),
            ("cosines", f"{self.min_cosine:.6g} to {self.max_cosine:.6g}, mean {self.mean_cosine:.6g}"),
            ("tightness", f"{self.tightness:.6g}  (1: tight)"),
            ("sum of the rows", f"norm {self.sum_norm:.3g} K  (0: balanced)"),
            ("distance to an ETF", distance),
        )
        return "\n".join(f"{name:<20}{value}" for name, value in lines)


def frame_report(weight: Tensor | np.ndarray, *, progress: Callable[[int, int], None] | None = None) -> FrameReport:
    """Measure a set of class vectors, in float64 and tile by tile: O(K d + min(K, d)^2) memory beside one tile.

    ``str()`` of the report is a table. Time: O(K^2 d) for the cosines, and where K <= d+1 a singular value
    decomposition of a d x (K-1) matrix.

    Args:
        weight: (K, d) floating-point tensor or array, K >= 2, no zero row.
        progress: called as progress(done, K) with the rows whose cosines have been measured.

    Raises:
        ValueError: a zero row, NaN, K < 2, or a wrong shape or dtype.

    Example:
        >>> from equiangular import simplex_etf
        >>> report = frame_report(simplex_etf(5, 4, dtype=torch.float64))
        >>> round(report.max_cosine, 6), report.rankin_bound, round(report.min_angle, 4)
        (-0.25, -0.25, 104.4775)
    """
    weight = frame_tensor(weight)
    unit, norms = unit_rows(weight, "weight")
    k, d = check_num_classes(len(unit)), unit.shape[1]
    largest, smallest = -math.inf, math.inf
    for start, stop, tile in gram_tiles(unit):
        low, high = extremes(tile, torch.arange(start, stop, device=tile.device))
        smallest, largest = min(smallest, low), max(largest, high)
        if progress is not None:
            progress(stop, k)
    total = unit.sum(0)
    squares = torch.linalg.eigvalsh(unit.T @ unit if d <= k else unit @ unit.T).clamp(min=0)
    # Entries rounded by a relative eps/2 move every singular value by eps/2 ||W||_F = eps/2 sqrt(K) at most.
    rounding = k * torch.finfo(weight.dtype).eps ** 2 / 4
    kept = squares[squares > max(rounding, float(squares.max()) * max(k, d) * torch.finfo(torch.float64).eps)]
    return FrameReport(
        num_classes=k,
        dim=d,
        norm_min=float(norms.min()),
        norm_max=float(norms.max()),
        max_cosine=largest,
        min_cosine=smallest,
        mean_cosine=float((total @ total - k) / (k * (k - 1))),
        coherence=max(abs(largest), abs(smallest)),
        min_angle=math.degrees(math.acos(max(-1.0, min(1.0, largest)))),
        tightness=float(kept.max() / kept.min()),
        rank=len(kept),
        sum_norm=float(torch.linalg.vector_norm(total)) / k,
        etf_distance=float(etf_distance(unit)) if k <= d + 1 else math.nan,
        rankin_bound=rankin_bound(k, d),
        levenshtein_bound=levenshtein_bound(k, d),
        welch_bound=welch_bound(k, d),
    )
