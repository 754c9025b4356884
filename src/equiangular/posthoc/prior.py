"""Changing a trained classifier's class prior: subtract one log prior, add another; and tau-normalisation."""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from equiangular._validate import check_class_counts, check_features, check_labels, check_non_negative, check_positive


def prior_corrected_logits(
    logits: Tensor, class_counts: Any, *, target_prior: Any | None = None, scale: float = 1.0, strength: float = 1.0
) -> Tensor:
    """Logits of a classifier trained under one class prior, corrected to another; nothing is retrained.

    z'_c = scale z_c - strength (log pi_c - log rho_c), with pi the training prior and rho the target prior. If
    softmax(scale z) is the posterior under pi, then at strength 1 softmax(z') is the posterior under rho (Bayes' rule).
    Cosines, and the logits of a head that was not trained for likelihood (dot-regression), are no log posteriors, so
    scale and strength are calibrated on held-out training data: :func:`calibrate_prior_correction`. Returns (N, K) in
    the dtype of ``logits``.

    Args:
        logits: (N, K) floating point: cosines or logits.
        class_counts: (K,) training samples per class, all above 0.
        target_prior: (K,) positive weights of the classes where the classifier is used; uniform by default.
        scale: what ``logits`` are multiplied by, above 0.
        strength: how much of the prior is exchanged; 0 leaves the ranking of the classes as it is.

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


PART = 2**20  # logits that are worked on at once, 8 MB in float64; dozens of such buffers are made


def row_parts(rows: int, num_classes: int, numbers: int = PART) -> list[slice]:
    """Slices of (N, K) logits of about ``numbers`` each; one at least, and empty where there is no row.

    Example:
        >>> row_parts(5000, 10), row_parts(1000, 2000)
        ([slice(0, 5000, None)], [slice(0, 524, None), slice(524, 1000, None)])
    """
    size = max(1, numbers // num_classes)
    size -= size % 4096 if size > 4096 else 0
    return [slice(start, min(start + size, rows)) for start in range(0, max(1, rows), size)]


def balanced_shares(labels: Tensor) -> Tensor:
    """What each sample counts for in the balanced accuracy over the classes present: (N,) float64, 1 in all."""
    counts = torch.bincount(labels)
    return 1 / (counts[labels].double() * (counts > 0).sum())


def log_prior(weights: Any | None, num_classes: int, name: str) -> Tensor:
    """The logarithm of positive class weights (K,) divided by their sum, float64; None is the uniform prior."""
    if weights is None:
        return torch.full((num_classes,), -math.log(num_classes), dtype=torch.float64, device="cpu")
    checked = check_class_counts(weights, num_classes, name=name)
    return (checked / checked.sum()).log()


# From the classifier as trained to one of unit-norm class vectors.
TAUS = tuple(step / 20 for step in range(21))


def tau_normalized_weight(weight: Tensor, tau: float) -> Tensor:
    """Class vectors divided by a power of their norm: w_k / ||w_k||^tau.

    A linear classifier trained on a long tail has longer class vectors for its frequent classes. tau = 0 leaves
    it as it is, tau = 1 makes all norms 1, above 1 the order of the norms is turned round. No direction changes. Use
    it without the classifier's bias, as the source does. Returns (K, d) in the dtype of ``weight``.

    Args:
        weight: (K, d) floating-point class vectors of a trained linear classifier; a zero row stays zero.
        tau: a finite number of at least 0.

    Raises:
        ValueError: another shape or dtype, NaN values, or a ``tau`` below 0.

    Example:
        >>> weight = torch.tensor([[0.0, 4.0], [1.0, 0.0]])
        >>> tau_normalized_weight(weight, 0.5)
        tensor([[0., 2.],
                [1., 0.]])

    Source: Kang et al., "Decoupling representation and classifier for long-tailed recognition", ICLR 2020,
    section on the tau-normalised classifier.
    """
    check_features(weight, name="weight")
    norms = torch.linalg.vector_norm(weight.to(torch.promote_types(weight.dtype, torch.float32)), dim=1, keepdim=True)
    return (weight / torch.where(norms > 0, norms, 1) ** _check_tau(tau)).to(weight.dtype)


def choose_tau(features: Tensor, labels: Tensor, weight: Tensor, *, taus: Iterable[float] = TAUS) -> float:
    """The tau of the best balanced accuracy on held-out training data; the largest of equally good ones.

    Balanced accuracy is the mean over the classes present of the share of their samples predicted right: held-out
    data of a long tail are long-tailed themselves, and plain accuracy would always vote for the frequent classes. The
    rarest classes often have no held-out sample at all. A larger tau can only help them, so the largest one that
    costs the others nothing is taken; it needs ``taus`` to stop somewhere, by default at 1. Returns one of ``taus``.

    Args:
        features: (N, d) floating point: what the classifier is applied to, of held-out *training* samples.
        labels: (N,) integers in [0, K).
        weight: (K, d) class vectors of the trained classifier.
        taus: candidates, at least 0.

    Raises:
        ValueError: no samples, no candidates, wrong shapes or dtypes, NaN values, labels out of range.

    Example:
        >>> weight = torch.tensor([[4.0, 0.0], [0.6, 0.8]])  # class 0 is frequent, and its vector long
        >>> choose_tau(torch.tensor([[1.0, 0.0], [0.6, 0.8]]), torch.tensor([0, 1]), weight)
        1.0

    Source: Kang et al., ICLR 2020: tau is chosen on a validation set, which is balanced there.
    """
    check_features(weight, name="weight")
    weight = weight.to(torch.promote_types(weight.dtype, torch.float32))  # a bfloat16 score has three digits
    features = check_features(features, dim=weight.shape[1]).to(weight.dtype)
    labels = check_labels(labels, weight.shape[0], batch=features.shape[0])
    candidates = sorted({_check_tau(tau) for tau in taus})
    if not candidates or not len(labels):
        raise ValueError(
            f"choosing tau needs samples and candidates, got {len(labels)} samples and {len(candidates)} candidates. "
            "Hold some training data out, such as a fifth of every class."
        )
    share = balanced_shares(labels)
    scores = []
    for tau in candidates:
        predicted = (features @ tau_normalized_weight(weight, tau).T).argmax(1)
        scores.append(float((share * (predicted == labels)).sum()))
    best = max(scores)
    return max(tau for tau, score in zip(candidates, scores, strict=True) if score >= best - 1e-12)


def _check_tau(tau: Any) -> float:
    return check_non_negative(tau, "tau", hint="0 changes nothing, 1 makes all norms equal.")
