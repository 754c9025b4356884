"""Which class prior a scikit-learn classifier's scores stand for, and priors by label."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from equiangular._validate import check_choice, check_class_counts, did_you_mean
from equiangular.integrations._labels import label_kind, plain


def prior_vector(prior: Any, classes: np.ndarray, counts: np.ndarray, name: str) -> np.ndarray:
    """A prior as a user gives it, as (K,) positive weights in the order of ``classes``.

    Args:
        prior: ``"uniform"``, ``"train"`` (the counts), a mapping of label to weight, or K weights.
        classes: (K,) labels.
        counts: (K,) samples, or sums of sample weights, of the training data.
        name: of the parameter, for messages.

    Raises:
        ValueError: an unknown name, a label that is unknown or missing, or weights that are not above 0.

    Example:
        >>> prior_vector({"b": 3, "a": 1}, np.array(["a", "b"]), np.array([5, 5]), "target_prior")
        array([1., 3.])
    """
    if isinstance(prior, str):
        uniform = check_choice(prior, ("uniform", "train"), name) == "uniform"
        prior = np.ones(len(classes)) if uniform else counts
    elif isinstance(prior, Mapping):
        labels = classes.tolist()
        for label in prior:
            if label not in labels:
                given, known = label_kind([label], name), label_kind(labels, "classes_")
                if given != known:
                    raise ValueError(
                        f"{name} has keys that are {given}, such as {plain(label)!r}, where the labels are {known}, "
                        f"such as {plain(labels[0])!r}. Give the labels themselves as keys."
                    )
                close = did_you_mean(label, labels) if isinstance(label, str) else "."
                raise ValueError(f"{name}: there is no class {plain(label)!r} among the {len(labels)} so far{close}")
        if missing := [label for label in labels if label not in prior]:
            raise ValueError(f"{name} has no weight for class {plain(missing[0])!r} ({len(missing)} such classes).")
        prior = [prior[label] for label in labels]
    weights: np.ndarray = check_class_counts(np.asarray(prior), len(classes), name=name).numpy()
    return weights


def model_prior(estimator: Any, classes: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The class prior, (K,) weights, that the scores of a fitted classifier stand for.

    The counts of the training data, unless its settings say otherwise: ``class_weight``, ``priors``, ``class_prior``,
    ``fit_prior``, looked up in the last step of a pipeline and in the best estimator of a search. An attribute
    ``model_prior_`` of the classifier counts before all of them.

    Raises:
        ValueError: a step that resamples, or class weights of an ensemble's members: nobody knows the counts then.

    Example:
        >>> from sklearn.svm import LinearSVC
        >>> model_prior(LinearSVC(class_weight={0: 1, 1: 4}), np.array([0, 1]), np.array([30.0, 10.0]))
        array([30., 40.])
    """
    final = _final(estimator)
    if (own := getattr(final, "model_prior_", None)) is not None:
        target = getattr(final, "target_prior_", getattr(final, "target_prior", None))
        return np.asarray(own, dtype=float) if target is None else prior_vector(target, classes, counts, "target_prior")
    settings = final.get_params(deep=False)
    if hasattr(final, "estimators_") and "class_weight" not in settings:
        weighted = [(k, v) for k, v in final.get_params().items() if k.endswith("__class_weight") and v is not None]
        if weighted and type(final).__name__ != "CalibratedClassifierCV":  # which brings scores back to the counts
            name, value = weighted[0]
            raise ValueError(
                f"{name} of the {type(final).__name__} is {value!r}, so its scores do "
                "not stand for the class shares of the training data. Say which they stand for: train_prior='uniform' "
                "if the classes are weighted to count alike."
            )
    for name in ("priors", "class_prior"):
        given = settings.get(name)
        if isinstance(given, str):  # of NearestCentroid
            return np.ones(len(classes)) if given == "uniform" else counts
        if given is not None:
            return prior_vector(given, classes, counts, name)
    weight = settings.get("class_weight")
    if type(final).__name__ == "ComplementNB":  # which takes its prior for a single class only
        return np.ones(len(classes))
    if settings.get("fit_prior") is False or (isinstance(weight, str) and weight.startswith("balanced")):
        return np.ones(len(classes))
    if isinstance(weight, Mapping):
        factors: np.ndarray = np.array([float(weight.get(label, 1.0)) for label in classes.tolist()])
        counts = counts * factors
    return counts


def _final(estimator: Any) -> Any:
    """The classifier itself, within pipelines, searches, frozen estimators and threshold choosers."""
    while not hasattr(estimator, "model_prior_"):
        if hasattr(estimator, "steps"):
            if resampling := [name for name, step in estimator.steps if hasattr(step, "fit_resample")]:
                raise ValueError(
                    f"step {resampling[0]!r} of the pipeline resamples the training data, so their class shares are "
                    "not those that the classifier sees. Say what they are: train_prior='uniform' if it balances them."
                )
            estimator = estimator.steps[-1][1]
        elif "class_weight" not in estimator.get_params(deep=False) and (  # that of a forest is not its template's
            inner := [name for name in ("best_estimator_", "estimator_") if hasattr(estimator, name)]
        ):
            estimator = getattr(estimator, inner[0])
        elif type(estimator).__name__ == "FrozenEstimator":
            estimator = estimator.estimator
        else:
            break
    return estimator
