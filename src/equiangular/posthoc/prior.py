"""Changing the class prior of a trained classifier: subtract the log prior it was trained with, add another."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from equiangular._validate import check_class_counts, check_features, check_non_negative, check_positive


def prior_corrected_logits(
    logits: Tensor, class_counts: Any, *, target_prior: Any | None = None, scale: float = 1.0, strength: float = 1.0
) -> Tensor:
    """Logits of a classifier trained under one class prior, corrected to another; nothing is retrained.

    z'_c = scale z_c - strength (log pi_c - log rho_c), with pi the training prior and rho the target prior. If
    softmax(scale z) is the posterior under pi, then at strength 1 softmax(z') is the posterior under rho (Bayes' rule).
    Cosines, and the logits of a head that was not trained for likelihood (dot-regression), are no log posteriors, so
    scale and strength are calibrated on held-out training data: :func:`calibrate_prior_correction`.

    Args:
        logits: (N, K) floating point: cosines or logits.
        class_counts: (K,) training samples per class, all above 0.
        target_prior: (K,) positive weights of the classes where the classifier is used; uniform by default.
        scale: what ``logits`` are multiplied by, above 0.
        strength: how much of the prior is exchanged; 0 leaves the ranking of the classes as it is.

    Returns:
        (N, K) in the dtype of ``logits``.

    Raises:
        ValueError: wrong shapes, NaN values, an empty class, a scale or strength out of range.

    Example:
        >>> prior_corrected_logits(torch.tensor([[0.5, 0.4]]), [99, 1], scale=8.0).argmax(1)
        tensor([1])

    Sources: Menon et al., "Long-tail learning via logit adjustment", ICLR 2021, section 4.1; Saerens et al.,
    "Adjusting the outputs of a classifier to new a priori probabilities", Neural Computation 2002, eq. 2.4.
    """
    check_features(logits, name="logits")
    scale = check_positive(scale, "scale")
    strength = check_non_negative(strength, "strength", hint="0 corrects nothing, 1 is Bayes' rule.")
    return corrected(logits, prior_shift(class_counts, target_prior, logits.shape[1]), scale, strength)


def corrected(logits: Tensor, shift: Tensor, scale: float | Tensor, strength: float | Tensor) -> Tensor:
    """The formula itself, in at least float32: scale z - strength shift."""
    dtype = torch.promote_types(logits.dtype, torch.float32)
    return (scale * logits.to(dtype) - strength * shift.to(logits.device, dtype)).to(logits.dtype)


def prior_shift(class_counts: Any, target_prior: Any | None, num_classes: int) -> Tensor:
    """log pi - log rho, (K,) float64: the training prior against the target prior, which is uniform by default."""
    counts = check_class_counts(class_counts, num_classes)  # None is no counts, where log_prior takes it for uniform
    train = log_prior(counts, num_classes, "class_counts")
    return train - log_prior(target_prior, num_classes, "target_prior").to(train.device)


def log_prior(weights: Any | None, num_classes: int, name: str) -> Tensor:
    """The logarithm of positive class weights (K,) divided by their sum, float64; None is the uniform prior."""
    if weights is None:
        return torch.full((num_classes,), -math.log(num_classes), dtype=torch.float64)
    checked = check_class_counts(weights, num_classes, name=name)
    return (checked / checked.sum()).log()
