"""The two parts of the gradient: what pulls a vector to its class and what pushes it away from the others."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

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
    """Pull and push of cross-entropy on each class's feature; their sum is dL/dh_k of one sample.

    pull_k = -(1 - p_{k,k}) w_k and push_k = sum_{j != k} p_{k,j} w_j.

    Args:
        features: H (K, d), one feature for each class.
        weight: W (K, d).

    Returns:
        pull (K, d) and push (K, d).

    Source: Yang et al. 2022, section 3.
    """
    _, p = _shares_and_probabilities(features, weight, torch.ones(len(features)))
    own = p.diagonal()[:, None]
    return -(1 - own) * weight, p @ weight - own * weight


def dot_regression_feature_gradient(features: Tensor, weight: Tensor) -> Tensor:
    """Dot-regression on unit vectors has a pull alone: dL/dh_k = -(1 - w_k . h_k) w_k.

    Args:
        features: H (K, d) unit rows.
        weight: W (K, d) unit rows.

    Source: Yang et al. 2022, section 3.
    """
    check_features(features, dim=weight.shape[1])
    return -(1 - (features * weight).sum(1, keepdim=True)) * weight


def _shares_and_probabilities(features: Tensor, weight: Tensor, sizes: Sequence[int]) -> tuple[Tensor, Tensor]:
    check_features(features, dim=weight.shape[1])
    counts = check_class_counts(sizes, len(weight)).to(features)
    return (counts / counts.sum())[:, None], (features @ weight.T).softmax(1)
