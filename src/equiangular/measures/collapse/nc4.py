"""NC4: whether the classifier decides as the nearest class mean would."""

from __future__ import annotations

import torch
from torch import Tensor

from equiangular._validate import check_features
from equiangular.frames.checks import TILE_ENTRIES


def nearest_mean(
    features: Tensor, means: Tensor, seen: Tensor | None = None, *, chunk_size: int | None = None
) -> Tensor:
    """argmin_c ||h - mu_c|| for each sample, in chunks of samples: no B x K matrix beyond a chunk.

    Args:
        features: h (B, d).
        means: mu (K, d), uncentred class means.
        seen: (K,) bool, classes to consider; all by default.
        chunk_size: samples at a time; by default as many as make 2^22 distances.

    Returns:
        (B,) int64.

    Example:
        >>> nearest_mean(torch.tensor([[0.9], [-0.2]]), torch.tensor([[1.0], [-1.0]]))
        tensor([0, 1])
    """
    check_features(features, dim=means.shape[1])
    centre = means.mean(0)  # a common offset would cost the digits that decide
    points = means - centre
    half = points.square().sum(1) / 2
    if seen is not None:
        half = torch.where(seen, half, torch.inf)
    chunks = features.split(chunk_size or max(1, TILE_ENTRIES // len(means)))
    return torch.cat([((chunk.to(means) - centre) @ points.T - half).argmax(1) for chunk in chunks])


def classifier_agreement(features: Tensor, predicted: Tensor, means: Tensor, seen: Tensor | None = None) -> Tensor:
    """Share of samples that the classifier puts into the class with the nearest mean; 1 at collapse.

    Args:
        features: (B, d).
        predicted: (B,) int64, the classifier's decisions, its bias included: ``logits.argmax(1)``.
        means: (K, d), uncentred class means of the training features.
        seen: (K,) bool, classes to consider.

    Returns:
        0-dim float64 tensor.

    Source: Papyan et al. 2020.
    """
    return (nearest_mean(features, means, seen) == predicted.to(means.device)).double().mean()
