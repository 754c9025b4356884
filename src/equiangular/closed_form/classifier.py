"""A closed-form classifier without a module around it: what it has seen, how to add and remove, and its solution."""

from __future__ import annotations

from typing import Any, Literal, TypeVar, get_args

import torch
from torch import Tensor, nn

from equiangular._validate import check_choice, check_class_counts, check_int, check_positive
from equiangular.closed_form.features import RandomFeatures
from equiangular.closed_form.kernel import KeptSamples
from equiangular.closed_form.solution import Solution, solve_kernel, solve_linear
from equiangular.closed_form.statistics import ClassStatistics

Kind = Literal["class-means", "gaussian", "ridge", "random-features", "kernel"]
KINDS: tuple[Kind, ...] = get_args(Kind)
LINEAR_KINDS: tuple[Kind, ...] = ("class-means", "gaussian", "ridge")


class ClosedForm:
    """Counts, means and a scatter (or, for a kernel, the samples), and the classifier they give in closed form.

    Every class has the same weight, but shrinkage is hard on small ones. So left-out samples set, beside the scale of
    the logits, how strongly the log of a class's size is taken off them; it is in the bias, and 0 for classes of one
    size.

    Args:
        in_features: d, width of the features.
        num_classes: K >= 0 classes to begin with; :meth:`grow` appends others.
        kind: which classifier. ``"class-means"``: the nearest class mean by direction (:class:`MeansSolver`);
            ``"gaussian"``: Gaussians of one covariance (:class:`GaussianSolver`); ``"ridge"``: ridge regression onto a
            simplex ETF (:class:`RidgeSolver`); ``"random-features"``: the same on fixed random ReLU features;
            ``"kernel"``: the same with the kernel exp(b (cos - 1)), which keeps its samples, up to about 20,000.
        regularization: ``"loo"`` for leave-one-out, or the number: lambda (ridge, kernel) or rho (Gaussian).
        prior_weight: weight of each prior sample (:meth:`set_prior`), or ``"moments"`` for that at which class means
            are posterior means, see :func:`equiangular.closed_form.solution.prior_weight_of_moments`.
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
        kind: Kind = "gaussian",
        regularization: float | Literal["loo"] = "loo",
        prior_weight: float | Literal["moments"] = "moments",
        width: int = 2000,
        seed: int = 0,
    ) -> None:
        self.kind = check_choice(kind, KINDS, "kind")
        self.regularization = _number_or(regularization, "loo", "regularization")
        if self.kind == "gaussian" and self.regularization != "loo" and float(self.regularization) > 1:
            raise ValueError(f"regularization of a Gaussian is a shrinkage in (0, 1], got {regularization!r}.")
        self.prior_weight = _number_or(prior_weight, "moments", "prior_weight")
        self.width, self.seed = check_int(width, "width", minimum=1), check_int(seed, "seed", minimum=0)
        self.in_features = check_int(in_features, "in_features", minimum=1)
        self.features: nn.Module = nn.Identity()
        if self.kind == "random-features":
            with torch.device("cpu"):  # whatever the default device, the meta device for instance
                self.features = RandomFeatures(self.in_features, self.width, seed=self.seed)
        self.prior: ClassStatistics | KeptSamples | None = None
        self.seen = self.nothing(check_int(num_classes, "num_classes", minimum=0))
        self._solution: Solution | None = None

    def nothing(self, num_classes: int) -> ClassStatistics | KeptSamples:
        """What a classifier of this kind holds before its first sample."""
        with torch.device("cpu"):
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

    def check_alike(self, other: ClosedForm) -> None:
        """Raise if another classifier cannot be merged into this one.

        Raises:
            ValueError: another kind or width, or other random features.
        """
        mine, theirs = ([m.kind, m.in_features, *m._random()] for m in (self, other))
        if mine != theirs:
            raise ValueError(
                f"cannot merge a classifier of kind {other.kind!r} and width {other.in_features} into one of kind "
                f"{self.kind!r} and width {self.in_features}: {theirs} differs from {mine}. Kind, width of the "
                "features and random features must agree."
            )

    def merge(self, other: ClosedForm, index: Tensor | None = None) -> ClosedForm:
        """Add all that another classifier of the same kind has seen; returns itself.

        Args:
            other: its prior samples are not taken over.
            index: (K',) int64, the class here of each of the other's; its own number by default.

        Raises:
            ValueError: another kind, width, number of classes or other random features.
        """
        self.check_alike(other)
        seen = other.seen if index is None else other.seen.reorder(index, self.num_classes)
        if seen.num_classes != self.num_classes:
            raise ValueError(
                f"cannot merge a classifier of {seen.num_classes} classes into one of {self.num_classes}. Classes must "
                "be numbered alike: give both all of them, or say by index which is which."
            )
        if seen is self.seen:
            seen = seen.copy()
        self.seen.merge(seen)  # type: ignore[arg-type]  # of one kind, as checked
        return self._changed()

    def set_prior(self, vectors: Tensor | None, labels: Tensor | None = None) -> ClosedForm:
        """Give classes prior samples, such as the embeddings of their names; returns itself.

        They enter as samples of one weight, are never left out, and count for no frequency. A class of which there is
        nothing else is predicted too.

        Args:
            vectors: (P, d) floating point, or None for none.
            labels: (P,) integers in [0, K); 0 to P - 1 by default.
        """
        self.prior = None
        if vectors is not None:
            labels = torch.arange(len(vectors), device=vectors.device) if labels is None else labels
            self.prior = self.nothing(self.num_classes).update(vectors, labels)
        return self._changed()

    def solve(self) -> Solution:
        """The classifier of all that was seen; computed once until something changes.

        Raises:
            ValueError: no samples, sample weights of less than one a class, or features whose squares float64 cannot
                hold.
        """
        if self._solution is None:
            self.check_weights()
            total = self.seen.count + (0 if self.prior is None else self.prior.count)
            active = (total > 0).nonzero().flatten()
            if not len(active):
                raise ValueError("there is nothing to solve: no class has a sample. Fit it first.")
            data, prior = self.seen, self.prior
            if len(active) < self.num_classes:
                data, prior = data.restrict(active), None if prior is None else prior.restrict(active)
            factor = None if self.prior_weight == "moments" else float(self.prior_weight)
            number = None if self.regularization == "loo" else float(self.regularization)
            options: Any = {"regularization": number, "prior": prior, "prior_weight": factor}
            found = None
            if isinstance(data, KeptSamples):
                found = solve_kernel(data, **options)
            elif bool(data.scatter.isfinite().all()) and not 0 < (data.mean - data.mean.mean(0)).abs().max() < 1e-150:
                found = solve_linear(self.kind, data, self.features, **options)
            if found is None or not bool(found.weight.isfinite().all() and found.bias.isfinite().all()):
                raise ValueError(
                    "the features are too large or too small: float64 does not hold their squares. Fit a new "
                    "classifier on features divided by a typical norm."
                )
            self._solution = found.among(active, self.num_classes)
        return self._solution

    def check_weights(self) -> None:
        """Raise if the samples weigh less than one a class: a weight of 2 is a sample twice, no share of all.

        Raises:
            ValueError: such weights.
        """
        count = self.class_counts
        weight, classes = float(count.sum()), int((count > 0).sum())
        if weight < classes * (1 - 1e-6):
            raise ValueError(
                f"the sample weights of {classes} classes sum to {weight:g}, less than one sample a class. They count "
                "samples, 2 is a sample twice: multiply them, to a mean of 1 for instance (len(w) / w.sum())."
            )

    def log_prior(self, target_prior: Tensor | Literal["uniform", "train"] | None) -> Tensor:
        """(K,) float64 to add to logits that stand for equally frequent classes.

        Args:
            target_prior: ``"uniform"`` or None; ``"train"``, the frequencies seen, where a class without samples
                counts as one sample; or (K,) positive weights.
        """
        if target_prior is None or isinstance(target_prior, str):
            check_choice(target_prior or "uniform", ("uniform", "train"), "target_prior")
            if target_prior != "train":
                return torch.zeros_like(self.class_counts)
            counts = torch.where(self.class_counts > 0, self.class_counts, 1.0)
        else:
            counts = check_class_counts(target_prior, self.num_classes, name="target_prior")
        return (counts / counts.mean()).log()

    def _random(self) -> tuple[int, ...]:
        return (self.width, self.seed) if self.kind == "random-features" else ()

    def _changed(self) -> ClosedForm:
        self._solution = None
        return self


Name = TypeVar("Name", bound=str)


def _number_or(value: float | Name, word: Name, name: str) -> float | Name:
    return word if isinstance(value, str) and value == word else check_positive(value, name, hint=f"Or pass {word!r}.")
