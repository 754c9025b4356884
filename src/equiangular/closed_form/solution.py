"""The classifier that samples give: regularisation and scale by leave-one-out, then class vectors and bias."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from equiangular.closed_form.calibrate import Calibrated, left_out_calibration
from equiangular.closed_form.features import KernelFeatures
from equiangular.closed_form.kernel import KeptSamples, KernelFit, cosines_of, joined, warn_of_one_direction
from equiangular.closed_form.sketch import CAPACITY
from equiangular.closed_form.solve import GaussianSolver, LeftOut, MeansSolver, RidgeSolver, Solver, left_out_samples
from equiangular.closed_form.statistics import ClassStatistics

SOLVERS: dict[str, type[Solver]] = {
    "class-means": MeansSolver, "gaussian": GaussianSolver, "ridge": RidgeSolver, "random-features": RidgeSolver,
}  # fmt: skip
# Left-out samples x classes x width at most, so that leave-one-out costs no more than an eigendecomposition, and
# samples at least. On letters, digits and embedded texts 64 samples chose a ridge within 0.3 points of what 1,024
# samples chose, and a Gaussian took 256.
_NUMBERS, _SCALE_NUMBERS = 5e7, 2.5e8
_LEAST_RIDGE, _LEAST, _LEAST_SCALE = 64, 256, 128
GAUSSIAN_SCALE = 1.0  # its logits are log posteriors already
SHARPNESS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
EXPONENTS = (0.5, 1.0)
LAMBDAS = tuple(10 ** (i / 2 - 4) for i in range(11))
SEARCHED = 1000  # samples on which a kernel's sharpness, exponent and lambda are chosen


@dataclass(frozen=True)
class Solution:
    """Logits scale (W phi(x) + b) + log prior: what a classifier has come to.

    Attributes:
        features: phi.
        weight: W, (K, h) float64; zero for a class without samples.
        bias: b, (K,) float64; -inf for a class without samples.
        scale: above 0.
        calibrated: whether left-out samples decided on scale and strength. Without one that is classified wrong they
            cannot.
        chosen: the values used, by name: what leave-one-out chose, or what was given.
    """

    features: nn.Module
    weight: Tensor
    bias: Tensor
    scale: float
    calibrated: bool
    chosen: dict[str, float]

    def logits(self, x: Tensor, log_prior: Tensor | None = None) -> Tensor:
        """Logits (B, K) float64 of features (B, d), for equally frequent classes or those of ``log_prior`` (K,)."""
        logits: Tensor = self.scale * (self.features(x.to(self.weight)) @ self.weight.T + self.bias)
        return logits if log_prior is None else logits + log_prior

    def among(self, active: Tensor, num_classes: int) -> Solution:
        """The same for ``num_classes`` classes, of which these are ``active`` (C,) and the rest have no sample."""
        if len(active) == num_classes:
            return self
        weight = self.weight.new_zeros(num_classes, self.weight.shape[1])
        bias = self.bias.new_full((num_classes,), -torch.inf)
        weight[active], bias[active] = self.weight, self.bias
        return Solution(self.features, weight, bias, self.scale, self.calibrated, self.chosen)


def solve_linear(
    kind: str,
    data: ClassStatistics,
    features: nn.Module,
    *,
    regularization: float | None = None,
    prior: ClassStatistics | None = None,
    prior_weight: float | None = None,
) -> Solution:
    """Class means, Gaussians, or ridge regression onto a simplex, of classes that all have a sample or a prior one.

    Ridge regression takes the regularisation of the least left-out squared error; the others that of the least left-out
    loss at the best scale. Every class counts the same in the first; the second brings logits to the frequencies of the
    samples.

    Args:
        kind: a name of :data:`SOLVERS`.
        data: what was seen.
        features: the map that the statistics were taken behind.
        regularization: None for leave-one-out.
        prior: prior samples, which are added and never left out.
        prior_weight: weight of each; None for :func:`prior_weight_of_moments`.
    """
    ridge, start = SOLVERS[kind] is RidgeSolver, GAUSSIAN_SCALE if kind == "gaussian" else None
    size = data.num_classes * data.dim
    limit, scale_limit = (
        min(max(int(numbers / size), least), CAPACITY)
        for numbers, least in ((_NUMBERS, _LEAST_RIDGE if ridge else _LEAST), (_SCALE_NUMBERS, _LEAST_SCALE))
    )
    factor, total = 0.0, data
    if prior is not None:
        factor = prior_weight_of_moments(data, prior) if prior_weight is None else prior_weight
        total = data.copy().merge(prior.scaled(factor))
    solver = SOLVERS[kind](total)
    samples = left_out_samples(data, total.count, limit)
    values = solver.values if regularization is None else solver.values.new_tensor([regularization])
    value = float(values[0]) if len(values) == 1 else solver.default  # of classes that have no second sample
    if len(values) > 1 and len(samples):
        if isinstance(solver, GaussianSolver):
            value = _least_left_out_loss(solver, samples, values)
        else:
            found = [squared_error(z, samples.labels, samples.share) for z in solver.left_out(samples, values)]
            value = float(values[int(np.argmin(found))])
    del samples
    final = _left_out_scale(solver, data, value, scale_limit, start)  # before class vectors, for the sake of memory
    weight, bias = solver.solution(value)
    if final is None:  # the class means stand in
        logits, labels = solver.mean @ weight.T + bias, torch.arange(len(bias), device=bias.device)
        final = left_out_calibration(logits, labels, torch.ones_like(bias), solver.count, start=start)
        final = final._replace(by_samples=False)
    bias = bias + final.bias(solver.count)
    chosen = {
        "regularization": value,
        "strength": final.strength,
        **({} if prior is None else {"prior_weight": factor}),
    }
    return Solution(features, weight, bias, final.scale, final.by_samples, chosen)


def solve_kernel(
    data: KeptSamples,
    *,
    regularization: float | None = None,
    prior: KeptSamples | None = None,
    prior_weight: float | None = None,
) -> Solution:
    """Kernel ridge regression onto a simplex, of classes that all have a sample or a prior one.

    Sharpness b, then exponent a, and lambda with each of them, are those of the least left-out loss at the best scale
    and strength, on at most :data:`SEARCHED` samples: one eigendecomposition for each. All samples are then solved for
    by one Cholesky factorisation. Arguments as in :func:`solve_linear`.
    """
    factor = prior_weight or 0.0
    if prior is not None and prior_weight is None:
        factor = prior_weight_of_moments(_statistics(data), _statistics(prior))
    part = data.first(SEARCHED)
    size = len(part.labels)
    samples = joined(part, prior, factor)
    cosines, kept = cosines_of(samples), _not_alone(samples, size)
    warn_of_one_direction(cosines[:size, :size])
    lambdas = LAMBDAS if regularization is None else (regularization,)
    least, chosen = torch.inf, (2.0, 0.5, 0.1 if regularization is None else regularization)

    def search(sharpnesses: Sequence[float], exponents: Sequence[float]) -> None:
        nonlocal least, chosen
        for b, a in itertools.product(sharpnesses, exponents):
            fit, found = KernelFit.prepare(cosines, samples, size, b, a), None
            for value, logits in zip(lambdas, fit.path(lambdas), strict=True):
                labels, weights = part.labels[kept], part.weights[kept]
                found = left_out_calibration(logits[kept], labels, weights, samples.count, near=found, tolerance=1e-4)
                if found.loss < least:
                    least, chosen = found.loss, (b, a, value)

    search(SHARPNESS, EXPONENTS[:1])
    if bool((samples.count != samples.count[0]).any()):  # else no exponent changes anything
        search(chosen[:1], EXPONENTS[1:])
    b, a, value = chosen
    samples = joined(data, prior, factor)
    fit = KernelFit.prepare(cosines_of(samples), samples, len(data.labels), b, a)
    dual, logits = fit.solve(value)
    kept = _not_alone(samples, len(data.labels))
    labels, weights = data.labels[kept], data.weights[kept]
    if not len(labels):  # no class has a second sample
        logits, labels, weights = fit.targets, samples.labels, samples.weights
        kept = torch.ones_like(labels, dtype=torch.bool)
    found = left_out_calibration(logits[kept], labels, weights, samples.count)
    names = {"regularization": value, "strength": found.strength, "sharpness": b, "exponent": a}
    names |= {} if prior is None else {"prior_weight": factor}
    bias = found.bias(samples.count)
    return Solution(KernelFeatures(samples.rows, b), dual.T.contiguous(), bias, found.scale, found.by_samples, names)


def prior_weight_of_moments(data: ClassStatistics, prior: ClassStatistics) -> float:
    """The weight of each prior sample, sigma^2 / tau^2: how far samples lie from class means, and those from the prior.

    With class means mu_k ~ N(v_k, tau^2) around prior means v_k and samples ~ N(mu_k, sigma^2), the posterior mean of
    mu_k is (n_k x-bar_k + w v_k) / (n_k + w), w = sigma^2 / tau^2: prior samples of total weight w. The moments are
    sigma^2 = tr S / (N - K) and tau^2 = mean_k ||x-bar_k - v_k||^2 - sigma^2 / n_k, over classes with both; w is cut to
    [1/8, 8], and 1 where no class has two samples. Leaving samples out cannot say it: a class of one sample is its
    prior alone without it.

    Source: Morris, "Parametric empirical Bayes inference: theory and applications", JASA 1983, section 1.
    """
    both = (data.count > 0) & (prior.count > 0)
    count, freedom = data.count[both], float(data.count.sum()) - int((data.count > 0).sum())
    if not len(count) or freedom <= 1e-9 * float(data.count.sum()):
        return 1.0
    within = float(data.scatter.diagonal().sum()) / freedom
    between = float(((data.mean - prior.mean)[both].square().sum(1) - within / count).mean())
    weight = within / between if between * 8 > within else 8.0
    return max(weight, 1 / 8) / float(prior.count[both].mean())


def _statistics(samples: KeptSamples) -> ClassStatistics:
    """Counts, means and scatter of the samples' directions, which a kernel looks at."""
    found = ClassStatistics.empty(samples.num_classes, samples.in_features)
    return found.update(KernelFeatures(samples.rows, 1.0).rows, samples.labels, samples.weights)


