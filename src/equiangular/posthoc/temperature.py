"""A temperature on held-out training data, for logits that stand for any class prior."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from equiangular._validate import check_features, check_labels
from equiangular.posthoc.calibration import LOG_SCALE_STD, _minimise
from equiangular.posthoc.prior import log_prior


def calibrate_scale(logits: Tensor, labels: Tensor, class_counts: Any, *, logit_prior: Any | None = None) -> float:
    """The scale, 1 / temperature, at which logits fit held-out training data best.

    Minimises over log scale, by L-BFGS in float64,

        (1/N) sum_i CE(scale z_i + log pi - log beta, y_i) + (log scale)^2 / (2 0.5^2 N),

    with pi the prior of the held-out data, that of the training, and beta the prior that the logits stand for. The
    shift brings balanced logits to the prior of the data (Bayes' rule), so every sample counts alike; weighting the few
    samples of rare classes up instead would leave the fit to them. The second term is a weak prior that the logits are
    log posteriors already. No prediction changes. Classes absent from the held-out data are left out of the softmax.

    Args:
        logits: (N, K) floating point.
        labels: (N,) integers in [0, K).
        class_counts: pi as (K,) positive weights: the training samples per class.
        logit_prior: beta as (K,) positive weights; pi by default.

    Returns:
        The scale, above 0.

    Raises:
        ValueError: wrong shapes, NaN values, weights that are not above 0, or no samples.

    Example:
        >>> z, y = torch.tensor([[4.0, 0.0], [4.0, 0.0], [0.0, 4.0], [4.0, 0.0]]), torch.tensor([0, 0, 1, 1])
        >>> 0.2 < calibrate_scale(z, y, [3, 1]) < 1  # right three times of four, and too sure of it
        True

    Source: Guo et al., "On calibration of modern neural networks", ICML 2017, section 4.2.
    """
    check_features(logits, name="logits")
    num_classes = logits.shape[1]
    labels = check_labels(labels, num_classes, batch=logits.shape[0]).cpu()
    if not len(labels):
        raise ValueError("a temperature needs held-out samples, got none. Hold a part of the training data out.")
    pi = log_prior(class_counts, num_classes, "class_counts")
    beta = pi if logit_prior is None else log_prior(logit_prior, num_classes, "logit_prior")
    present = torch.bincount(labels, minlength=num_classes) > 0
    z = logits.detach().cpu().double()[:, present]
    shift = (pi - beta).cpu()[present]
    y = (present.cumsum(0) - 1)[labels]

    def objective(log_scale: Tensor) -> Tensor:
        likelihood = torch.nn.functional.cross_entropy(log_scale.exp() * z + shift, y)
        return likelihood + (log_scale / LOG_SCALE_STD) ** 2 / (2 * len(y))

    (log_scale,) = _minimise(lambda point: objective(point[0]), [0.0])
    return math.exp(log_scale)
