"""NC3, NC4 and NC5: classifier vectors, decisions and strangers beside the class means.

``means`` are centred class means M (K, d), ``weight`` classifier vectors W (K, d) of the same classes.
"""

import torch
from torch import Tensor

from equiangular._validate import check_features
from equiangular.frames.checks import TILE_ENTRIES
from equiangular.measures.collapse.moments import directions
from equiangular.measures.collapse.nc2 import gram_error


def self_duality(means: Tensor, weight: Tensor) -> Tensor:
    """|| W/||W||_F - M/||M||_F ||_F^2. Returns a 0-dim tensor in [0, 4]; NaN where one of the two is all zero.

    Example:
        >>> m = torch.eye(3) - 1 / 3
        >>> float(self_duality(m, 5 * m)) < 1e-12
        True

    Source: Papyan et al. 2020.
    """
    distance: Tensor = weight / torch.linalg.matrix_norm(weight) - means / torch.linalg.matrix_norm(means)
    return distance.square().sum()


def alignment(means: Tensor, weight: Tensor) -> Tensor:
    """The trace form, 1 - tr(W M^T) / (||W||_F ||M||_F): half of :func:`self_duality`."""
    return self_duality(means, weight) / 2


def gram_alignment(
    means: Tensor, weight: Tensor, *, num_classes: int | None = None, dtype: torch.dtype | None = None
) -> Tensor:
    """|| W M^T/||W M^T||_F - (I - 11^T/K)/sqrt(K-1) ||_F, without the K x K matrix kept.

    Args:
        num_classes: K of the ETF, see :func:`equiangular.measures.collapse.etf_error`.
        dtype: of the products, by default that of ``means``.

    Source: Zhu et al. 2021 (arXiv 2105.02375).
    """
    return gram_error(weight, means, num_classes=num_classes, dtype=dtype)


def uniform_duality(means: Tensor, weight: Tensor) -> Tensor:
    """UNC3: the variance over classes of cos(w_c, mu_c - mu_G): duality that need not be perfect, only uniform.

    Source: Wu and Papyan, "Linguistic Collapse", NeurIPS 2024.
    """
    return (directions(means) * directions(weight)).sum(1).var(correction=0)


def nearest_mean(
    features: Tensor, means: Tensor, seen: Tensor | None = None, *, chunk_size: int | None = None
) -> Tensor:
    """argmin_c ||h - mu_c|| for each sample, in chunks of samples: no B x K matrix beyond a chunk. Returns (B,) int64.

    Args:
        features: h (B, d).
        means: mu (K, d), uncentred class means.
        seen: (K,) bool, classes to consider; all by default.
        chunk_size: samples at a time; by default as many as make 2^22 distances.

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

    Returns a 0-dim float64 tensor.

    Args:
        features: (B, d).
        predicted: (B,) int64, the classifier's decisions, its bias included: ``logits.argmax(1)``.
        means: (K, d), uncentred class means of the training features.
        seen: (K,) bool, classes to consider.

    Source: Papyan et al. 2020.
    """
    return (nearest_mean(features, means, seen) == predicted.to(means.device)).double().mean()


def ood_orthogonality(means: Tensor, ood_mean: Tensor) -> Tensor:
    """The mean over classes of |cos(mu_c, mu_ood)|: 0 at collapse. Returns a 0-dim tensor.

    Args:
        means: mu (K, d), class means of the known classes, uncentred.
        ood_mean: mu_ood (d,), mean feature of out-of-distribution samples.

    Example:
        >>> import torch
        >>> float(ood_orthogonality(torch.eye(3)[:2], torch.tensor([0.0, 0.0, 2.0])))
        0.0

    Source: Ammar et al., "NECO", ICLR 2024, definition of NC5.
    """
    return (directions(means) @ directions(ood_mean[None].to(means))[0]).abs().mean()
