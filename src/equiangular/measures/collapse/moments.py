"""Class means and scatters in one pass, safe near collapse; the global mean they are seen from; directions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from equiangular._validate import check_choice, check_features, check_int, check_labels, values_are_readable


def accumulation_dtype(device: torch.device | str | None = None) -> torch.dtype:
    """float64, or float32 where the device has no float64."""
    return torch.float32 if torch.device(device or "cpu").type == "mps" else torch.float64


def counts_of(index: Tensor, size: int, hits: Tensor | None = None) -> Tensor:
    """How often each of ``size`` values occurs in index (N,) int64, where ``hits`` (N,) bool is true; (size,) int64.

    As ``torch.bincount``, which makes the host wait for an accelerator.
    """
    once = torch.ones_like(index) if hits is None else hits.to(index.dtype)
    return index.new_zeros(size).index_add_(0, index, once)


@dataclass
class ClassMoments:
    """Counts, means and scatters of the features of each class.

    A raw second moment minus a squared mean loses every digit where features have collapsed; here deviations are taken
    from class means, so nothing large is ever subtracted from something large. A batch adds the sum of
    (h - old mean)(h - new mean)^T in one matrix product, which equals its own scatter plus n_a n_b / (n_a + n_b) times
    the square of the shift of the mean (Chan, Golub and LeVeque 1983). O(K d + d^2) memory, or O(K d) without the
    covariance.

    Attributes:
        count: (K,) float, samples of each class.
        mean: (K, d), mean feature of each class; 0 for a class not seen.
        squares: (K,), sum over the class of ||h - mean||^2.
        scatter: (G, d, d), sum over the samples of a slot's classes of (h - mean_y)(h - mean_y)^T, or None.
        slot: (K,) int64, the slot of each class: all 0 unless groups of classes are to have covariances of their own.
    """

    count: Tensor
    mean: Tensor
    squares: Tensor
    scatter: Tensor | None
    slot: Tensor

    @classmethod
    def empty(
        cls,
        num_classes: int,
        dim: int,
        *,
        covariance: bool = True,
        slot: Tensor | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> ClassMoments:
        """Moments of no samples, in float64 unless the device has none.

        Args:
            num_classes: K >= 1.
            dim: d >= 1.
            covariance: whether to keep the scatter.
            slot: (K,) int64 in [0, G): classes that share a scatter matrix; one for all by default.
            device: where to accumulate.
            dtype: dtype of the accumulation.

        Example:
            >>> ClassMoments.empty(3, 2).mean.shape
            torch.Size([3, 2])
        """
        k, d = check_int(num_classes, "num_classes", minimum=1), check_int(dim, "dim", minimum=1)
        zeros: dict[str, Any] = {"device": device, "dtype": dtype or accumulation_dtype(device)}
        slot = torch.zeros(k, dtype=torch.long, device="cpu") if slot is None else slot
        return cls(
            count := torch.zeros(k, **zeros),
            torch.zeros(k, d, **zeros),
            torch.zeros(k, **zeros),
            torch.zeros(int(slot.max()) + 1, d, d, **zeros) if covariance else None,
            slot.to(count.device),
        )

    @property
    def num_classes(self) -> int:
        """K, classes seen or not."""
        return self.count.shape[0]

    @property
    def dim(self) -> int:
        """d, width of the features."""
        return self.mean.shape[1]

    @property
    def seen(self) -> Tensor:
        """(K,) bool, classes with at least one sample."""
        return self.count > 0

    def update(self, features: Tensor, labels: Tensor, *, dtype: torch.dtype | None = None) -> ClassMoments:
        """Add features (B, d), of any precision, and labels (B,) integers in [0, K), in place; returns itself.

        Only the classes of the batch are touched.

        Args:
            features: (B, d).
            labels: (B,).
            dtype: of the deviations and their products. ``torch.float32`` takes about half the time: differences are
                rounded once they are taken, to a relative 1e-7 however near to its mean a feature is, and sums over
                batches are in the dtype of the moments, which is the default.

        Raises:
            ValueError: wrong shapes or dtypes, NaN, or a label out of range.
        """
        check_features(features, dim=self.dim)
        labels = check_labels(labels, self.num_classes, batch=features.shape[0]).to(self.mean.device)
        present, inverse, count = _classes_of(labels, self.num_classes)
        count = count.to(self.mean.dtype)
        if dtype is not None and dtype != self.mean.dtype:
            self._update_narrow(features.detach().to(self.mean.device), labels, present, inverse, count, dtype)
            return self
        h = features.detach().to(self.mean)
        divisor = count.clamp(min=1)[:, None]
        mean = torch.zeros(len(count), self.dim, dtype=h.dtype, device=h.device).index_add_(0, inverse, h) / divisor
        if h.dtype != torch.float64:  # the rounding of the first mean counts where features have collapsed
            mean += torch.zeros_like(mean).index_add_(0, inverse, h - mean.index_select(0, inverse)) / divisor
        before = self.count[present][:, None]
        old = torch.where(before > 0, self.mean[present], mean)
        new = old + (mean - old) * (count[:, None] / (before + count[:, None]).clamp(min=1))
        # Made h - old, h - new and their product in place.
        left, right = (rows.index_select(0, inverse) for rows in (old, new - old))
        torch.sub(h, left, out=left)
        torch.sub(left, right, out=right)
        if self.scatter is not None:
            self._add_product(self.scatter, self.slot[labels], left, right)
        self.squares.index_add_(0, labels, left.mul_(right).sum(1))
        self.mean[present] = new
        self.count[present] += count
        return self

    def _update_narrow(
        self, h: Tensor, labels: Tensor, present: Tensor | slice, inverse: Tensor, count: Tensor, dtype: torch.dtype
    ) -> None:
        """The update with deviations in ``dtype``; they are taken from a point near the old mean, or from a sample.

        With r the old mean in the precision of the features and e what that rounding left, (h - r) - e is h - old mean
        right to the last digit: where it matters, h - r is exact. Of a class that is new, old mean may be any point:
        the sum of (h - r)(h - new mean)^T does not depend on it.
        """
        h = h.to(torch.promote_types(h.dtype, dtype))
        before, divisor = self.count[present][:, None], count.clamp(min=1)[:, None]
        places = torch.arange(len(h), device=h.device)
        first = torch.zeros_like(count, dtype=torch.int64)
        first.scatter_reduce_(0, inverse, places, "amin", include_self=False)
        old = self.mean[present]
        if len(h):
            old = torch.where(before > 0, old, h.index_select(0, first).to(old))
        near = old.to(h.dtype)
        rest = (old - near.to(old)).to(dtype)
        # Two tensors of the size of h, over and over: fresh memory costs more than the sums.
        left = near.index_select(0, inverse)
        left = torch.sub(h, left, out=left).to(dtype)
        right = rest.index_select(0, inverse)
        left.sub_(right)
        deviation = torch.zeros(old.shape, dtype=dtype, device=h.device).index_add_(0, inverse, left).to(old) / divisor
        shift = deviation * (count[:, None] / (before + count[:, None]).clamp(min=1))
        torch.index_select(shift.to(dtype), 0, inverse, out=right)
        torch.sub(left, right, out=right)
        if self.scatter is not None:
            self._add_product(self.scatter, self.slot[labels], left, right)
        self.squares.index_add_(0, labels, left.mul_(right).sum(1).to(self.squares))
        self.mean[present] = torch.where(before + count[:, None] > 0, old + shift, self.mean[present])
        self.count[present] += count

    def merge(self, other: ClassMoments) -> ClassMoments:
        """Add the moments of other samples, in place; returns itself. The order of merging does not matter.

        Raises:
            ValueError: another number of classes or another width, or only one of the two has a covariance.
        """
        if self.mean.shape != other.mean.shape or (self.scatter is None) != (other.scatter is None):
            raise ValueError(
                f"cannot merge moments of shape {tuple(other.mean.shape)} (covariance: {other.scatter is not None}) "
                f"into {tuple(self.mean.shape)} (covariance: {self.scatter is not None}); they must agree."
            )
        count, mean, squares = (t.to(self.mean) for t in (other.count, other.mean, other.squares))
        share = count / (self.count + count).clamp(min=1)
        weight = self.count * share
        shift = mean - self.mean
        self.squares += squares + weight * shift.square().sum(1)
        if self.scatter is not None and other.scatter is not None:
            self.scatter += other.scatter.to(self.mean)
            self._add_product(self.scatter, self.slot, shift, shift * weight[:, None])
        self.mean += share[:, None] * shift
        self.count += count
        return self

    @staticmethod
    def _add_product(scatter: Tensor, slots: Tensor, left: Tensor, right: Tensor) -> None:
        """Add left^T right to the scatters, row by row to the slot of the row."""

        def add(slot: int, left: Tensor, right: Tensor) -> None:
            if left.dtype == scatter.dtype:
                scatter[slot].addmm_(left.T, right)
            else:
                scatter[slot] += left.T @ right

        if len(scatter) == 1:
            add(0, left, right)
        elif values_are_readable(slots):
            for slot in slots.unique().tolist():
                rows = slots == slot
                add(slot, left[rows], right[rows])
        else:
            for slot in range(len(scatter)):
                add(slot, left * (slots == slot)[:, None], right)


def _classes_of(labels: Tensor, num_classes: int) -> tuple[Tensor | slice, Tensor, Tensor]:
    """The classes of a batch, the place of each label among them, and their counts.

    On an accelerator these are all classes: to know which occur, the host would have to wait.
    """
    if values_are_readable(labels):
        present, inverse, count = labels.unique(return_inverse=True, return_counts=True)
        return present, inverse, count
    return slice(None), labels, counts_of(labels, num_classes)


GlobalMean = Literal["class", "sample"]
GLOBAL_MEANS: tuple[GlobalMean, ...] = get_args(GlobalMean)


def global_mean(moments: ClassMoments, kind: GlobalMean = "class") -> Tensor:
    """The point from which class means are seen.

    ``"class"``: mu_G = (1/K) sum_c mu_c over the classes seen: every class counts the same. ``"sample"``: mu_G =
    (1/N) sum_n h_n: on imbalanced data it leans towards the large classes, and no centring by it can show an ETF.
    Returns (d,) tensor.

    Args:
        moments: class moments.
        kind: ``"class"`` or ``"sample"``.
    """
    check_choice(kind, GLOBAL_MEANS, "global_mean")
    weight = moments.seen.to(moments.mean) if kind == "class" else moments.count
    return (weight / weight.sum().clamp(min=1)) @ moments.mean


def centred_means(moments: ClassMoments, kind: GlobalMean = "class", classes: Tensor | None = None) -> Tensor:
    """Class means less the global mean, of the classes seen; 0 where that is :func:`rounding`. Returns (C', d) tensor.

    Args:
        moments: class moments.
        kind: name of the global mean; it is always that of all classes.
        classes: (C,) int64 indices of the classes wanted, by default all; those not seen are left out.
    """
    means = moments.mean[seen_classes(moments, classes)] - global_mean(moments, kind)
    return torch.where(means.square().sum(1, keepdim=True) > rounding(moments), means, torch.zeros_like(means))


def rounding(moments: ClassMoments) -> Tensor:
    """The squared length below which a difference of features is rounding: max_c ||mu_c||^2 times a square; 0-dim.

    The square is that of 1e-13, or of 2 eps where sums are in single precision, whose means are corrected once. Means
    of the same numbers, added in another order, differ by so much. What is below counts as 0: else measures of features
    that are constant, or of a class mean at the global mean, would depend on the order of the samples.
    """
    share = 1e-13 if moments.mean.dtype == torch.float64 else 2 * torch.finfo(moments.mean.dtype).eps
    return moments.mean.square().sum(1).max() * share**2


def seen_classes(moments: ClassMoments, classes: Tensor | None = None) -> Tensor:
    """Indices of the classes that have samples, among ``classes`` or all."""
    seen = moments.seen.nonzero().flatten()
    if classes is None:
        return seen
    classes = torch.as_tensor(classes, dtype=torch.long, device=seen.device)
    return classes[moments.seen[classes]]


def directions(vectors: Tensor) -> Tensor:
    """Rows divided by their norms; a zero row, which has no direction, stays zero."""
    norms = torch.linalg.vector_norm(vectors, dim=1, keepdim=True)
    return vectors / torch.where(norms > 0, norms, torch.ones_like(norms))


def fold(num_classes: int, dim: int, slot: Tensor, covariance: bool, stacked: Tensor) -> Tensor:
    """One packed vector (L,) of moments from those of all processes or batches (P, L), merged by Chan's update."""
    result = torch.zeros_like(stacked[0])
    moments = unpack(result, num_classes, dim, slot, covariance)
    for row in stacked:
        moments.merge(unpack(row, num_classes, dim, slot, covariance))
    return result


def unpack(state: Tensor, num_classes: int, dim: int, slot: Tensor, covariance: bool) -> ClassMoments:
    """Class moments as views of one vector: counts (K), means (K d), squares (K) and scatters (G d d)."""
    k, d = num_classes, dim
    count, mean, squares, scatter = state.split([k, k * d, k, len(state) - k * (d + 2)])
    kept = scatter.view(-1, d, d) if covariance else None
    return ClassMoments(count, mean.view(k, d), squares, kept, slot.to(state.device))
