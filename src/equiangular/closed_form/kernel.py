"""Exact kernel ridge regression onto a simplex: the samples themselves, and everything chosen by leave-one-out."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from equiangular.closed_form.features import KernelFeatures
from equiangular.closed_form.sketch import Hashes, content_hashes
from equiangular.closed_form.statistics import STRANGERS, check_samples, gram

ONE_DIRECTION = 0.999  # of mean cosine; digits lose nothing at 0.997, and 2 to 10 points above 0.99999
_COLUMNS = 256  # of an inverse at a time


@dataclass
class KeptSamples:
    """Different samples and their weights, in the order of their hashes: the same for every way they came in.

    Attributes:
        rows: (N, d) float64.
        labels: (N,) int64.
        weights: (N,) float64, above 0: the sum over equal samples.
        num_classes: K, classes with samples or without.
        hashes: (N,) uint64, ascending.

    Example:
        >>> kept = KeptSamples.empty(2, 3).update(torch.ones(2, 3), torch.tensor([0, 0]))
        >>> kept.weights
        tensor([2.], dtype=torch.float64)
    """

    rows: Tensor
    labels: Tensor
    weights: Tensor
    num_classes: int
    hashes: Hashes = field(repr=False)

    @classmethod
    def empty(cls, num_classes: int, dim: int) -> KeptSamples:
        """No samples."""
        rows = torch.zeros(0, dim, dtype=torch.float64, device="cpu")
        labels, weights = rows.new_zeros(0, dtype=torch.int64), rows.new_zeros(0)
        return cls(rows, labels, weights, num_classes, np.zeros(0, dtype=np.uint64))

    @property
    def in_features(self) -> int:
        """d, width of the features."""
        return self.rows.shape[1]

    @property
    def count(self) -> Tensor:
        """(K,) float64, sum of the weights of each class."""
        return self.weights.new_zeros(self.num_classes).index_add_(0, self.labels, self.weights)

    def grow(self, num_classes: int) -> KeptSamples:
        """Append classes without samples, in place; returns itself."""
        self.num_classes = num_classes
        return self

    def reorder(self, index: Tensor, num_classes: int) -> KeptSamples:
        """The same samples among ``num_classes`` classes: class k here is class ``index[k]`` there."""
        other = KeptSamples(self.rows, index.cpu()[self.labels], self.weights, num_classes, self.hashes)
        other._sort()
        return other

    def restrict(self, index: Tensor) -> KeptSamples:
        """The classes ``index`` (C,), which are all that have samples, in that order."""
        place = self.labels.new_full((self.num_classes,), -1)
        place[index] = torch.arange(len(index), device=place.device)
        return KeptSamples(self.rows, place[self.labels], self.weights, len(index), self.hashes)

    def update(self, features: Tensor, labels: Tensor, weights: Tensor | None = None) -> KeptSamples:
        """Add samples, in place; returns itself. Arguments as in :meth:`ClassStatistics.update`."""
        x, y, w = check_samples(features, labels, weights, self.in_features, self.num_classes)
        x = x.cpu().double()[w > 0]
        new = KeptSamples(x, y[w > 0], w[w > 0], self.num_classes, content_hashes(x.numpy()))
        return self.merge(new)

    def merge(self, other: KeptSamples) -> KeptSamples:
        """Add the samples of another, in place; returns itself.

        Raises:
            ValueError: another number of classes or another width.
        """
        if (self.num_classes, self.in_features) != (other.num_classes, other.in_features):
            raise ValueError(
                f"cannot merge samples of {other.num_classes} classes and width {other.in_features} into "
                f"{self.num_classes} classes and width {self.in_features}."
            )
        for name in ("rows", "labels", "weights"):
            setattr(self, name, torch.cat([getattr(self, name), getattr(other, name)]))
        self.hashes = np.concatenate([self.hashes, other.hashes])
        self._sort()
        return self

    def remove(self, features: Tensor, labels: Tensor, weights: Tensor | None = None) -> KeptSamples:
        """Take samples out again, in place; returns itself.

        Raises:
            ValueError: samples that were never added, or with more weight than they have. Nothing is changed then.
        """
        gone = KeptSamples.empty(self.num_classes, self.in_features).update(features, labels, weights)
        known = {(h, k): i for i, (h, k) in enumerate(zip(self.hashes.tolist(), self.labels.tolist(), strict=True))}
        wanted = zip(gone.hashes.tolist(), gone.labels.tolist(), strict=True)
        place = torch.tensor([known.get(key, -1) for key in wanted], dtype=torch.int64, device="cpu")
        if bool((place < 0).any()):
            raise ValueError(f"{STRANGERS} ({int((place < 0).sum())} of them are unknown.)")
        left = self.weights[place] - gone.weights
        left[left.abs() <= 1e-9 * gone.weights] = 0
        if bool((left < 0).any()):
            raise ValueError(f"{STRANGERS} (Some have less weight than was to be removed.)")
        self.weights = self.weights.index_copy(0, place, left)
        self._keep(self.weights > 0)
        return self

    def copy(self) -> KeptSamples:
        """Independent samples."""
        return KeptSamples(self.rows, self.labels, self.weights, self.num_classes, self.hashes)

    def scaled(self, factor: float) -> KeptSamples:
        """The same samples at ``factor`` times their weight."""
        return KeptSamples(self.rows, self.labels, self.weights * factor, self.num_classes, self.hashes)

    def first(self, size: int) -> KeptSamples:
        """At most ``size`` samples: of every class the same number of smallest hashes, as far as they go."""
        order = np.lexsort((self.hashes, self.labels.numpy()))
        labels = self.labels.numpy()[order]
        rank = np.arange(len(order)) - np.searchsorted(labels, labels)
        chosen = np.sort(order[np.lexsort((labels, rank))[:size]])
        part = self.copy()
        part._keep(torch.from_numpy(chosen))
        return part

    def _sort(self) -> None:
        self._keep(torch.from_numpy(np.lexsort((self.labels.numpy(), self.hashes))))
        if len(self.labels):
            first = np.ones(len(self.hashes), dtype=bool)
            labels = self.labels.numpy()
            first[1:] = (self.hashes[1:] != self.hashes[:-1]) | (labels[1:] != labels[:-1])
            weights = np.add.reduceat(self.weights.numpy(), np.flatnonzero(first))
            self._keep(torch.from_numpy(first))
            self.weights = torch.from_numpy(weights)

    def _keep(self, index: Tensor) -> None:
        self.rows, self.labels, self.weights = self.rows[index], self.labels[index], self.weights[index]
        self.hashes = self.hashes[index.numpy()]


@dataclass(frozen=True)
class KernelFit:
    """Kernel ridge regression of one sharpness and exponent.

    Minimises sum_i omega_i ||f(x_i) - m_{y_i}||^2 + lambda ||f||^2 over f = sum_i k(., x_i) c_i, with
    k(x, x') = exp(b (cos(x, x') - 1)) and omega_i proportional to w_i n_{y_i}^-a, their mean per unit of weight 1.
    With D = diag(sqrt(omega)) and R = (D K D + lambda)^-1, c = D R D M_y and the residual of sample i is
    lambda (R D M_y)_i / sqrt(omega_i). Its residual where it is left out, with all its weight and all its copies, is
    that divided by lambda R_ii. As in :class:`RidgeSolver` the logits <f, m_k> are
    (K g_k - sum_j g_j) / (K - 1) of the regression g onto one-hot vectors, so no vertex is made.

    Attributes:
        samples: N samples, those to be left out first.
        scored: how many of them are left out; the rest are prior samples.
        kernel: (N, N) D K D.
        root: (N,) sqrt(omega).
    """

    samples: KeptSamples
    scored: int
    kernel: Tensor
    root: Tensor

    @classmethod
    def prepare(
        cls, cosines: Tensor, samples: KeptSamples, scored: int, sharpness: float, exponent: float
    ) -> KernelFit:
        """The weighted kernel from the samples' cosines (N, N)."""
        count = samples.count
        omega = samples.weights * count[samples.labels] ** -exponent
        root = (omega * (samples.weights.sum() / omega.sum())).sqrt()
        kernel = (cosines - 1).mul_(sharpness).exp_()
        return cls(samples, scored, kernel.mul_(root[:, None]).mul_(root), root)

    @cached_property
    def targets(self) -> Tensor:
        """One-hot rows less 1 / K, times K / (K - 1): (N, K). Their regression is that of the logits."""
        k = self.samples.num_classes
        onehot = torch.nn.functional.one_hot(self.samples.labels, k).double()
        return (onehot - 1 / k) * (k / max(k - 1, 1))

    def left_out(self, solved: Tensor, diagonal: Tensor) -> Tensor:
        """Left-out logits (M, K) from R D Y (N, K) and the diagonal of R (N,)."""
        first = slice(self.scored)
        return self.targets[first] - solved[first] / (self.root * diagonal)[first, None]

    def path(self, values: tuple[float, ...]) -> list[Tensor]:
        """Left-out logits at every lambda, from one eigendecomposition."""
        spectrum, basis = torch.linalg.eigh(self.kernel)
        spectrum = spectrum.clamp(min=0)
        coded = basis.T @ (self.root[:, None] * self.targets)
        inverses = 1 / (spectrum[:, None] + spectrum.new_tensor(values))  # (N, L)
        diagonals = basis.square() @ inverses
        return [
            self.left_out(basis @ (coded * inverse[:, None]), diagonal)
            for inverse, diagonal in zip(inverses.T, diagonals.T, strict=True)
        ]

    def solve(self, value: float) -> tuple[Tensor, Tensor]:
        """Dual weights (N, K) and left-out logits (M, K) at one lambda, by Cholesky."""
        matrix = self.kernel.clone()
        matrix.diagonal().add_(value)
        factor = torch.linalg.cholesky(matrix)
        solved = torch.cholesky_solve(self.root[:, None] * self.targets, factor)
        return self.root[:, None] * solved, self.left_out(solved, inverse_diagonal(factor))


