"""What closed-form classifiers know of their samples: counts, class means, one scatter; merged and removed exactly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from equiangular._validate import NonFiniteError, check_features, check_int, check_labels
from equiangular.closed_form.sketch import CAPACITY, Sketch, content_hashes

BLOCK = 1024  # rows in float64 at a time


@dataclass
class ClassStatistics:
    """Weights, means and pooled within-class scatter of samples, in float64 whatever the features' dtype.

    n_k = sum_i w_i, mu_k = sum_i w_i x_i / n_k over the samples i of class k, and
    S = sum_i w_i (x_i - mu_{y_i})(x_i - mu_{y_i})^T. A weight of 2 is the same as the sample twice. Blocks of rows are
    merged by Chan's update, so nothing large is subtracted from something large; removal is the same with a minus.
    The result does not depend on order, batches or shards beyond rounding. O(K d + d^2) numbers, whatever N.

    Attributes:
        count: (K,) float64, n_k.
        mean: (K, d) float64; 0 for a class without samples.
        scatter: (d, d) float64, S.
        sketch: some of the samples, for leave-one-out, see :class:`Sketch`. Its rows are the features as they came.
        transform: what maps blocks of features (B, p) float64 to (B, d) before anything is added up, or None.

    Example:
        >>> x, y = torch.randn(6, 3), torch.tensor([0, 1, 0, 1, 0, 1])
        >>> a, b = (ClassStatistics.empty(2, 3).update(x[i::2], y[i::2]) for i in (0, 1))
        >>> a.merge(b).count
        tensor([3., 3.], dtype=torch.float64)

    Source: Chan, Golub and LeVeque, "Algorithms for computing the sample variance", The American Statistician 1983.
    """

    count: Tensor
    mean: Tensor
    scatter: Tensor
    sketch: Sketch = field(repr=False)
    transform: Callable[[Tensor], Tensor] | None = field(default=None, repr=False)

    @classmethod
    def empty(
        cls,
        num_classes: int,
        dim: int,
        *,
        transform: Callable[[Tensor], Tensor] | None = None,
        device: torch.device | str | None = None,
    ) -> ClassStatistics:
        """Statistics of no samples of K >= 0 classes with ``dim`` >= 1 features, mapped by ``transform``."""
        k, p = check_int(num_classes, "num_classes", minimum=0), check_int(dim, "dim", minimum=1)
        zeros: dict[str, Any] = {"dtype": torch.float64, "device": device}
        d = p if transform is None else transform(torch.zeros(1, p, **zeros)).shape[1]
        scatter = torch.zeros(d, d, **zeros)
        return cls(torch.zeros(k, **zeros), torch.zeros(k, d, **zeros), scatter, Sketch.empty(k, p), transform)

    @property
    def num_classes(self) -> int:
        """K, classes with samples or without."""
        return self.mean.shape[0]

    @property
    def dim(self) -> int:
        """d, width of the features that are added up."""
        return self.mean.shape[1]

    @property
    def in_features(self) -> int:
        """p, width of the features as they come."""
        return int(self.sketch.rows.shape[1])

    def mapped(self, rows: Tensor) -> Tensor:
        """Features (B, d) of features (B, p) as they come."""
        return rows if self.transform is None else self.transform(rows)

    def _fresh(self, num_classes: int) -> ClassStatistics:
        return ClassStatistics.empty(num_classes, self.in_features, transform=self.transform, device=self.mean.device)

    def grow(self, num_classes: int) -> ClassStatistics:
        """Append classes without samples until there are ``num_classes``, in place; returns itself."""
        more = check_int(num_classes, "num_classes", minimum=self.num_classes) - self.num_classes
        self.count = torch.cat([self.count, self.count.new_zeros(more)])
        self.mean = torch.cat([self.mean, self.mean.new_zeros(more, self.dim)])
        self.sketch.grow(num_classes)
        return self

    def reorder(self, index: Tensor, num_classes: int) -> ClassStatistics:
        """The same samples among ``num_classes`` classes: class k here is class ``index[k]`` there. Shares S."""
        other = self._fresh(num_classes)
        other.count[index], other.mean[index], other.scatter = self.count, self.mean, self.scatter
        numbers = index.cpu().numpy()
        s = self.sketch
        thresholds = other.sketch.thresholds
        thresholds[numbers] = s.thresholds
        other.sketch = Sketch(s.hashes, numbers[s.labels], s.rows, s.weights, thresholds, s.whole)
        return other

    def restrict(self, index: Tensor) -> ClassStatistics:
        """The classes ``index`` (C,), which are all that have samples, in that order. Shares S and the rows."""
        s, numbers = self.sketch, index.cpu().numpy()
        place = np.full(self.num_classes, -1)
        place[numbers] = np.arange(len(numbers))
        sketch = Sketch(s.hashes, place[s.labels], s.rows, s.weights, s.thresholds[numbers], s.whole)
        return ClassStatistics(self.count[index], self.mean[index], self.scatter, sketch, self.transform)

    def update(self, features: Tensor, labels: Tensor, weights: Tensor | None = None) -> ClassStatistics:
        """Add samples, in place; returns itself.

        Args:
            features: (N, d) floating point of any precision and device.
            labels: (N,) integers in [0, K).
            weights: (N,) of at least 0; 1 by default. Samples of weight 0 are left out.

        Raises:
            ValueError: wrong shapes or dtypes, NaN, a label out of range, or a bad weight.
        """
        x, y, w = self._check(features, labels, weights)
        order = y.argsort(stable=True)
        order = order[w[order] > 0]
        present = int(((self.count > 0) | (torch.bincount(y[order], minlength=self.num_classes) > 0)).sum())
        share, waiting, rows = max(1, CAPACITY // max(1, present)), [], 0
        for index in order.split(BLOCK):  # class by class: a block has few means
            raw = x[index.to(x.device)].to(self.mean)
            found = self.sketch.candidates(raw.cpu().numpy(), y[index].numpy(), w[index].numpy(), share)
            self.sketch.thresholds = found.thresholds
            waiting.append(found)
            rows += len(found.rows)
            if rows > CAPACITY // 2:
                self.sketch.add(waiting, share)
                waiting, rows = [], 0
            self._add_block(self.mapped(raw), y[index].to(raw.device), w[index].to(raw.device))
        if len(order):
            self.sketch.add(waiting, share)
        return self

    def merge(self, other: ClassStatistics) -> ClassStatistics:
        """Add the samples of other statistics, in place; returns itself. Associative and commutative but for rounding.

        Raises:
            ValueError: another number of classes or another width.
        """
        self._check_alike(other)
        classes = (other.count > 0).nonzero().flatten().to(self.mean.device)
        count, mean = (t.to(self.mean.device)[classes] for t in (other.count, other.mean))
        _add_gram(self.scatter, self._move(classes, count, mean))
        self.scatter += other.scatter.to(self.scatter)
        self.sketch.add([other.sketch], max(1, CAPACITY // max(1, int((self.count > 0).sum()))))
        return self

    def remove(self, features: Tensor, labels: Tensor, weights: Tensor | None = None) -> ClassStatistics:
        """Take samples out again, in place; returns itself. What is left equals statistics that never had them.

        Arguments as in :meth:`update`. Samples that were never added, or more of their weight than was, are always
        found among those that the sketch knows: all of a class, up to about 1,000 / K. Of others sums tell only what
        cannot be: a class with less weight than nothing or than its kept samples, one without samples and with another
        mean, a scatter that is no longer positive semidefinite. The rest changes the classifier unseen, and only your
        own record of what was added can prevent it.

        Raises:
            ValueError: as in :meth:`update`, or samples that were never added, where that can be told. Nothing is
                changed then.
        """
        x, y, w = self._check(features, labels, weights)
        keep = w > 0
        x, y, w = x[keep.to(x.device)], y[keep], w[keep]
        gone = self._fresh(self.num_classes).update(x, y, w)
        left = self.count - gone.count
        left[left.abs() <= 1e-9 * gone.count] = 0
        if bool((left < 0).any()):
            k = int(left.argmin())
            raise ValueError(
                f"cannot remove samples of weight {gone.count[k]:g} from class {k}, which has {self.count[k]:g}. "
                "Remove only what was added, with the label and weight it was added with."
            )
        emptied = (left == 0) & (gone.count > 0)
        apart = (gone.mean - self.mean)[emptied].abs()
        size = self.mean[emptied].abs() + gone.mean[emptied].abs() + self.scatter.diagonal().clamp(min=0).sqrt()
        if bool((apart > 1e-6 * size).any()):
            raise ValueError(STRANGERS)
        hashes = content_hashes(x.to(self.mean).cpu().numpy())
        try:
            place = self.sketch.find(hashes, y.numpy(), w.numpy())
        except ValueError as error:
            raise ValueError(f"{STRANGERS} ({error})") from None
        sketched = np.bincount(self.sketch.labels, self.sketch.weights, self.num_classes)
        known = place >= 0
        sketched -= np.bincount(y.numpy()[known], w.numpy()[known], self.num_classes)
        if bool((left.cpu().numpy() < sketched * (1 - 1e-9) - 1e-9 * gone.count.cpu().numpy()).any()):
            raise ValueError(f"{STRANGERS} (More of a class is left in the sketch than in all.)")
        classes, before = (gone.count > 0).nonzero().flatten(), (self.count.clone(), self.mean.clone())
        removed = gone.scatter
        _add_gram(removed, self._move(classes, gone.count[classes], gone.mean[classes], sign=-1))
        scatter = self.scatter - removed
        if not known.all() and _overdrawn(self.scatter, scatter, float(removed.trace())):
            self.count, self.mean = before
            raise ValueError(f"{STRANGERS} (The samples left would have a negative variance.)")
        self.scatter = scatter
        self.count[emptied], self.mean[emptied] = 0.0, 0.0
        if not self.count.any():
            self.scatter.zero_()
        self.sketch.take_out(place, w.numpy())
        return self

    def scaled(self, factor: float) -> ClassStatistics:
        """The same samples at ``factor`` times their weight, without a sketch: prior samples, never left out."""
        empty = Sketch.empty(self.num_classes, self.in_features)
        return ClassStatistics(self.count * factor, self.mean.clone(), self.scatter * factor, empty, self.transform)

    def copy(self) -> ClassStatistics:
        """Independent statistics of the same samples."""
        other = self._fresh(self.num_classes)
        return other.merge(self)

    def _add_block(self, block: Tensor, labels: Tensor, weights: Tensor) -> None:
        """Add rows (B, d) with ascending labels; the block is written over."""
        classes, inverse = labels.unique_consecutive(return_inverse=True)
        count = weights.new_zeros(len(classes)).index_add_(0, inverse, weights)
        weighted = bool((weights != 1).any())
        terms = block * weights[:, None] if weighted else block
        mean = block.new_zeros(len(classes), self.dim).index_add_(0, inverse, terms).div_(count[:, None])
        block -= mean[inverse]
        if weighted:
            block *= weights.sqrt()[:, None]
        _add_gram(self.scatter, block)
        _add_gram(self.scatter, self._move(classes, count, mean))

    def _move(self, classes: Tensor, count: Tensor, mean: Tensor, sign: int = 1) -> Tensor:
        """Chan's update of counts and means of the classes present, sign -1 takes out.

        Returns rows (C, d) whose Gram matrix the scatter gains, or loses, by it.
        """
        old = self.count[classes]
        new = old + sign * count
        share = sign * count / torch.where(new > 1e-9 * count, new, torch.inf)
        shift = mean - self.mean[classes]
        self.count[classes] = new
        self.mean[classes] += share[:, None] * shift
        return shift * (old * share).abs().sqrt()[:, None]

    def _check(self, features: Tensor, labels: Tensor, weights: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        return check_samples(features, labels, weights, self.in_features, self.num_classes)

    def _check_alike(self, other: ClassStatistics) -> None:
        if self.mean.shape != other.mean.shape:
            raise ValueError(
                f"cannot merge statistics of {other.num_classes} classes and width {other.dim} into "
                f"{self.num_classes} classes and width {self.dim}. Features must come from the same encoder, and "
                "classes must be numbered alike."
            )


def check_samples(
    features: Tensor, labels: Tensor, weights: Tensor | None, dim: int, num_classes: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Features (N, dim) as they are, labels (N,) int64 and weights (N,) float64 on the CPU, checked."""
    # One sum in the features' own precision tells almost always; where it overflows, all is looked at again.
    finite = isinstance(features, Tensor) and features.is_floating_point() and bool(features.sum().isfinite())
    try:
        check_features(features[:0] if finite else features, dim=dim)
    except NonFiniteError as error:
        raise NonFiniteError(f"{str(error).split('. ')[0]}. Drop these samples, or mend what made them.") from None
    x = features.detach()
    y = check_labels(labels, num_classes, batch=x.shape[0]).cpu()
    if weights is None:
        return x, y, torch.ones(len(y), dtype=torch.float64, device="cpu")
    w = torch.as_tensor(weights, device="cpu").detach().double()
    if w.shape != y.shape or not torch.isfinite(w).all() or bool((w < 0).any()):
        raise ValueError(f"weights must be {len(y)} finite numbers of at least 0, got shape {tuple(w.shape)}.")
    return x, y, w


