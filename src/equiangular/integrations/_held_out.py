"""Scores of scikit-learn classifiers as log posteriors, and of samples that the scoring model has not seen."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import torch
from sklearn.base import clone
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import _check_method_params, has_fit_parameter
from torch import Tensor

from equiangular.posthoc import (
    Calibration,
    bias_corrected_temperature,
    calibrate_prior_correction,
    calibrate_scale,
    prior_corrected_logits,
)  # fmt: skip
from equiangular.posthoc.footing import all_right, does_harm, target_shares, too_little

# What a probability of 0 is taken for, as a logarithm; scikit-learn's log_loss takes it for the same.
SMALLEST = float(np.log(np.finfo(np.float64).eps))


def class_scores(estimator: Any, X: Any) -> Tensor:
    """Logarithms of ``predict_proba``, or else what ``decision_function`` gives, (0, z) of two classes: (N, K).

    Raises:
        ValueError: neither method, or other than one score for each class.
    """
    num_classes = len(estimator.classes_)
    if hasattr(estimator, "predict_proba"):
        z = np.log(np.asarray(estimator.predict_proba(X)).astype(np.float64).clip(min=np.exp(SMALLEST)))
    elif hasattr(estimator, "decision_function"):
        z = np.asarray(estimator.decision_function(X))
        z = np.column_stack([np.zeros_like(z), z]) if z.ndim == 1 else z
    else:
        raise ValueError(
            f"{type(estimator).__name__} has neither predict_proba nor decision_function; without scores there is no "
            "prior to correct."
        )
    pairs = getattr(estimator, "decision_function_shape", None) == "ovo"  # three of them look like three classes
    if z.shape[1] != num_classes or (pairs and num_classes > 2 and not hasattr(estimator, "predict_proba")):
        raise ValueError(
            f"{type(estimator).__name__} gives {z.shape[1]} scores for {num_classes} classes; one for each class is "
            "needed, not one for each pair. Take decision_function_shape='ovr'."
        )
    return torch.from_numpy(z.astype(np.float64))


def with_weights(estimator: Any, weight: np.ndarray, params: dict[str, Any]) -> dict[str, Any]:
    """The arguments of the estimator's ``fit``, sample weights among them, without metadata routing.

    Raises:
        ValueError: an estimator, or a pipeline whose last step, takes no weights.
    """
    name = "sample_weight"
    if hasattr(estimator, "steps"):
        step, last = estimator.steps[-1]
        name, takes = f"{step}__{name}", has_fit_parameter(last, name)
    else:
        accepted = inspect.signature(estimator.fit).parameters
        takes = name in accepted or any(p.kind is p.VAR_KEYWORD for p in accepted.values())
    if not takes:
        raise ValueError(f"{type(estimator).__name__} takes no sample_weight. Leave it out.")
    return {name: weight, **params}


def cross_fitted(
    estimator: Any, X: Any, y: np.ndarray, codes: np.ndarray, params: dict[str, Any], folds: int
) -> tuple[Tensor, Tensor]:
    """Scores (n, K) and class indices (n,) of samples by models that have not seen them.

    Up to ``folds`` samples of a class are all in different folds. The only sample of a class stays in every training
    part: a model without it would not know the class.

    Args:
        estimator: cloned for each fold.
        X, y: the samples and their labels.
        codes: (N,) class indices.
        params: arguments of ``fit``, cut with the samples.
        folds: at least 2.
    """
    order = np.argsort(codes, kind="stable")
    fold = np.empty(len(codes), dtype=int)
    fold[order] = np.arange(len(codes)) % folds
    fold[np.bincount(codes)[codes] == 1] = -1
    scores = [torch.empty(0, int(codes.max()) + 1, dtype=torch.float64)]
    labels = [codes[:0]]
    for number in np.unique(fold[fold >= 0]):
        train, held = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        own = _check_method_params(X, params, indices=train)
        model = clone(estimator).fit(_safe_indexing(X, train), y[train], **own)
        scores.append(class_scores(model, _safe_indexing(X, held)))
        labels.append(codes[held])
    return torch.cat(scores), torch.from_numpy(np.concatenate(labels))


def fit_strength(
    z: Tensor, labels: Tensor, prior: np.ndarray, target: np.ndarray, counts: np.ndarray, *, logs: bool
) -> tuple[Calibration, str]:
    """Scale and strength of a prior correction from held-out scores, and why it is left out, or an empty text.

    Samples whose own class has probability 0 are left out: no scale and no strength gives it another, and how small a
    number stands for 0 would decide the fit. Where no prior is exchanged only the scale is fitted.

    Args:
        z, labels: scores (n, K) and class indices (n,).
        prior, target, counts: (K,) of the scores, of the predictions, and of the data.
        logs: whether z are logarithms of probabilities, whose scale is about 1.
    """
    if logs:
        possible = z.gather(1, labels[:, None])[:, 0] > SMALLEST
        z, labels = z[possible], labels[possible]
    right = z.argmax(1) == labels
    if reason := too_little(labels, z.shape[1]) or all_right(right):
        return Calibration(1.0, 0.0), reason
    kept = np.allclose(prior / prior.sum(), target / target.sum())
    if not kept:
        expected = 1.0 if logs else None
        scale, strength = calibrate_prior_correction(z, labels, prior, target_prior=target, expected_scale=expected)
        after = prior_corrected_logits(z, prior, target_prior=target, scale=scale, strength=strength)
        reason = does_harm(right, after.argmax(1) == labels, labels, z.shape[1], torch.from_numpy(target))
        if not reason:
            return Calibration(scale, strength), ""
    return Calibration(calibrate_scale(z, labels, _above_zero(counts), logit_prior=prior), 0.0), reason


def plain_harm(z: Tensor, labels: Tensor, prior: np.ndarray, target: np.ndarray) -> str:
    """Why Bayes' rule on log posteriors z (n, K) as they are is left out, or an empty text; labels are indices (n,).

    Beside :func:`does_harm` one class for every sample is harm, where it makes no more of them right: a classifier that
    knows little else than the most frequent class has no balanced accuracy to lose.
    """
    before, after = z.argmax(1), prior_corrected_logits(z, prior, target_prior=target).argmax(1)
    rho = torch.from_numpy(target)
    if reason := does_harm(before == labels, after == labels, labels, z.shape[1], rho):
        return reason
    gained = float(target_shares(labels, rho) @ ((after == labels).double() - (before == labels).double()))
    if len(after.unique()) == 1 < len(before.unique()) and gained <= 0:
        return "prior correction left out: it gives every held-out sample to one class, and no more of them are right"
    return ""


def fit_biases(z: Tensor, labels: Tensor, prior: np.ndarray, counts: np.ndarray) -> tuple[Calibration, np.ndarray, str]:
    """Scale and class biases (K,) from held-out scores, and why they are left out, or an empty text."""
    if reason := too_little(labels, z.shape[1]):
        return Calibration(1.0, 0.0), np.zeros(z.shape[1]), reason
    scale, bias = bias_corrected_temperature(z, labels, _above_zero(counts), logit_prior=prior)
    return Calibration(scale, 1.0), bias.numpy(), ""


def _above_zero(counts: np.ndarray) -> np.ndarray:
    """The counts, a class without held-out samples counted as the rarest one."""
    positive: np.ndarray = np.maximum(counts, counts[counts > 0].min())
    return positive
