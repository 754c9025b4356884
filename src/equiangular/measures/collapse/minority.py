"""Minority collapse: directions of rare classes that merge."""

from __future__ import annotations

import math

from torch import Tensor


def mean_cosine(vectors: Tensor) -> Tensor:
    """Mean cosine over pairs of rows: near 1 where directions have merged, -1/(K-1) for an ETF; O(K d).

    Taken over the class means, or the classifier vectors, of the rare classes it measures minority collapse.

    Args:
        vectors: (K, d) unit rows (or zero rows, which count as orthogonal to all).

    Returns:
        0-dim tensor; NaN for fewer than two rows.

    Source: Fang, He, Long and Su 2021, PNAS 118(43).
    """
    k = vectors.shape[0]
    if k < 2:
        return vectors.new_tensor(math.nan)
    return (vectors.sum(0).square().sum() - vectors.square().sum()) / (k * (k - 1))
