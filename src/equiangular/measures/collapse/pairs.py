"""All sums over pairs of class means in one pass: blocks of half the Gram matrix, each made once and used for all."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

from equiangular.measures.collapse.moments import directions

PairMeasure = Literal["std", "deviation", "max_cosine", "etf", "gnc2", "cdnv"]
PAIR_MEASURES: tuple[PairMeasure, ...] = get_args(PairMeasure)
_BLOCK = 512  # rows and columns of a block: 2 MB in float64, which a core keeps near
_STEP = 2**22  # numbers at a time where differences are taken


def pair_measures(
    means: Tensor,
    *,
    variances: Tensor | None = None,
    num_classes: int | None = None,
    wanted: Sequence[PairMeasure] = PAIR_MEASURES,
    dtype: torch.dtype | None = None,
) -> dict[PairMeasure, Tensor]:
    """Measures of the pairs i != j of class means M (K, d): 0-dim tensors in the dtype of ``means``; NaN for K < 2.

    With u_i = m_i / ||m_i|| (0 for a zero row) and the cosines c_ij = u_i . u_j: ``std`` and ``max_cosine`` of the
    cosines, ``deviation`` = mean |c_ij + 1/(K'-1)|; ``etf`` = || G/||G||_F - E/||E||_F ||_F with G = M M^T and E the
    Gram matrix of K of the K' vertices of a simplex ETF; ``gnc2``, the variance of log ||u_i - u_j||; ``cdnv``, the
    mean of (v_i + v_j) / (2 ||m_i - m_j||^2). Only blocks with i <= j are made, of which nothing is kept.

    Args:
        means: M (K, d), centred: near coincidence distances are taken from differences, else from products.
        variances: v (K,), for ``cdnv``.
        num_classes: K', K by default.
        wanted: what to compute.
        dtype: of the products, float32 at about half the time and with errors of about 1e-6; by default as ``means``.
    """
    k = means.shape[0]
    if k < 2:
        return dict.fromkeys(wanted, means.new_tensor(math.nan))
    pass_ = _Pass(means, variances, num_classes or k, wanted, dtype or means.dtype)
    for rows, columns in _blocks(k):
        pass_.add(rows, columns)
    return pass_.results()


def _blocks(k: int) -> Iterator[tuple[slice, slice]]:
    for first in range(0, k, _BLOCK):
        for second in range(first, k, _BLOCK):
            yield slice(first, min(first + _BLOCK, k)), slice(second, min(second + _BLOCK, k))


class _Pass:
    """Running sums, and two buffers that every block is worked out in."""

    def __init__(
        self, means: Tensor, variances: Tensor | None, classes: int, wanted: Sequence[PairMeasure], dtype: torch.dtype
    ) -> None:
        self.means, self.unit, self.wanted = means, directions(means), wanted
        k, d = means.shape
        self.k, self.classes = k, classes
        # Above this cosine, products have lost digits: 1 - c bounds ||a - b||^2 / (||a||^2 + ||b||^2) from below.
        self.close = 1 - (1e-4 if dtype == torch.float64 else 1e-2)
        self.cosine = -1 / (classes - 1)
        self.mean = (self.unit.sum(0).square().sum() - self.unit.square().sum()) / (k * (k - 1))
        self.reference = (2 - 2 * self.mean).clamp(min=torch.finfo(means.dtype).tiny).log() / 2
        self.quick = self.unit.to(dtype)
        norms = torch.linalg.vector_norm(means, dim=1)
        self.norms, self.squares = norms.to(dtype), norms.square().to(dtype)
        self.ones = self.unit.square().sum(1).to(dtype)
        self.variances = None if variances is None else variances.to(dtype)
        self.sums = {name: means.new_tensor(0.0) for name in ("std", "deviation", "etf", "log", "log2", "cdnv")}
        self.largest = means.new_tensor(-math.inf)
        size = min(_BLOCK, k)
        self.buffers = [torch.empty(size * size, dtype=dtype, device=means.device) for _ in range(4)]
        if "etf" in wanted:
            gram = means.T @ means if d < k else means @ means.T  # of one norm
            self.gram_norm = float(torch.linalg.matrix_norm(gram))
            self.etf_norm = math.sqrt(k * (1 - 2 / classes + k / classes**2))
            self.off = 1 / (classes * self.etf_norm)
            own = norms.square() / self.gram_norm + self.off - 1 / self.etf_norm
            self.sums["etf"] += own.square().sum()

    def add(self, rows: slice, columns: slice) -> None:
        """Add the pairs of a block and, beside the diagonal, those of its mirror image."""
        shape = (rows.stop - rows.start, columns.stop - columns.start)
        cosines, other, products, scratch = (b[: shape[0] * shape[1]].view(shape) for b in self.buffers)
        torch.mm(self.quick[rows], self.quick[columns].T, out=cosines)
        diagonal = rows == columns
        times = 1 if diagonal else 2
        own = cosines.diagonal() if diagonal else cosines[:0, 0]
        own.fill_(-math.inf)
        largest = cosines.max()
        self.largest = torch.maximum(self.largest, largest.to(self.largest))
        own.fill_(0)
        close = (cosines >= self.close).nonzero(as_tuple=True) if bool(largest >= self.close) else None

        def tally(name: str, value: Tensor) -> None:
            self.sums[name] += times * value.to(self.largest)

        def clear(values: Tensor) -> Tensor:
            if diagonal:
                values.diagonal().fill_(0)
            return values.view(-1)

        if "deviation" in self.wanted:
            flat = clear(torch.sub(cosines, self.cosine, out=other))
            tally("deviation", torch.linalg.vector_norm(flat.view(shape), 1, dim=1).to(self.largest).sum())
        if "std" in self.wanted:
            flat = clear(torch.sub(cosines, self.mean.to(cosines), out=other))
            tally("std", flat @ flat)
        if "etf" in self.wanted or "cdnv" in self.wanted:
            torch.mul(cosines, self.norms[columns], out=products).mul_(self.norms[rows, None])
        if "etf" in self.wanted:
            torch.mul(products, 1 / self.gram_norm, out=other).add_(self.off)
            flat = clear(other)
            tally("etf", flat @ flat)
        if "gnc2" in self.wanted:
            self._squares(other, cosines, self.ones, rows, columns, close, self.unit)
            flat = clear(other.log_().sub_((2 * self.reference).to(other)))
            tally("log", flat.sum() / 2)
            tally("log2", flat @ flat / 4)
        if "cdnv" in self.wanted and self.variances is not None:
            self._squares(other, products, self.squares, rows, columns, close, self.means)
            v, w = self.variances[rows], self.variances[columns]
            if close is None and not diagonal:
                inverse = other.reciprocal_()
                tally("cdnv", (v @ inverse.sum(1) + inverse.sum(0) @ w) / 2)
            else:  # a distance may be 0
                torch.add(v[:, None], w, out=scratch)
                tally("cdnv", clear(scratch.div_(other)).sum() / 2)

    def _squares(
        self,
        out: Tensor,
        inner: Tensor,
        squares: Tensor,
        rows: slice,
        columns: slice,
        close: tuple[Tensor, ...] | None,
        vectors: Tensor,
    ) -> None:
        """||a - b||^2 from inner products; for the pairs that are close from differences."""
        torch.add(squares[columns], inner, alpha=-2, out=out).add_(squares[rows, None])
        if close is None:
            return
        step = max(1, _STEP // max(1, vectors.shape[1]))
        left, right = vectors[rows], vectors[columns]
        for i, j in zip(close[0].split(step), close[1].split(step), strict=True):
            out[i, j] = (left[i] - right[j]).square().sum(1).to(out)

    def results(self) -> dict[PairMeasure, Tensor]:
        """What was wanted, of the sums."""
        pairs, sums = self.k * (self.k - 1), self.sums
        variance = sums["log2"] / pairs - (sums["log"] / pairs) ** 2
        found: dict[PairMeasure, Tensor] = {
            "std": (sums["std"] / pairs).sqrt(),
            "deviation": sums["deviation"] / pairs,
            "max_cosine": self.largest,
            "etf": sums["etf"].sqrt(),
            "gnc2": sums["log"].new_tensor(math.inf) if torch.isinf(sums["log"]) else variance.clamp(min=0),
            "cdnv": sums["cdnv"] / pairs,
        }
        return {name: found[name] for name in self.wanted}
