"""The two parts of the gradient: what pulls a vector to its class and what pushes it away from the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from equiangular._random import make_generator
from equiangular._validate import check_class_counts, check_features


def classifier_gradient(features: Tensor, weight: Tensor, class_counts: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Pull and push of cross-entropy on each classifier vector; their sum is dL/dw_k.

    With share_j = n_j/N and p_j = softmax(W h_j): pull_k = -share_k (1 - p_{k,k}) h_k comes from the n_k samples of the
    class itself, push_k = sum_{j != k} share_j p_{j,k} h_j from those of all others. For a rare class the push has the
    larger weight, and rare classes are pushed alike: their vectors merge.

    Args:
        features: H (K, d), one feature for each class.
        weight: W (K, d).
        class_counts: n (K,).

    Returns:
        pull (K, d) and push (K, d).

    Source: Yang et al. 2022, section 3; Fang et al. 2021.
    """
    share, p = _shares_and_probabilities(features, weight, class_counts)
    own = p.diagonal()[:, None]
    pull = -share * (1 - own) * features
    push = (share * p).T @ features - share * own * features
    return pull, push


def feature_gradient(features: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Pull and push (K, d) of cross-entropy on each class's feature h_k (K, d); their sum is dL/dh_k of one sample.

    pull_k = -(1 - p_{k,k}) w_k and push_k = sum_{j != k} p_{k,j} w_j, with p as in :func:`classifier_gradient`.

    Source: Yang et al. 2022, section 3.
    """
    _, p = _shares_and_probabilities(features, weight, torch.ones(len(features)))
    own = p.diagonal()[:, None]
    return -(1 - own) * weight, p @ weight - own * weight


def dot_regression_feature_gradient(features: Tensor, weight: Tensor) -> Tensor:
    """Dot-regression on unit vectors has a pull alone: dL/dh_k = -(1 - w_k . h_k) w_k, H and W (K, d) with unit rows.

    Source: Yang et al. 2022, section 3.
    """
    check_features(features, dim=weight.shape[1])
    return -(1 - (features * weight).sum(1, keepdim=True)) * weight


def dot_regression_classifier_gradient(features: Tensor, weight: Tensor, class_counts: Sequence[int]) -> Tensor:
    """On classifier vectors, too, dot-regression has a pull alone: dL/dw_k = -share_k (1 - w_k . h_k) h_k, (K, d).

    No class pushes another away, so with a learnable classifier nothing keeps the classes apart: dot-regression needs
    the fixed frame. H and W (K, d) have unit rows; share_k = n_k/N.

    Source: from the loss of Yang et al. 2022, section 3, with weight and feature exchanged.
    """
    share, _ = _shares_and_probabilities(features, weight, class_counts)
    return -share * (1 - (features * weight).sum(1, keepdim=True)) * features


def gradient_parts(*, num_classes: int = 10, dim: int = 16, ratio: float = 100, seed: int = 0) -> dict[str, Any]:
    """Norms of pull and push at random features and classifier vectors of norm 1, for each class.

    Args:
        num_classes: K.
        dim: d.
        ratio: imbalance ratio R: the first half of the classes has R samples for one of the others.
        seed: seed of features and classifier vectors.

    Returns:
        ``counts`` and lists over classes: ``classifier_pull``, ``classifier_push`` (CE on w_k: the push outweighs the
        pull for rare classes), ``feature_pull``, ``feature_push`` (CE on h_k of one sample), and DR's pulls, which are
        its whole gradient: ``dr_classifier_pull``, ``dr_feature_pull``.

    Example:
        >>> parts = gradient_parts(ratio=100)
        >>> parts["classifier_push"][-1] > 10 * parts["classifier_pull"][-1]
        True
    """
    half = num_classes // 2
    counts = [ratio] * half + [1.0] * (num_classes - half)
    draw = torch.randn(2, num_classes, dim, generator=make_generator(seed), dtype=torch.float64)
    features, weight = torch.nn.functional.normalize(draw, dim=2)
    parts = {
        **dict(zip(("classifier_pull", "classifier_push"), classifier_gradient(features, weight, counts), strict=True)),
        **dict(zip(("feature_pull", "feature_push"), feature_gradient(features, weight), strict=True)),
        "dr_classifier_pull": dot_regression_classifier_gradient(features, weight, counts),
        "dr_feature_pull": dot_regression_feature_gradient(features, weight),
    }
    return {"counts": counts, **{name: part.norm(dim=1).tolist() for name, part in parts.items()}}


def _shares_and_probabilities(features: Tensor, weight: Tensor, sizes: Sequence[int]) -> tuple[Tensor, Tensor]:
    check_features(features, dim=weight.shape[1])
    counts = check_class_counts(sizes, len(weight)).to(features)
    return (counts / counts.sum())[:, None], (features @ weight.T).softmax(1)