def inverse_diagonal(factor: Tensor) -> Tensor:
    """Diagonal (N,) of (L L^T)^-1 from its Cholesky factor L (N, N), the squared column norms of L^-1.

    Columns of L^-1 are 0 above the diagonal. A block of them at a time takes a third of the work of all and no second
    matrix.

    Example:
        >>> inverse_diagonal(torch.tensor([[2.0, 0.0], [0.0, 4.0]]))
        tensor([0.2500, 0.0625])
    """
    diagonal = torch.empty_like(factor[0])
    for start in range(0, len(factor), _COLUMNS):
        columns = factor.new_zeros(len(factor) - start, min(_COLUMNS, len(factor) - start)).fill_diagonal_(1)
        columns = torch.linalg.solve_triangular(factor[start:, start:], columns, upper=False)
        diagonal[start : start + _COLUMNS] = columns.square_().sum(0)
    return diagonal


def joined(samples: KeptSamples, prior: KeptSamples | None, factor: float) -> KeptSamples:
    """Samples, and after them prior samples at ``factor`` times their weight."""
    if prior is None:
        return samples
    tail = prior.scaled(factor)
    rows, labels, weights = (torch.cat([getattr(s, n) for s in (samples, tail)]) for n in ("rows", "labels", "weights"))
    return KeptSamples(rows, labels, weights, samples.num_classes, np.concatenate([samples.hashes, tail.hashes]))


def cosines_of(samples: KeptSamples) -> Tensor:
    """Cosines of all pairs of samples, (N, N)."""
    return gram(KernelFeatures(samples.rows, 1.0).rows.T)


def warn_of_one_direction(cosines: Tensor) -> None:
    """Warn where samples, by their cosines (N, N), lie in one direction: a kernel of cosines cannot tell them apart.

    The mean cosine of unit vectors to the direction of their mean is the norm of that mean, the root of the mean of all
    pairs' cosines. It warns above 0.999.

    Example:
        >>> warn_of_one_direction(torch.eye(2))
    """
    along = float(cosines.mean().clamp(min=0).sqrt()) if len(cosines) > 1 else 0.0
    if along > ONE_DIRECTION:
        warnings.warn(
            f"the features share one direction: their mean cosine to it is {along:.6f}, and the kernel sees angles "
            "alone. Subtract the mean of the training features from all features, or take kind='gaussian' or 'ridge'.",
            UserWarning,
            stacklevel=3,
        )
