"""A closed-form classifier without a module around it: what it has seen, how to add and remove, and its solution."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from equiangular._validate import check_choice, check_class_counts, check_int, check_positive
from equiangular.closed_form.calibrate import left_out_scale
from equiangular.closed_form.features import KernelFeatures, RandomFeatures
from equiangular.closed_form.kernel import (
    EXPONENTS, LAMBDAS, SEARCHED, SHARPNESS, KeptSamples, KernelFit, cosines_of, joined,
)  # fmt: skip
from equiangular.closed_form.sketch import CAPACITY
from equiangular.closed_form.solve import GaussianSolver, MeansSolver, RidgeSolver, Solver, left_out_samples
from equiangular.closed_form.statistics import ClassStatistics

Kind = Literal["class-means", "gaussian", "ridge", "random-features", "kernel"]
KINDS: tuple[Kind, ...] = get_args(Kind)
LINEAR_KINDS: tuple[Kind, ...] = ("class-means", "gaussian", "ridge")
SOLVERS: dict[str, type[Solver]] = {
    "class-means": MeansSolver, "gaussian": GaussianSolver, "ridge": RidgeSolver, "random-features": RidgeSolver,
}  # fmt: skip
PRIOR_WEIGHTS = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
_LEFT_OUT_NUMBERS, _LEAST_LEFT_OUT = 1e8, 128  # left-out samples x classes x width
_DEFAULT_LAMBDA, _DEFAULT_SHARPNESS, _DEFAULT_EXPONENT = 0.1, 2.0, 0.5


@dataclass(frozen=True)
class Solution:
    """Logits scale (W phi(x) + b) + log prior: what a classifier has come to.

    Attributes:
        features: phi.
        weight: W, (K, h) float64; zero for a class without samples.
        bias: b, (K,) float64; -inf for a class without samples.
        scale: above 0.
        calibrated: whether left-out samples decided on the scale. Without one that is classified wrong they cannot.
        chosen: what leave-one-out chose, by name.
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


