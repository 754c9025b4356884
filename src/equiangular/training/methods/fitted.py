"""Methods without a network to train: a head fitted in one call to features, such as an encoder's."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, cast

import numpy as np
import torch
from torch import Tensor

from equiangular._extras import require
from equiangular._validate import check_positive
from equiangular.closed_form import ClosedFormHead, Kind
from equiangular.closed_form.head import CLOSED_FORM
from equiangular.heads import Head, LinearHead
from equiangular.training.config.catalogue import ENTRIES
from equiangular.training.methods.base import Context, Method

Ability = Literal["one pass", "merge", "new classes", "remove"]
KERNEL_SAMPLES = 3000  # more are compared where the kernel is asked for: N x N numbers, and N^3 steps
_CLOSED_FORM_OPTIONS, _LOGISTIC_OPTIONS = ("regularization", "prior_weight", "width"), ("strength", "balanced")
REVISION = 6  # of the formulas: raise it with every change of what a fit gives
STRENGTH = 0.1  # of logistic regression on centred features of root mean square 1; about 40 at unit norm and d = 384


def not_trained(features: Tensor, target: Any, head: Head, context: Context) -> Tensor:
    """The criterion of a method that has none."""
    raise ValueError("this method is fitted in one call; it has no criterion to train with.")


@dataclass(frozen=True)
class FittedMethod(Method):
    """A method whose head is fitted to the features of the training part in one call: no gradients, no epochs.

    Attributes:
        kind: of a classifier in closed form, see :class:`equiangular.closed_form.ClosedForm`; None for logistic
            regression. ``head_options`` are the options of either: of the last ``strength``, its inverse regularisation
            (:data:`STRENGTH`), and ``balanced``.
        abilities: what it can do that would take others a new fit.

    Where it is ``named`` the vectors of the class names are samples: of a closed form with a weight that follows from
    the data, of logistic regression one more of each class.
    """

    kind: Kind | None = None
    abilities: tuple[Ability, ...] = ()

    @property
    def revised_name(self) -> str:
        """See :attr:`Method.revised_name`: a stored fit of another revision is fitted anew."""
        return f"{self.training_name}, revision {REVISION}"

    def build_head(self, in_features: int, num_classes: int, *, seed: int, class_means: Tensor | None = None) -> Head:
        """The head before it is fitted; see :meth:`Method.build_head`."""
        options: Any = dict(self.head_options)
        known = _LOGISTIC_OPTIONS if self.kind is None else _CLOSED_FORM_OPTIONS
        if unknown := [name for name in options if name not in known]:
            raise ValueError(
                f"method {self.name!r} has no option {unknown[0]!r} of the head; it has {', '.join(known)}."
            )
        if self.kind is not None:
            return ClosedFormHead(in_features, num_classes, kind=self.kind, seed=seed, **options)
        check_positive(options.get("strength", STRENGTH), "strength")
        return LinearHead(in_features, num_classes, seed=seed)

    def fit(self, head: Head, features: Tensor, labels: Tensor, names: Tensor | None = None) -> int:
        """Fit the head that :meth:`build_head` gave, in place, to features (N, d) float32 and labels (N,) int64.

        ``names`` (K, d) are the vectors of the class names, for a method that is ``named``. Returns how many numbers
        the fit keeps, or has at hand all along, beside the head.
        """
        if isinstance(head, ClosedFormHead):
            if self.named:
                head.set_prior(names)
            head.fit(features, labels)
            return numbers_in(head.closed_form.seen) + numbers_in(head.closed_form.prior)
        options: Any = self.head_options
        if names is not None:
            features, labels = torch.cat([features, names]), torch.cat([labels, torch.arange(len(names))])
        fit_logistic(cast("LinearHead", head), features, labels, **options)
        return features.numel() + labels.numel()


def numbers_in(record: Any) -> int:
    """Numbers in the tensors and arrays of a record, and of the records in it.

    Example:
        >>> from equiangular.closed_form import ClosedForm
        >>> numbers_in(ClosedForm(10, 3).seen)  # 3 counts, 3 means, one scatter, 3 thresholds of an empty sketch
        136
    """
    if isinstance(record, (Tensor, np.ndarray)):
        return int(np.prod(record.shape))
    return sum(map(numbers_in, vars(record).values())) if hasattr(record, "__dataclass_fields__") else 0


def fit_logistic(
    head: LinearHead, features: Tensor, labels: Tensor, *, strength: float = STRENGTH, balanced: bool = False
) -> None:
    """Multinomial logistic regression by scikit-learn, into a learnable linear head.

    Minimises strength sum_i w_i CE(W x_i + b, y_i) + |W|^2 / 2 by L-BFGS, w_i = 1 or, ``balanced``, N / (K n_{y_i}),
    on features centred and divided by their root mean square, in float32; W and b are then those of the features as
    they are, in float64. Of two classes |W|^2 is that of the difference of their vectors. The labels (N,) have samples
    of all K classes. It takes as many threads as torch is set to.

    Source: Cox, The regression analysis of binary sequences, J. R. Stat. Soc. B 20, 1958; weights: King and Zeng,
    Logistic regression in rare events data, Political Analysis 9, 2001.
    """
    linear = require("sklearn.linear_model", extra="sklearn", purpose="Logistic regression")
    pools = require("threadpoolctl", extra="sklearn", purpose="Logistic regression")
    model = linear.LogisticRegression(C=strength, class_weight="balanced" if balanced else None, max_iter=2000)
    # Regularisation must not depend on where the origin lies, or a common offset would weaken the signal beside it.
    table = features.to(torch.float64, copy=True)
    mean = table.mean(0)
    table -= mean
    size = table.square().mean().sqrt().clamp(min=torch.finfo(torch.float64).tiny)
    with pools.threadpool_limits(torch.get_num_threads()):  # those of NumPy and SciPy are not torch's
        model.fit(table.div_(size).float().numpy(), labels.numpy())
    vectors, bias = (torch.from_numpy(np.asarray(values, np.float64)) for values in (model.coef_, model.intercept_))
    vectors = vectors / size
    bias = bias - vectors @ mean
    if len(vectors) == 1:  # of two classes it has the difference
        vectors, bias = torch.cat([-vectors, vectors]) / 2, torch.cat([-bias, bias]) / 2
    with torch.no_grad():
        head.weight.copy_(vectors)
        cast("Tensor", head.bias).copy_(bias)


_ALL: tuple[Ability, ...] = ("one pass", "merge", "new classes", "remove")
# A kernel keeps its samples: one pass over them is not all it needs.
_ABILITIES: dict[Kind, tuple[Ability, ...]] = {
    "class-means": _ALL,
    "gaussian": _ALL,
    "ridge": _ALL,
    "random-features": _ALL,
    "kernel": _ALL[1:],
}


def _closed_form(kind: Kind, abilities: tuple[Ability, ...]) -> FittedMethod:
    label, _, source = ENTRIES[kind]
    return FittedMethod(kind, label, CLOSED_FORM, not_trained, source, balances=True, kind=kind, abilities=abilities)


def with_names(method: FittedMethod) -> FittedMethod:
    """The same classifier with the vectors of the class names among its samples."""
    name = f"{method.name}-names"
    label, _, source = ENTRIES[name]
    shared = method.trained_as and f"{method.trained_as}-names"
    return replace(method, name=name, label=label, source=source, named=True, trained_as=shared)


def _logistic(name: str, **options: Any) -> FittedMethod:
    label, _, source = ENTRIES[name]
    return FittedMethod(name, label, "linear", not_trained, source, **options)


LOGISTIC = _logistic("logistic")
BALANCED = _logistic("logistic-balanced", head_options={"balanced": True}, balances=True)
_COMPUTED = tuple(_closed_form(kind, abilities) for kind, abilities in _ABILITIES.items())
FITTED = (*_COMPUTED, *map(with_names, _COMPUTED), LOGISTIC, with_names(LOGISTIC), BALANCED)
