"""NC3: whether classifier vectors and class means point the same way. 0 at collapse, all of them."""

from __future__ import annotations

import torch
from torch import Tensor

from equiangular.measures.collapse.means import directions
from equiangular.measures.collapse.partial_etf import gram_error


def self_duality(means: Tensor, weight: Tensor) -> Tensor:
    """|| W/||W||_F - M/||M||_F ||_F^2.

    Args:
        means: M (K, d), centred class means.
        weight: W (K, d), classifier vectors of the same classes.

    Returns:
        0-dim tensor in [0, 4]; NaN where one of the two is all zero.

    Example:
        >>> m = torch.eye(3) - 1 / 3
        >>> float(self_duality(m, 5 * m)) < 1e-12
        True

    Source: Papyan et al. 2020.
    """
    distance: Tensor = weight / torch.linalg.matrix_norm(weight) - means / torch.linalg.matrix_norm(means)
    return distance.square().sum()


def alignment(means: Tensor, weight: Tensor) -> Tensor:
    """The trace form, 1 - tr(W M^T) / (||W||_F ||M||_F): half of :func:`self_duality`.

    Args:
        means: M (K, d), centred class means.
        weight: W (K, d), classifier vectors of the same classes.
    """
    return self_duality(means, weight) / 2


def gram_alignment(means: Tensor, weight: Tensor, *, num_classes: int | None = None) -> Tensor:
    """|| W M^T/||W M^T||_F - (I - 11^T/K)/sqrt(K-1) ||_F, without the K x K matrix kept.

    Args:
        means: M (K, d), centred class means.
        weight: W (K, d), classifier vectors of the same classes.
        num_classes: K of the ETF, see :func:`equiangular.measures.collapse.etf_error`.

    Source: Zhu et al. 2021 (arXiv 2105.02375).
    """
    return gram_error(weight, means, num_classes=num_classes)


def uniform_duality(means: Tensor, weight: Tensor) -> Tensor:
    """UNC3: the variance over classes of cos(w_c, mu_c - mu_G): duality that need not be perfect, only uniform.

    Args:
        means: (K, d), centred class means.
        weight: (K, d), classifier vectors of the same classes.

    Source: Wu and Papyan, "Linguistic Collapse", NeurIPS 2024.
    """
    return (directions(means) * directions(weight)).sum(1).var(correction=0)
