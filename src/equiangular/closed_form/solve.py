"""Linear classifiers from class statistics, and what each would say of a sample that it had not seen.

All three take the class prior as uniform, whatever the counts: their logits stand for equally frequent classes.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from equiangular.closed_form.statistics import ClassStatistics, gram


@dataclass(frozen=True)
class LeftOut:
    """Samples to be left out one at a time, each with all its weight: a copy left behind would know the answer.

    Attributes:
        rows: (M, d) float64; no row occurs twice in a class.
        labels: (M,) int64.
        weights: (M,) float64, what a sample stands for: the sum over equal samples of its class.
        num_classes: K.
    """

    rows: Tensor
    labels: Tensor
    weights: Tensor
    num_classes: int

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def class_weights(self) -> Tensor:
        """(K,) float64, sum of the weights of each class."""
        return torch.zeros(self.num_classes, dtype=torch.float64, device=self.labels.device).index_add_(
            0, self.labels, self.weights
        )

    @property
    def share(self) -> Tensor:
        """(M,) float64, what a sample counts for where every class counts the same: 1 in all."""
        size = self.class_weights
        return self.weights / (size[self.labels] * max(1, int((size > 0).sum())))

    def among(self, classes: Tensor) -> LeftOut:
        """The same samples, which are all of these classes (C,), numbered 0 to C - 1 in that order."""
        place = torch.full((self.num_classes,), -1, device=classes.device)
        place[classes] = torch.arange(len(classes), device=classes.device)
        return LeftOut(self.rows, place[self.labels], self.weights, len(classes))


def left_out_samples(statistics: ClassStatistics, total: Tensor, limit: int) -> LeftOut:
    """Samples of the sketch whose class keeps something without them, at most ``limit``.

    Args:
        statistics: what the classifier has seen.
        total: (K,) float64, weight of each class with its prior samples.
        limit: M at most; the samples of smallest hash, the same number in each class as far as it goes.
    """
    sketch, device = statistics.sketch, statistics.mean.device
    labels, weights = torch.from_numpy(sketch.labels).to(device), torch.from_numpy(sketch.weights).to(device)
    kept = (total[labels] - weights > 1e-9 * total[labels]).nonzero().flatten()
    if len(kept) > limit:
        first = torch.searchsorted(labels[kept], labels[kept])  # labels ascend
        rank = torch.arange(len(kept), device=device) - first
        kept = kept[(rank * (len(statistics.count) + 1) + labels[kept]).argsort()[:limit].sort().values]
    rows = statistics.mapped(torch.from_numpy(sketch.rows).to(device)[kept])
    return LeftOut(rows, labels[kept], weights[kept], len(total))


class Solver(ABC):
    """One kind of classifier for all values of its one regularisation, from one eigendecomposition at most.

    Attributes:
        values: the values of the regularisation that leave-one-out chooses from.
        default: the value where there is nothing to leave out.
        centre: (d,) float64, the mean of the class means.
    """

    values: Tensor
    default: float

    def __init__(self, statistics: ClassStatistics) -> None:
        self.count, self.mean = statistics.count, statistics.mean
        self.weight_sum = float(statistics.count.sum())
        self.num_classes = statistics.num_classes
        self.centre = statistics.mean.mean(0)

    @property
    def shifted(self) -> Tensor:
        """u_k = mu_k - c, (K, d). It is made anew each time: what stays in memory is what limits K and d."""
        return self.mean - self.centre

    @abstractmethod
    def solution(self, value: float) -> tuple[Tensor, Tensor]:
        """Class vectors (K, d) and bias (K,), float64, at one value of the regularisation."""

    @abstractmethod
    def left_out(self, samples: LeftOut, values: Tensor) -> Iterator[Tensor]:
        """Logits (M, K) float64 of samples that the classifier has not seen, at one value after the other."""

    def _deviations(self, samples: LeftOut) -> tuple[Tensor, Tensor]:
        """delta_i = x_i - mu_{y_i}, (M, d), and a_i: without the sample its class mean is mu - a_i delta_i."""
        deviations = samples.rows - self.mean[samples.labels]
        return deviations, samples.weights / (self.count[samples.labels] - samples.weights)


class MeansSolver(Solver):
    """Nearest class mean by direction: logit_k = <x - c, (mu_k - c) / ||mu_k - c||>, c the mean of the class means."""

    values, default = torch.zeros(1, dtype=torch.float64), 0.0

    def solution(self, value: float) -> tuple[Tensor, Tensor]:
        """See :class:`Solver`; there is nothing to choose."""
        weight = self.shifted
        norms = torch.linalg.vector_norm(weight, dim=1, keepdim=True)
        weight /= torch.where(norms > 0, norms, 1)
        return weight, -(weight @ self.centre)

    def left_out(self, samples: LeftOut, values: Tensor) -> Iterator[Tensor]:
        """See :class:`Solver`.

        Without sample i, c' = c - a delta / K, u_j' = u_j + a delta / K for the other classes and
        u_k' = u_k - (1 - 1/K) a delta for its own.
        """
        delta, a = self._deviations(samples)
        every, own = torch.arange(len(a), device=a.device), samples.labels
        part = a / self.num_classes  # what every class moves by, in delta; its own moves by part - a
        centred = (samples.rows - self.centre).addcmul_(part[:, None], delta)
        dd, cd = delta.square().sum(1), (centred * delta).sum(1)
        shifted = self.shifted
        inner = (centred @ shifted.T).add_((part * cd)[:, None])
        inner[every, own] -= a * cd
        squares = torch.linalg.vector_norm(shifted, dim=1).square()
        cross = delta @ shifted.T
        del centred, delta, shifted
        norms = squares + 2 * part[:, None] * cross + (part.square() * dd)[:, None]
        norms[every, own] += a * ((a - 2 * part) * dd - 2 * cross[every, own])
        yield inner.div_(norms.clamp_(min=torch.finfo(inner.dtype).tiny).sqrt_())


class RidgeSolver(Solver):
    """Ridge regression onto the vertices of a simplex ETF, every class with the same weight.

    Minimises sum_k pi_k E_k ||B^T x + b - m_k||^2 + lambda ||B||^2 over B and b, pi_k = 1 / K, where E_k has the mean
    mu_k and the covariance S / N of all classes: with G = S / N + sum_k pi_k u_k u_k^T, u_k = mu_k - c,
    B = (G + lambda)^-1 sum_k pi_k u_k m_k^T.

    Theorem. With the m_k of a simplex ETF, the logits <B^T x + b, m_k> are (K g_k(x) - 1) / (K - 1), g the ridge
    regression onto one-hot vectors with the same lambda: M M^T = (K I - 1 1^T) / (K - 1) and sum_k g_k = 1. So no
    vertex is ever made, and all rotations of the simplex give the same. ||h - m_y||^2 = (<h, m_y> - 1)^2 +
    ||h - <h, m_y> m_y||^2: this is dot-regression (twice its loss at unit norms) whose features are held on the line
    of their vertex by a square instead of being normalised.

    G = S / N + ... = X^T X / N - mean mean^T where classes are equally frequent: then this is the ordinary ridge.
    """

    def __init__(self, statistics: ClassStatistics) -> None:
        super().__init__(statistics)
        matrix = statistics.scatter / max(self.weight_sum, 1e-300)
        shifted = self.shifted
        matrix.addmm_(shifted.T, shifted, alpha=1 / self.num_classes)
        del shifted
        values, self.basis = torch.linalg.eigh(matrix)
        del matrix
        self.spectrum = values.clamp(min=0)
        self.coded = self.shifted @ self.basis  # u_k in the basis, (K, d)
        size = float(self.spectrum.mean()) or 1.0
        self.values = torch.logspace(-5, 2, 20, dtype=torch.float64, device=values.device) * size
        self.default = 0.1 * size

    def solution(self, value: float) -> tuple[Tensor, Tensor]:
        """See :class:`Solver`; ``value`` is lambda."""
        k = self.num_classes
        weight = (self.coded / ((self.spectrum + value) * max(k - 1, 1))) @ self.basis.T
        return weight, -(weight @ self.centre)

    def left_out(self, samples: LeftOut, values: Tensor) -> Iterator[Tensor]:
        """See :class:`Solver`. Exact for the same pi and the same divisor N.

        Without sample i, of class k, G changes in the plane of delta_i and u_k alone, and x_i less the new centre lies
        in it: so (G' + lambda)^-1 (x_i - c') = (G + lambda)^-1 (alpha delta_i + beta u_k), with alpha and beta from a
        2 x 2 system (Woodbury) whose entries are sums over the spectrum.
        """
        delta, a = self._deviations(samples)
        k, labels = self.num_classes, samples.labels
        pi, n = 1 / k, self.count[labels]
        delta, own = delta @ self.basis, self.coded[labels]
        inverse = 1 / (self.spectrum + values[:, None])  # (L, d)
        dd, du, uu = ((p @ inverse.T).T for p in (delta.square(), delta * own, own.square()))  # (L, M)
        drop = samples.weights * n / ((n - samples.weights) * max(self.weight_sum, 1e-300))
        q, p = pi * (1 - pi) * a.square() - drop, -pi * a  # change of G: q dd^T + p (du^T + ud^T)
        m11, m12, m21, m22 = 1 + q * dd + p * du, q * du + p * uu, p * dd, 1 + p * du
        determinant = m11 * m22 - m12 * m21
        first = 1 + pi * a
        alpha, beta = (m22 * first - m12) / determinant, (m11 - m21 * first) / determinant
        every = torch.arange(len(a), device=a.device)
        for i in range(len(values)):
            rows = (alpha[i][:, None] * delta + beta[i][:, None] * own) * inverse[i]
            logits = rows @ self.coded.T
            along = alpha[i] * dd[i] + beta[i] * du[i]  # delta^T (G' + lambda)^-1 (x - c')
            logits += (pi * a * along)[:, None]
            logits[every, labels] -= a * along
            yield logits.div_(max(k - 1, 1))  # pi = 1/K and K / (K - 1)


class GaussianSolver(Solver):
    """Gaussians of one covariance: logit_k = u_k^T C^-1 (x - c) - q_k / 2, q_k the square of the true mean, estimated.

    C = (1 - rho) S_p + rho t I, with S_p = S / (N - K) the pooled covariance and t its mean eigenvalue. The square
    E_k = u_k^T C^-1 u_k of a mean of n_k samples is too large by e_k = tr C^-1 S_p / n_k on average: rare classes would
    lose. Taking e_k off would let a single sample that is shorter than most win everything. So q_k is what one expects
    of the square where true means scatter around c by B: q_k = f_k (f_k E_k + e_k), f_k = B / (B + e_k), with
    B = max(0, sum_k n_k (E_k - e_k) / N). The shrinkage rho is chosen by leave-one-out among twelve values and that of
    :func:`oracle_approximating_shrinkage`.

    Sources: of e_k, Moran and Murphy, "A closer look at two alternative methods of statistical discrimination", Applied
    Statistics 1979; of f_k, Efron and Morris, "Stein's estimation rule and its competitors", J. American Statistical
    Association 1973, with the posterior's variance, f_k e_k, in the square.
    """

    def __init__(self, statistics: ClassStatistics) -> None:
        super().__init__(statistics)
        self.freedom = max(self.weight_sum - self.num_classes, min(1.0, self.weight_sum), 1e-300)
        values, self.basis = torch.linalg.eigh(statistics.scatter)
        self.spectrum = values.clamp(min=0) / self.freedom
        self.average = float(self.spectrum.mean()) or 1.0
        self.coded = self.shifted @ self.basis
        self._all = self.coded, self.count
        oas = oracle_approximating_shrinkage(self.spectrum, self.freedom)
        odds = torch.logspace(-2.5, 2, 12, dtype=torch.float64, device=values.device)
        ladder = odds / (1 + odds)
        self.default = max(oas, 1e-6)
        self.values = torch.cat([values.new_tensor([self.default]), ladder])

    def excess(self, value: Tensor | float) -> Tensor:
        """tr C^-1 S_p, 0-dim: what the square of a mean of n samples exceeds that of the true mean by, times n."""
        total: Tensor = (self._inverse(value) * self.spectrum).sum()
        return total

    def scatter_of_means(self, value: Tensor | float) -> Tensor:
        """B, 0-dim: how far the true means are from the common one on average, squared, a class by its samples."""
        coded, count = self._all
        inverse = self._inverse(value)
        energies = torch.cat([rows.square() @ inverse for rows in coded.split(256)])
        scatter: Tensor = ((energies * count).sum() - len(count) * self.excess(value)).clamp(min=0) / count.sum()
        return scatter

    @staticmethod
    def _true_squares(scatter: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Factor f^2 and offset f e, of the shape of e, of q = f (f E + e), by B (0-dim) and e."""
        kept = scatter / (scatter + noise).clamp(min=torch.finfo(noise.dtype).tiny)
        return kept.square(), kept * noise

    def _inverse(self, value: Tensor | float) -> Tensor:
        inverse: Tensor = 1 / ((1 - value) * self.spectrum + value * self.average)
        return inverse

    def solution(self, value: float) -> tuple[Tensor, Tensor]:
        """See :class:`Solver`; ``value`` is rho in (0, 1]."""
        scaled = self.coded * self._inverse(value)
        weight = scaled @ self.basis.T
        factor, offset = self._true_squares(self.scatter_of_means(value), self.excess(value) / self.count)
        squares = scaled.mul_(self.coded).sum(1) * factor + offset
        return weight, -(weight @ self.centre) - squares / 2

    def among(self, classes: Tensor) -> GaussianSolver:
        """The same Gaussians of these classes (C,) alone: the columns of the logits that a loss over them looks at."""
        few = copy.copy(self)
        few.count, few.mean, few.coded = self.count[classes], self.mean[classes], self.coded[classes]
        few.num_classes = len(classes)
        return few

    def left_out(self, samples: LeftOut, values: Tensor) -> Iterator[Tensor]:
        """See :class:`Solver`. Exact for the same c, N - K, t, trace and B: C changes by a multiple of d d^T.

        x_i - c = delta_i + u_k, k the sample's class. So one product a value has all terms.
        """
        delta, a = self._deviations(samples)
        labels, n = samples.labels, self.count[samples.labels]
        every = torch.arange(len(a), device=a.device)
        present, place = labels.unique(return_inverse=True)
        delta, own = delta @ self.basis, self.coded[present]
        drop = samples.weights * n / ((n - samples.weights) * self.freedom)
        inverses = self._inverse(values[:, None]).T  # (d, L)
        all_uu = torch.cat([rows.square() @ inverses for rows in self.coded.split(256)])  # (K, L)
        all_dd = delta.square() @ inverses  # (M, L)
        for value, inverse, uu, dd in zip(values, inverses.T.contiguous(), all_uu.T, all_dd.T, strict=True):
            if len(present) == len(self.coded):
                between = gram((own * inverse.sqrt()).T)
            else:
                between = (own * inverse) @ self.coded.T
            du = (delta * inverse) @ self.coded.T
            # Labels ascend: of different ones each has its own row already.
            logits = (between if len(present) == len(labels) else between[place]).add_(du)
            own_du = du[every, labels]
            dx = dd + own_du
            # What x C^-1 u and u C^-1 u of its own mean lose as the mean moves.
            logits[every, labels] -= a * dx
            du[every, labels] -= a * dd
            loss = drop * (1 - value)
            gain = (loss / (1 - loss * dd).clamp(min=1e-12))[:, None]  # Sherman and Morrison
            logits.addcmul_(du, (gain[:, 0] * dx)[:, None])
            energies = du.square_().mul_(gain).add_(uu)
            own_energies = energies[every, labels] + a.square() * dd - 2 * a * own_du
            scatter, excess = self.scatter_of_means(value), self.excess(value)
            factor, offset = self._true_squares(scatter, excess / self.count)
            squares = energies.mul_(factor).add_(offset)
            factor, offset = self._true_squares(scatter, excess / (n - samples.weights))
            squares[every, labels] = own_energies * factor + offset
            yield logits.sub_(squares, alpha=0.5)