STRANGERS = (
    "cannot remove samples that were never added. Remove them with the label, the values and the weight they were "
    "added with."
)


def _overdrawn(before: Tensor, after: Tensor, removed: float) -> bool:
    """Whether a scatter has become indefinite by what was taken out of it, of trace ``removed``, beyond rounding."""
    slack = 1e-6 * removed + 1e-11 * float(before.trace())  # of sums over samples, and of the factorisation

    def indefinite(matrix: Tensor) -> bool:
        shifted = matrix.clone()
        shifted.diagonal().add_(slack)
        return bool(torch.linalg.cholesky_ex(shifted).info)

    return indefinite(after) and not indefinite(before)  # what was spoilt before proves nothing


def gram(rows: Tensor) -> Tensor:
    """rows^T rows, (d, d). NumPy takes the symmetric product, half the work, which PyTorch does not have."""
    if rows.device.type != "cpu":
        return rows.T @ rows
    array = rows.numpy()
    with np.errstate(over="ignore", invalid="ignore"):  # the solution says what an overflow means
        return torch.from_numpy(array.T @ array)


def _add_gram(scatter: Tensor, rows: Tensor) -> None:
    """Add rows^T rows to the scatter (d, d), in place."""
    if 8 * len(rows) < rows.shape[1]:  # for few rows another (d, d) would cost more than half the work
        scatter.addmm_(rows.T, rows)
    else:
        scatter += gram(rows)