class ClosedForm:
    """Counts, means and a scatter (or, for a kernel, the samples), and the classifier they give in closed form.

    Args:
        in_features: d, width of the features.
        num_classes: K >= 0 classes to begin with; :meth:`grow` appends others.
        kind: which classifier. ``"class-means"``: the nearest class mean by direction (:class:`MeansSolver`);
            ``"gaussian"``: Gaussians of one covariance (:class:`GaussianSolver`); ``"ridge"``: ridge regression onto a
            simplex ETF (:class:`RidgeSolver`); ``"random-features"``: the same on fixed random ReLU features;
            ``"kernel"``: the same with the kernel exp(b (cos - 1)), which keeps its samples, up to about 20,000.
        regularization: ``"loo"`` for leave-one-out, or the number: lambda (ridge, kernel) or rho (Gaussian).
        prior_weight: weight of each prior sample (:meth:`set_prior`), or ``"loo"`` for leave-one-out.
        width: number of random features.
        seed: seed of the random features.

    Raises:
        ValueError: an argument out of its range.

    Example:
        >>> x, y = torch.tensor([[0.0, 1.0], [0.1, 0.9], [1.0, 0.0], [0.8, 0.1]]), torch.tensor([0, 0, 1, 1])
        >>> model = ClosedForm(2, 2, kind="ridge")
        >>> model.update(x, y).solve().logits(x).argmax(1)
        tensor([0, 0, 1, 1])
    """

    def __init__(
        self,
        in_features: int,
        num_classes: int = 0,
        *,
        kind: Kind = "ridge",
        regularization: float | Literal["loo"] = "loo",
        prior_weight: float | Literal["loo"] = "loo",
        width: int = 2000,
        seed: int = 0,
    ) -> None:
        self.kind = check_choice(kind, KINDS, "kind")
        self.regularization = _number_or_loo(regularization, "regularization")
        if self.kind == "gaussian" and self.regularization != "loo" and float(self.regularization) > 1:
            raise ValueError(f"regularization of a Gaussian is a shrinkage in (0, 1], got {regularization!r}.")
        self.prior_weight = _number_or_loo(prior_weight, "prior_weight")
        self.width, self.seed = check_int(width, "width", minimum=1), check_int(seed, "seed", minimum=0)
        self.in_features = check_int(in_features, "in_features", minimum=1)
        self.features: nn.Module = nn.Identity()
        if self.kind == "random-features":
            self.features = RandomFeatures(self.in_features, self.width, seed=self.seed)
        self.prior: ClassStatistics | KeptSamples | None = None
        self.seen = self.nothing(check_int(num_classes, "num_classes", minimum=0))
        self._solution: Solution | None = None

    def nothing(self, num_classes: int) -> ClassStatistics | KeptSamples:
        """What a classifier of this kind holds before its first sample."""
        if self.kind == "kernel":
            return KeptSamples.empty(num_classes, self.in_features)
        mapped = self.features if self.kind == "random-features" else None
        return ClassStatistics.empty(num_classes, self.in_features, transform=mapped)

    @property
    def num_classes(self) -> int:
        """K, classes with samples or without."""
        return self.seen.num_classes

    @property
    def class_counts(self) -> Tensor:
        """(K,) float64, sum of the weights of each class, without prior samples."""
        return self.seen.count

    def grow(self, num_classes: int) -> ClosedForm:
        """Append classes without samples until there are ``num_classes``; returns itself."""
        self.seen.grow(check_int(num_classes, "num_classes", minimum=self.num_classes))
        if self.prior is not None:
            self.prior.grow(num_classes)
        return self._changed()

    def spread(self, places: Tensor, num_classes: int) -> ClosedForm:
        """Make room for classes in between: class k becomes class ``places[k]`` of ``num_classes``; returns itself."""
        self.seen = self.seen.reorder(places, num_classes)
        if self.prior is not None:
            self.prior = self.prior.reorder(places, num_classes)
        return self._changed()

    def update(self, features: Tensor, labels: Tensor, weights: Tensor | None = None) -> ClosedForm:
        """Add samples: features (N, d), labels (N,) in [0, K), weights (N,) of at least 0; returns itself."""
        self.seen.update(features, labels, weights)
        return self._changed()

    def remove(self, features: Tensor, labels: Tensor, weights: Tensor | None = None) -> ClosedForm:
        """Take samples out again; returns itself. See :meth:`ClassStatistics.remove`."""
        self.seen.remove(features, labels, weights)
        return self._changed()

    def merge(self, other: ClosedForm, index: Tensor | None = None) -> ClosedForm:
        """Add all that another classifier of the same kind has seen; returns itself.

        Args:
            other: its prior samples are not taken over.
            index: (K',) int64, the class here of each of the other's; its own number by default.

        Raises:
            ValueError: another kind, width, number of classes or other random features.
        """
        mine, theirs = ([m.kind, m.in_features, *self._random(m)] for m in (self, other))
        if mine != theirs:
            raise ValueError(
                f"cannot merge a classifier of kind {other.kind!r} and width {other.in_features} into one of kind "
                f"{self.kind!r} and width {self.in_features}: {theirs} differs from {mine}. Kind, width of the "
                "features and random features must agree."
            )
        seen = other.seen if index is None else other.seen.reorder(index, self.num_classes)
        self.seen.merge(seen)  # type: ignore[arg-type]  # of one kind, as checked
        return self._changed()

    def set_prior(self, vectors: Tensor | None, labels: Tensor | None = None) -> ClosedForm:
        """Give classes prior samples, such as the embeddings of their names; returns itself.

        They enter as samples of one weight, are never left out, and count for no frequency. With
        ``prior_weight="loo"`` their weight is the one of :data:`PRIOR_WEIGHTS` whose left-out error is least.

        Args:
            vectors: (P, d) floating point, or None for none.
            labels: (P,) integers in [0, K); 0 to P - 1 by default.
        """
        self.prior = None
        if vectors is not None:
            labels = torch.arange(len(vectors)) if labels is None else labels
            self.prior = self.nothing(self.num_classes).update(vectors, labels)
        return self._changed()

    def solve(self) -> Solution:
        """The classifier of all that was seen; computed once until something changes.

        Raises:
            ValueError: no samples.
        """
        if self._solution is None:
            total = self.seen.count + (0 if self.prior is None else self.prior.count)
            active = (total > 0).nonzero().flatten()
            if not len(active):
                raise ValueError("there is nothing to solve: no class has a sample. Fit it first.")
            data = self.seen.restrict(active)
            prior = None if self.prior is None else self.prior.restrict(active)
            found = self._kernel(data, prior) if isinstance(data, KeptSamples) else self._linear(data, prior)
            weight = found.weight.new_zeros(self.num_classes, found.weight.shape[1])
            bias = found.bias.new_full((self.num_classes,), -torch.inf)
            weight[active], bias[active] = found.weight, found.bias
            self._solution = Solution(found.features, weight, bias, found.scale, found.calibrated, found.chosen)
        return self._solution

    def log_prior(self, target_prior: Tensor | Literal["uniform", "train"] | None) -> Tensor:
        """(K,) float64 to add to logits that stand for equally frequent classes.

        Args:
            target_prior: ``"uniform"`` or None; ``"train"``, the frequencies seen, where a class without samples
                counts as one sample; or (K,) positive weights.
        """
        if target_prior is None or isinstance(target_prior, str):
            check_choice(target_prior or "uniform", ("uniform", "train"), "target_prior")
            if target_prior != "train":
                return torch.zeros(self.num_classes, dtype=torch.float64)
            counts = torch.where(self.class_counts > 0, self.class_counts, 1.0)
        else:
            counts = check_class_counts(target_prior, self.num_classes, name="target_prior")
        return (counts / counts.mean()).log()

    def _linear(self, data: ClassStatistics, prior: ClassStatistics | KeptSamples | None) -> Solution:
        assert not isinstance(prior, KeptSamples)
        limit = int(_LEFT_OUT_NUMBERS / (data.num_classes * data.dim))
        limit = min(max(limit, _LEAST_LEFT_OUT), CAPACITY)
        best: tuple[float, Solver, float, float, bool, float] | None = None
        for factor in self._prior_weights(prior is not None):
            total = data if prior is None else data.copy().merge(prior.scaled(factor))
            solver = SOLVERS[self.kind](total)
            samples = left_out_samples(data, total.count, limit)
            fixed = self.regularization
            values = solver.values if fixed == "loo" else solver.values.new_tensor([fixed])
            start = 1.0 if self.kind == "gaussian" else None
            if not len(samples):
                value = solver.default if fixed == "loo" else float(fixed)
                weight, bias = solver.solution(value)
                scale = left_out_scale(total.mean @ weight.T + bias, torch.arange(len(bias)), total.count, start=start)
                best = (0.0, solver, value, scale.scale, False, factor)
                break
            for value, logits in zip(values.tolist(), solver.left_out(samples, values), strict=True):
                if self.kind in ("ridge", "random-features"):
                    error = squared_error(logits, samples.labels, samples.share)
                    better = best is None or error < best[0]
                    found = left_out_scale(logits, samples.labels, samples.weights) if better else None
                else:
                    found = left_out_scale(logits, samples.labels, samples.weights, start=start)
                    error = found.loss
                    better = best is None or error < best[0]
                if better and found is not None:
                    best = (error, solver, value, found.scale, found.by_samples, factor)
        assert best is not None
        _, solver, value, scaled, calibrated, factor = best
        weight, bias = solver.solution(value)
        chosen = {"regularization": value, **({} if prior is None else {"prior_weight": factor})}
        return Solution(self.features, weight, bias, scaled, calibrated, chosen)

    def _kernel(self, data: KeptSamples, prior: ClassStatistics | KeptSamples | None) -> Solution:
        assert not isinstance(prior, ClassStatistics)
        factors = self._prior_weights(prior is not None)
        b, a, value, factor = _DEFAULT_SHARPNESS, _DEFAULT_EXPONENT, _DEFAULT_LAMBDA, 1.0 if prior else factors[0]
        values = LAMBDAS if self.regularization == "loo" else (float(self.regularization),)
        part = data.first(SEARCHED)
        rows = joined(part, prior, 1.0)
        cosines = cosines_of(rows)
        for grid in ([(b, a, factor) for b in SHARPNESS for a in EXPONENTS], [(0.0, 0.0, f) for f in factors]):
            if len(grid) == 1:
                continue
            best = torch.inf
            start = b, a
            for sharpness, exponent, weight in grid:
                if not sharpness:
                    sharpness, exponent = start
                samples = joined(part, prior, weight)
                fit = KernelFit.prepare(cosines, samples, len(part.labels), sharpness, exponent)
                kept = _not_alone(samples, len(part.labels))
                for v, logits in zip(values, fit.path(values), strict=True):
                    error = left_out_scale(logits[kept], part.labels[kept], part.weights[kept]).loss
                    if error < best:
                        best, b, a, value, factor = error, sharpness, exponent, v, weight
        samples = joined(data, prior, factor)
        fit = KernelFit.prepare(cosines_of(samples), samples, len(data.labels), b, a)
        dual, logits = fit.solve(value)
        kept = _not_alone(samples, len(data.labels))
        scale = left_out_scale(logits[kept], data.labels[kept], data.weights[kept])
        if not bool(kept.any()):
            scale = left_out_scale(fit.targets, samples.labels, samples.weights)
        chosen = {"regularization": value, "sharpness": b, "exponent": a}
        chosen |= {} if prior is None else {"prior_weight": factor}
        features = KernelFeatures(samples.rows, b)
        bias = torch.zeros(samples.num_classes, dtype=torch.float64)
        return Solution(features, dual.T.contiguous(), bias, scale.scale, scale.by_samples, chosen)

    def _prior_weights(self, present: bool) -> tuple[float, ...]:
        if not present:
            return (0.0,)
        return PRIOR_WEIGHTS if self.prior_weight == "loo" else (float(self.prior_weight),)

    @staticmethod
    def _random(model: ClosedForm) -> tuple[int, ...]:
        return (model.width, model.seed) if model.kind == "random-features" else ()

    def _changed(self) -> ClosedForm:
        self._solution = None
        return self


def squared_error(logits: Tensor, labels: Tensor, share: Tensor) -> float:
    """sum_i share_i ||f_i - m_{y_i}||^2 of regressions f onto a simplex, less a constant, from logits <f_i, m_k>.

    With rows that sum to 0, ||f||^2 = (K - 1) / K sum_k z_k^2 and ||f - m_y||^2 = ||f||^2 - 2 z_y + 1.
    """
    k = logits.shape[1]
    own = logits.gather(1, labels[:, None])[:, 0]
    return float((share * (logits.square().sum(1) * ((k - 1) / k) - 2 * own)).sum())


def _not_alone(samples: KeptSamples, size: int) -> Tensor:
    """(size,) bool, whether a sample's class keeps something without it."""
    unit, labels = samples.weights[:size].clamp(max=1), samples.labels[:size]
    total = samples.count[labels]
    return total - unit > 1e-9 * total


def _number_or_loo(value: float | Literal["loo"], name: str) -> float | Literal["loo"]:
    return "loo" if isinstance(value, str) and value == "loo" else check_positive(value, name, hint="Or pass 'loo'.")