def oracle_approximating_shrinkage(spectrum: Tensor, freedom: float) -> float:
    """Shrinkage in [0, 1] of a covariance of given eigenvalues (d,) and degrees of freedom towards its mean eigenvalue.

    rho = ((1 - 2/d) tr C^2 + tr^2 C) / ((n + 1 - 2/d) (tr C^2 - tr^2 C / d)), cut at 1. It takes traces alone, where
    the lemma of Ledoit and Wolf takes fourth moments. On the *pooled* deviations n = N - K: by class it would be 0 for
    two samples each.

    Example:
        >>> oracle_approximating_shrinkage(torch.tensor([1.0, 1.0]), 5.0)
        1.0

    Source: Chen, Wiesel, Eldar and Hero, "Shrinkage algorithms for MMSE covariance estimation", IEEE Transactions on
    Signal Processing 2010, eq. 23.
    """
    d = len(spectrum)
    spectrum = spectrum / max(float(spectrum.max()), 1e-300)  # whose squares float64 holds
    trace, square = float(spectrum.sum()), float(spectrum.square().sum())
    spread = square - trace**2 / d
    if spread <= 1e-15 * square:
        return 1.0
    return min(1.0, ((1 - 2 / d) * square + trace**2) / ((freedom + 1 - 2 / d) * spread))