def _least_left_out_loss(solver: GaussianSolver, samples: LeftOut, values: Tensor) -> float:
    """The value of least left-out loss, each at its best scale and strength.

    Every other value is looked at, and then those beside the best: the least of all where the loss falls and then
    rises. The loss is over the classes that the samples have, so no other column of the logits is made.
    """
    present = samples.labels.unique()
    solver, samples = solver.among(present), samples.among(present)
    values = values.sort().values
    found: dict[int, Calibrated] = {}

    def look(places: list[int], near: Calibrated | None) -> int:
        for i, logits in zip(places, solver.left_out(samples, values[places]), strict=True):
            found[i] = near = left_out_calibration(
                logits, samples.labels, samples.weights, solver.count, start=GAUSSIAN_SCALE, near=near, tolerance=1e-4
            )
        return min(found, key=lambda i: found[i].loss)

    best = look(list(range(0, len(values), 2)), None)
    beside = [i for i in (best - 1, best + 1) if 0 <= i < len(values)]
    return float(values[look(beside, found[best])])


def _left_out_scale(
    solver: Solver, data: ClassStatistics, value: float, limit: int, start: float | None
) -> Calibrated | None:
    """Scale and strength from at most ``limit`` left-out samples; None without one."""
    samples = left_out_samples(data, solver.count, limit)
    if not len(samples):
        return None
    logits = next(solver.left_out(samples, solver.centre.new_tensor([value])))
    return left_out_calibration(logits, samples.labels, samples.weights, solver.count, start=start)


def squared_error(logits: Tensor, labels: Tensor, share: Tensor) -> float:
    """sum_i share_i ||f_i - m_{y_i}||^2 of regressions f onto a simplex, less a constant, from logits <f_i, m_k>.

    With rows that sum to 0, ||f||^2 = (K - 1) / K sum_k z_k^2 and ||f - m_y||^2 = ||f||^2 - 2 z_y + 1.
    """
    k = logits.shape[1]
    own = logits.gather(1, labels[:, None])[:, 0]
    return float((share * (logits.square().sum(1) * ((k - 1) / k) - 2 * own)).sum())


def _not_alone(samples: KeptSamples, size: int) -> Tensor:
    """(size,) bool, whether a sample's class keeps something without it and its copies."""
    total = samples.count[samples.labels[:size]]
    return total - samples.weights[:size] > 1e-9 * total
