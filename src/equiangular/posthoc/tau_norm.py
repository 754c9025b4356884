"""Tau-normalisation: shrinking the long class vectors of a trained linear classifier towards the short ones."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from equiangular._validate import check_features, check_labels, check_non_negative

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
    features = check_features(features, dim=weight.shape[1]).to(weight.dtype)
    labels = check_labels(labels, weight.shape[0], batch=features.shape[0])
    candidates = sorted({_check_tau(tau) for tau in taus})
    if not candidates or not len(labels):
        raise ValueError(
            f"choosing tau needs samples and candidates, got {len(labels)} samples and {len(candidates)} candidates. "
            "Hold some training data out, such as a fifth of every class."
        )
    counts = torch.bincount(labels, minlength=weight.shape[0])
    share = 1 / (counts[labels].double() * (counts > 0).sum())  # of a sample in the balanced accuracy
    scores = []
    for tau in candidates:
        predicted = (features @ tau_normalized_weight(weight, tau).T).argmax(1)
        scores.append(float((share * (predicted == labels)).sum()))
    best = max(scores)
    return max(tau for tau, score in zip(candidates, scores, strict=True) if score >= best - 1e-12)


def _check_tau(tau: Any) -> float:
    return check_non_negative(tau, "tau", hint="0 changes nothing, 1 makes all norms equal.")
