"""Closed-form classifiers as a scikit-learn estimator. Needs the extra ``[sklearn]``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from equiangular._defaults import usual_defaults
from equiangular._extras import require
from equiangular._validate import check_choice
from equiangular.closed_form import KINDS, ClosedForm, Kind, save_closed_form
from equiangular.closed_form.files import read_closed_form
from equiangular.integrations._arrays import read_only_tensor
from equiangular.integrations._class_priors import prior_vector
from equiangular.integrations._class_vectors import class_vector_rows
from equiangular.integrations._labels import check_label_kind, label_kind, plain
from equiangular.integrations._tables import validated

_base = require("sklearn.base", extra="sklearn", purpose="ClosedFormClassifier")
_multiclass = require("sklearn.utils.multiclass", extra="sklearn", purpose="ClosedFormClassifier")
_validation = require("sklearn.utils.validation", extra="sklearn", purpose="ClosedFormClassifier")

FLOATS = (np.float64, np.float32, np.float16)


class ClosedFormClassifier(_base.ClassifierMixin, _base.BaseEstimator):  # type: ignore[name-defined,misc]  # untyped
    """A classifier on features, such as embeddings, that is computed in one pass and never trained.

    It takes samples in any order and number of calls, classes at any time, the sums of other machines, and forgets
    samples: the sums left are those of a fit without them, to rounding. Classes count alike, however many samples they
    have; the prior comes in at prediction. Regularisation, the scale of the probabilities and what small classes lose
    by shrinkage are set by leave-one-out, in closed form, on about a thousand samples whatever their order.

    Args:
        kind: ``"class-means"``, ``"gaussian"``, ``"ridge"``, ``"random-features"`` or ``"kernel"``, see
            :class:`equiangular.closed_form.ClosedForm`. The kernel keeps its samples and suits up to about 20,000.
        target_prior: class frequencies to predict for: ``"uniform"``; ``"train"``, those seen; positive weights in the
            order of ``classes_``; or a mapping from class to weight, of all classes when predictions are made. It may
            be changed after fitting.
        regularization: ``"loo"`` for leave-one-out, or the number (ridge, kernel: lambda; Gaussian: rho in (0, 1]).
        class_vectors: a mapping from label to vector (d,), or vectors (P, d): embeddings of the class names or
            descriptions by the encoder of the features. They enter as prior samples, in :meth:`fit` and where
            ``partial_fit`` or ``merge`` begins; their labels are classes, with samples or without. See also
            :meth:`set_class_prior`.
        prior_weight: weight of each of them, or ``"moments"``: sigma^2 / tau^2, from how far samples lie from class
            means and these from the vectors, see :class:`equiangular.closed_form.ClosedForm`.
        width: number of random features.
        random_state: seed of the random features.

    Attributes:
        classes_: (K,) labels seen or announced, sorted.
        class_count_: (K,) sum of the sample weights of each class.
        closed_form_: the classifier itself, a :class:`equiangular.closed_form.ClosedForm`.
        n_features_in_: number of columns.
        feature_names_in_: their names, if they had names that are all strings.

    A class that was announced and has no sample has probability 0. A weight of 2 is the same as the sample twice, so
    weights whose sum is below one a class are refused: multiply them by ``len(y) / sample_weight.sum()``.

    Example:
        >>> from sklearn.datasets import load_iris
        >>> X, y = load_iris(return_X_y=True)
        >>> model = ClosedFormClassifier(kind="ridge").partial_fit(X[:100], y[:100]).partial_fit(X[100:], y[100:])
        >>> bool((model.predict(X) == ClosedFormClassifier(kind="ridge").fit(X, y).predict(X)).all())
        True
    """

    def __init__(
        self,
        kind: Kind = "gaussian",
        *,
        target_prior: Any = "uniform",
        regularization: Any = "loo",
        class_vectors: Mapping[Any, Any] | None = None,
        prior_weight: Any = "moments",
        width: int = 2000,
        random_state: int = 0,
    ) -> None:
        self.kind, self.target_prior, self.regularization = kind, target_prior, regularization
        self.class_vectors, self.prior_weight = class_vectors, prior_weight
        self.width, self.random_state = width, random_state

    @usual_defaults()
    def fit(self, X: Any, y: Any, sample_weight: Any | None = None) -> ClosedFormClassifier:
        """Forget everything seen and fit samples X (N, d) with labels y (N,) and weights (N,) of at least 0.

        Returns:
            self.

        Raises:
            ValueError: a parameter out of its range, bad data, only one class, or weights of less than one sample a
                class.
        """
        X, y, weight = self._samples(X, y, sample_weight, reset=True)
        classes = np.unique(y[weight > 0])
        if len(classes) < 2:
            raise ValueError(
                f"ClosedFormClassifier needs samples of at least 2 classes (with a weight above 0), got {len(classes)} "
                "class. Check y and sample_weight, or begin with partial_fit."
            )
        self._start(classes, self.n_features_in_)
        kept = weight > 0
        self._add(X[kept], y[kept], weight[kept])
        self.closed_form_.check_weights()
        return self

    @usual_defaults()
    def partial_fit(
        self, X: Any, y: Any, classes: Any | None = None, sample_weight: Any | None = None
    ) -> ClosedFormClassifier:
        """Add samples, also of classes that were not there before.

        Args:
            X: (N, d).
            y: (N,) labels.
            classes: labels to announce; need not be given, and need not be all.
            sample_weight: (N,) of at least 0.

        Returns:
            self.

        Raises:
            ValueError: a parameter out of its range, one but ``target_prior`` changed since the first samples, or bad
                data.
        """
        first = not hasattr(self, "closed_form_")
        if not first:
            self._check_unchanged()
        X, y, weight = self._samples(X, y, sample_weight, reset=first)
        announced = y[:0]
        if classes is not None:
            label_kind(classes, "classes")
            announced = np.unique(np.asarray(classes))
            check_label_kind(announced, y, "classes")
        if classes is not None and len(np.setdiff1d(y, announced)) and first:
            stranger = np.setdiff1d(y, announced).tolist()[0]
            raise ValueError(
                f"y has the label {plain(stranger)!r}, which is not in classes. Announce it, or leave classes out."
            )
        if first:
            self._start(y[:0], self.n_features_in_)
        self._grow(np.unique(np.concatenate([announced, y])) if len(announced) else np.unique(y), "y")
        return self._add(X, y, weight)

    def merge(self, other: ClosedFormClassifier) -> ClosedFormClassifier:
        """Add all that another classifier has seen, in place; classes are matched by their labels.

        Returns:
            self.

        Raises:
            ValueError: another kind, number of columns or random features, or labels of another type.
        """
        if not isinstance(other, ClosedFormClassifier):
            raise ValueError(f"merge takes another ClosedFormClassifier, got {type(other).__name__}.")
        _validation.check_is_fitted(other)
        if not hasattr(self, "closed_form_"):
            self._start(other.classes_[:0], other.n_features_in_)
            names = getattr(other, "feature_names_in_", None)
            if names is not None:
                self.feature_names_in_ = names
        self._check_unchanged()
        if other.n_features_in_ != self.n_features_in_:
            raise ValueError(
                f"cannot merge a classifier of {other.n_features_in_} features into one of {self.n_features_in_}. "
                "Both must be fitted on the same columns, or features of the same encoder."
            )
        self.closed_form_.check_alike(other.closed_form_)
        self._grow(other.classes_, "the other classifier")
        self.closed_form_.merge(other.closed_form_, torch.from_numpy(np.searchsorted(self.classes_, other.classes_)))
        return self

    def remove(self, X: Any, y: Any, sample_weight: Any | None = None) -> ClosedFormClassifier:
        """Take samples out again, in place, with the labels and weights they were added with.

        Returns:
            self.

        Raises:
            ValueError: samples that were never added, or more of their weight than was, where that can be told: always
                by the kernel and among about the first 1,000 samples, see
                :meth:`equiangular.closed_form.ClassStatistics.remove`. Nothing is changed then.
        """
        _validation.check_is_fitted(self)
        self._check_unchanged()
        X, y, weight = self._samples(X, y, sample_weight, reset=False)
        check_label_kind(y, self.classes_, "y")
        unknown = np.setdiff1d(y, self.classes_)
        if len(unknown):
            raise ValueError(f"cannot remove samples of the class {plain(unknown.tolist()[0])!r}: it was never added.")
        codes = torch.from_numpy(np.searchsorted(self.classes_, y))
        self.closed_form_.remove(read_only_tensor(X), codes, torch.from_numpy(weight))
        return self

    def set_class_prior(self, vectors: Any, classes: Any) -> ClosedFormClassifier:
        """Give classes prior samples, such as the embeddings of their names, before or after fitting data.

        A class of which there is nothing else is then predicted too.

        Args:
            vectors: (P, d).
            classes: (P,) label of each.

        Returns:
            self.
        """
        first = not hasattr(self, "closed_form_")
        if not first:
            self._check_unchanged()
        X, y, _ = self._samples(vectors, classes, None, reset=first)
        if first:
            self._start(np.unique(y), self.n_features_in_)
        self._grow(np.unique(y), "classes")
        self.closed_form_.set_prior(read_only_tensor(X), torch.from_numpy(np.searchsorted(self.classes_, y)))
        return self

    @property
    def model_prior_(self) -> np.ndarray:
        """(K,) ones: what the scores stand for before ``target_prior``, whatever the class counts."""
        return np.ones(len(self.classes_))

    def decision_function(self, X: Any) -> np.ndarray:
        """Logits (N, K); for two classes their difference (N,), above 0 for ``classes_[1]``."""
        logits = self._logits(X)
        return (logits[:, 1] - logits[:, 0] if len(self.classes_) == 2 else logits).numpy()

    def predict_proba(self, X: Any) -> np.ndarray:
        """Class probabilities (N, K) in the order of ``classes_``: the softmax of the logits."""
        return self._logits(X).softmax(1).numpy()

    def predict(self, X: Any) -> np.ndarray:
        """The likeliest class of every row, (N,)."""
        best = self._logits(X).argmax(1).numpy()
        found: np.ndarray = self.classes_[best]
        return found

    @property
    def class_count_(self) -> np.ndarray:
        """(K,) sum of the sample weights of each class."""
        return self.closed_form_.class_counts.numpy()

    def save(self, path: str | Path) -> Path:
        """Write the classifier and all it has seen to a safetensors file; labels must be numbers or strings.

        Raises:
            ValueError: labels of another kind, or a file that cannot be written.
        """
        _validation.check_is_fitted(self)
        if self.classes_.dtype.kind not in "iufbUO" or not all(
            isinstance(c, (str, int, float)) for c in self._labels()
        ):
            raise ValueError(f"labels of type {self.classes_.dtype} cannot be stored. Use numbers or strings.")
        prior = self.target_prior
        if isinstance(prior, Mapping):
            prior = {"labels": _plain(prior), "weights": [float(weight) for weight in prior.values()]}
        elif not isinstance(prior, str):
            prior = np.asarray(prior).tolist()
        kept: dict[str, Any] = {"target_prior": prior, "random_state": self.random_state}
        beside = {}
        if self.class_vectors is not None:
            rows, _ = class_vector_rows(self.class_vectors, self.n_features_in_)
            beside["class_vectors"] = torch.from_numpy(rows)
            sizes = [list(np.shape(vectors)) for vectors in self.class_vectors.values()]
            kept["class_vectors"] = {"labels": _plain(self.class_vectors), "shapes": sizes}
        names = list(getattr(self, "feature_names_in_", []))
        kept |= {"classes": self._labels(), "dtype": self.classes_.dtype.str, "feature_names": names}
        return save_closed_form(path, self.closed_form_, metadata=kept, beside=beside)

    @classmethod
    def load(cls, path: str | Path) -> ClosedFormClassifier:
        """Read what :meth:`save` wrote.

        Raises:
            ValueError: the file is missing, damaged, or of another kind.
        """
        model, kept, beside = read_closed_form(path)
        if "classes" not in kept:
            raise ValueError(f"{str(path)!r} holds no labels: a head wrote it. Read it with ClosedFormHead.load.")
        same = {name: getattr(model, name) for name in ("kind", "regularization", "prior_weight", "width")}
        prior = kept["target_prior"]
        if isinstance(prior, dict):
            prior = dict(zip(prior["labels"], prior["weights"], strict=True))
        self = cls(target_prior=prior, random_state=kept["random_state"], **same)
        if vectors := kept.get("class_vectors"):  # files of before have none
            sizes = [shape[0] if len(shape) == 2 else 1 for shape in vectors["shapes"]]
            parts = np.split(beside["class_vectors"].numpy(), np.cumsum(sizes)[:-1])
            shaped = [part.reshape(shape) for part, shape in zip(parts, vectors["shapes"], strict=True)]
            self.class_vectors = dict(zip(vectors["labels"], shaped, strict=True))
        self.classes_ = np.array(kept["classes"], dtype=kept["dtype"])
        self.closed_form_, self.n_features_in_ = model, model.in_features
        if kept["feature_names"]:
            self.feature_names_in_ = np.array(kept["feature_names"], dtype=object)
        return self

    def _labels(self) -> list[Any]:
        labels: list[Any] = self.classes_.tolist()
        return labels

    def _samples(self, X: Any, y: Any, sample_weight: Any | None, *, reset: bool) -> tuple[Any, Any, Any]:
        X, y = validated(self, X, y, dtype=FLOATS, order="C", reset=reset, ensure_min_samples=1)
        label_kind(y, "y")
        _multiclass.check_classification_targets(y)
        weight = _validation._check_sample_weight(sample_weight, X, dtype=np.float64, copy=True)
        if weight.min() < 0:
            raise ValueError(f"sample_weight must not be negative, got {weight.min()}.")
        return X, y, weight

    def _check_unchanged(self) -> None:
        """Raise if a parameter that the fitted classifier was made with is another one by now."""
        made = self.closed_form_
        was = {name: getattr(made, name) for name in ("kind", "regularization", "prior_weight", "width")}
        for name, before in {**was, "random_state": made.seed}.items():
            if (now := getattr(self, name)) != before:
                raise ValueError(
                    f"{name} was set to {now!r} after the classifier was fitted with {before!r}; what it has seen does "
                    f"not fit another one. Call fit on all samples, or set_params({name}={before!r}) to go on."
                )

    def _start(self, classes: np.ndarray, features: int) -> None:
        check_choice(self.kind, KINDS, "kind")
        self.classes_, self.n_features_in_ = classes, features
        self.closed_form_ = ClosedForm(
            features, len(classes), kind=self.kind, regularization=self.regularization,
            prior_weight=self.prior_weight, width=self.width, seed=self.random_state,
        )  # fmt: skip
        if isinstance(self.target_prior, str):  # else it is of classes that may be yet to come
            check_choice(self.target_prior, ("uniform", "train"), "target_prior")
        if self.class_vectors is not None:
            vectors, labels = class_vector_rows(self.class_vectors, features)
            self._grow(np.unique(labels), "class_vectors")
            codes = torch.from_numpy(np.searchsorted(self.classes_, labels))
            self.closed_form_.set_prior(torch.from_numpy(vectors), codes)

    def _grow(self, classes: np.ndarray, what: str) -> None:
        """Make room for new labels; the classes stay sorted."""
        known = self.classes_
        check_label_kind(classes, known, what)
        together = np.union1d(known, classes) if len(known) else np.unique(classes)
        if len(together) == len(known):
            return
        model = self.closed_form_
        places = torch.from_numpy(np.searchsorted(together, known)) if len(known) else torch.zeros(0, dtype=torch.long)
        model.spread(places, len(together))
        self.classes_ = together

    def _add(self, X: np.ndarray, y: np.ndarray, weight: np.ndarray) -> ClosedFormClassifier:
        codes = torch.from_numpy(np.searchsorted(self.classes_, y))
        self.closed_form_.update(read_only_tensor(X), codes, torch.from_numpy(weight))
        return self

    @usual_defaults()
    def _logits(self, X: Any) -> torch.Tensor:
        _validation.check_is_fitted(self)
        X = validated(self, X, dtype=FLOATS, order="C", reset=False)
        prior = self.closed_form_.log_prior(self._target_prior())
        return self.closed_form_.solve().logits(read_only_tensor(X), prior)

    def _target_prior(self) -> Any:
        """``target_prior`` as a name, of which the closed form knows what an empty class is, or (K,) weights."""
        if isinstance(self.target_prior, str):
            return self.target_prior
        return torch.from_numpy(prior_vector(self.target_prior, self.classes_, self.class_count_, "target_prior"))


def _plain(labels: Mapping[Any, Any]) -> list[Any]:
    """The keys of a mapping as JSON has them."""
    return [plain(label) for label in labels]
