"""The classifier that samples give: regularisation and scale by leave-one-out, then class vectors and bias."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from equiangular.closed_form.calibrate import left_out_calibration
from equiangular.closed_form.features import KernelFeatures
from equiangular.closed_form.kernel import KeptSamples, KernelFit, cosines_of, joined
from equiangular.closed_form.sketch import CAPACITY
from equiangular.closed_form.solve import GaussianSolver, MeansSolver, RidgeSolver, Solver, left_out_samples
from equiangular.closed_form.statistics import ClassStatistics

SOLVERS: dict[str, type[Solver]] = {
    "class-means": MeansSolver, "gaussian": GaussianSolver, "ridge": RidgeSolver, "random-features": RidgeSolver,
}  # fmt: skip
# Left-out samples x classes x width at most, so that leave-one-out costs no more than an eigendecomposition, and
# samples at least. On letters, digits and embedded texts 64 samples chose a ridge within 0.3 points of what 1,024
# samples chose, and a Gaussian took 256.
_NUMBERS, _SCALE_NUMBERS = 5e7, 2.5e8
_LEAST_RIDGE, _LEAST, _LEAST_SCALE = 64, 256, 128
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
    prior_weights: Sequence[float] = (1.0,),
) -> Solution:
    """Class means, Gaussians, or ridge regression onto a simplex, of classes that all have a sample or a prior one.

    Ridge regression takes the regularisation, and the weight of the prior samples, of the least left-out squared error;
    the others those of the least left-out loss at the best scale. Every class counts the same in the first; the second
    brings logits to the frequencies of the samples.

    Args:
        kind: a name of :data:`SOLVERS`.
        data: what was seen.
        features: the map that the statistics were taken behind.
        regularization: None for leave-one-out.
        prior: prior samples, which are added at each of ``prior_weights`` and never left out.
        prior_weights: candidates.
    """
    ridge, start = SOLVERS[kind] is RidgeSolver, 1.0 if kind == "gaussian" else None
    size = data.num_classes * data.dim
    limit, scale_limit = (
        min(max(int(numbers / size), least), CAPACITY)
        for numbers, least in ((_NUMBERS, _LEAST_RIDGE if ridge else _LEAST), (_SCALE_NUMBERS, _LEAST_SCALE))
    )
    least, best = torch.inf, None
    for factor in prior_weights if prior is not None else (0.0,):
        total = data if prior is None else data.copy().merge(prior.scaled(factor))
        solver = SOLVERS[kind](total)
        samples = left_out_samples(data, total.count, limit)
        if not len(samples):  # no class has a second sample
            best = solver, solver.default if regularization is None else regularization, factor
            break
        values = solver.values if regularization is None else solver.values.new_tensor([regularization])
        if len(values) == 1 and len(prior_weights) == 1:
            best = solver, float(values), factor
            break
        for value, logits in zip(values.tolist(), solver.left_out(samples, values), strict=True):
            if ridge:
                error = squared_error(logits, samples.labels, samples.share)
            else:
                error = left_out_calibration(logits, samples.labels, samples.weights, total.count, start=start).loss
            if best is None or error < least:
                least, best = error, (solver, value, factor)
    assert best is not None
    solver, value, factor = best
    weight, bias = solver.solution(value)
    samples = left_out_samples(data, solver.count, scale_limit)
    labels, weights = samples.labels, samples.weights
    if len(samples):
        logits = next(solver.left_out(samples, weight.new_tensor([value])))
    else:  # the class means stand in
        logits, labels = solver.mean @ weight.T + bias, torch.arange(len(bias), device=bias.device)
        weights = torch.ones_like(bias)
    found = left_out_calibration(logits, labels, weights, solver.count, start=start)
    bias = bias + found.bias(solver.count)
    chosen = {
        "regularization": value,
        "strength": found.strength,
        **({} if prior is None else {"prior_weight": factor}),
    }
    return Solution(features, weight, bias, found.scale, found.by_samples and len(samples) > 0, chosen)


def solve_kernel(
    data: KeptSamples,
    *,
    regularization: float | None = None,
    prior: KeptSamples | None = None,
    prior_weights: Sequence[float] = (1.0,),
) -> Solution:
    """Kernel ridge regression onto a simplex, of classes that all have a sample or a prior one.

    Sharpness b, then exponent a (both with the prior samples at weight 1), lambda with each of them, and then the
    weight of the prior samples are those of the least left-out loss at the best scale and strength, on at most
    :data:`SEARCHED` samples: one eigendecomposition for each. All samples are then solved for by one Cholesky
    factorisation. Arguments as in :func:`solve_linear`.
    """
    part = data.first(SEARCHED)
    size = len(part.labels)
    cosines = cosines_of(joined(part, prior, 1.0))
    lambdas = LAMBDAS if regularization is None else (regularization,)
    middle = 1.0 if len(prior_weights) > 1 else prior_weights[0]
    least, chosen = torch.inf, (2.0, 0.5, middle, 0.1 if regularization is None else regularization)

    def search(sharpnesses: Sequence[float], exponents: Sequence[float], factors: Sequence[float]) -> None:
        nonlocal least, chosen
        for b, a, factor in itertools.product(sharpnesses, exponents, factors):
            samples = joined(part, prior, factor)
            kept = _not_alone(samples, size)
            labels, weights = part.labels[kept], part.weights[kept]
            fit = KernelFit.prepare(cosines, samples, size, b, a)
            found = None
            for value, logits in zip(lambdas, fit.path(lambdas), strict=True):
                found = left_out_calibration(logits[kept], labels, weights, samples.count, near=found)
                if found.loss < least:
                    least, chosen = found.loss, (b, a, factor, value)

    search(SHARPNESS, EXPONENTS[:1], (middle,))
    if prior is not None or bool((part.count != part.count[0]).any()):  # else no exponent changes anything
        search(chosen[:1], EXPONENTS[1:], (middle,))
    if prior is not None and len(prior_weights) > 1:
        search(chosen[:1], chosen[1:2], [factor for factor in prior_weights if factor != middle])
    b, a, factor, value = chosen
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


def squared_error(logits: Tensor, labels: Tensor, share: Tensor) -> float:
    """sum_i share_i ||f_i - m_{y_i}||^2 of regressions f onto a simplex, less a constant, from logits <f_i, m_k>.

    With rows that sum to 0, ||f||^2 = (K - 1) / K sum_k z_k^2 and ||f - m_y||^2 = ||f||^2 - 2 z_y + 1.
    """
    k = logits.shape[1]
    own = logits.gather(1, labels[:, None])[:, 0]
    return float((share * (logits.square().sum(1) * ((k - 1) / k) - 2 * own)).sum())


def _not_alone(samples: KeptSamples, size: int) -> Tensor:
    """(size,) bool, whether a sample's class keeps something without it."""
    total, unit = samples.count[samples.labels[:size]], samples.weights[:size].clamp(max=1)
    return total - unit > 1e-9 * total
