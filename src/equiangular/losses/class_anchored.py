"""Losses with the class vector as the anchor: it is contrasted with the features of the batch, not the reverse."""

from typing import Any

import torch
from torch import Tensor

from equiangular._autocast import without_autocast
from equiangular._validate import check_positive
from equiangular.heads.functional import IGNORE_INDEX, unit_normalize
from equiangular.losses._targets import (
    ClassShares,
    LossModule,
    Reduction,
    Target,
    check_scale,
    check_table,
    parse_target,
)


def ntce_loss(
    features: Tensor,
    target: Target,
    weight: Tensor,
    *,
    scale: float | Tensor,
    reduction: Reduction = "mean",
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """NTCE, the class vector against every feature of the batch, with z_ik = scale cos(h_i, w_k):

        L_i = -log( exp z_{i, y_i} / sum_j exp z_{j, y_i} ),  j over the whole batch.

    Cross-entropy sums over the classes of one sample; this sums over the samples of one class. An offset of all logits
    of a class cancels, so the frequency of a class is not learned: at the optimum exp z_ik is p(h_i | k) / p(h_i) up to
    a factor of the class. Logits stand for equal priors, and a prior correction afterwards would be one too many. The
    loss of a sample depends on its batch: that of parts is not the part of the whole.

    Args:
        features: (B, d) floating point, normalised here.
        target: (B,) integers, (B, K) probabilities or a mixup triple ``(target_a, target_b, lam)``; a sample of several
            classes has the mean of their losses by share.
        weight: (K, d) class vectors, fixed or learned, normalised here.
        scale: 1 / temperature, above 0; the authors take 10 on CIFAR.
        reduction: ``"mean"``, ``"sum"`` or ``"none"`` (B,).
        ignore_index: label of samples that count for nothing, among what a class is contrasted with neither.

    Returns:
        A scalar, or (B,) for ``reduction="none"``; float32 for half-precision input.

    Raises:
        ValueError: wrong shapes or dtypes, labels out of range, NaN features, unknown options.

    Example:
        >>> loss = ntce_loss(torch.eye(3), torch.arange(3), torch.eye(3), scale=10.0)
        >>> torch.testing.assert_close(loss, torch.tensor(2 * torch.e**-10).log1p())

    Source: Koromilas et al., "Neural collapse by design: learning class prototypes on the hypersphere", ICML 2026,
    arXiv 2605.20302; the formula as their public code states it.
    """
    z, shares = _logits(features, target, weight, scale, ignore_index)
    return _contrast(z, shares, _there(z, shares), reduction)


def nonl_loss(
    features: Tensor,
    target: Target,
    weight: Tensor,
    *,
    scale: float | Tensor,
    reduction: Reduction = "mean",
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """NONL: :func:`ntce_loss` with the samples of the class itself left out of the sum, which repulsion alone is then.

        L_i = -log( exp z_{i, y_i} / sum_{j: y_j != y_i} exp z_{j, y_i} )

    A sample of several classes, t_jk of class k, enters the sum of class k with 1 - t_jk. A class that has no other
    beside it in the batch is contrasted with nothing, and its samples have loss 0. Not bounded below by 0. Arguments,
    results and errors are those of :func:`ntce_loss`.

    Example:
        >>> nonl_loss(torch.eye(3), torch.arange(3), torch.eye(3), scale=10.0)  # log 2 - 10
        tensor(-9.3069)

    Source: as :func:`ntce_loss`.
    """
    z, shares = _logits(features, target, weight, scale, ignore_index)
    others = 1 - _dense(shares, z)
    others = others.masked_fill(others < 4 * torch.finfo(z.dtype).eps, 0.0)  # shares that sum to 1 but for rounding
    return _contrast(z, shares, others * _there(z, shares), reduction)


def _logits(features: Any, target: Any, weight: Any, scale: Any, ignore_index: int) -> tuple[Tensor, ClassShares]:
    scale = check_scale(scale)
    features, table = check_table(features, weight)
    shares = parse_target(target, table.shape[0], features.shape[0], ignore_index, like=features)
    with without_autocast(features):
        return scale * unit_normalize(features) @ unit_normalize(table.to(features.dtype)).T, shares


def _dense(shares: ClassShares, z: Tensor) -> Tensor:
    """Shares as (B, K)."""
    if shares.labels is None:
        return shares.share
    return torch.zeros_like(z).scatter_add(1, shares.labels, shares.share)


def _there(z: Tensor, shares: ClassShares) -> Tensor:
    """(B, 1): 1 for a sample that is not ignored."""
    return torch.ones_like(z[:, :1]) if shares.ignored is None else (shares.counted() > 0).to(z.dtype)[:, None]


def _contrast(z: Tensor, shares: ClassShares, importance: Tensor, reduction: Reduction) -> Tensor:
    """log sum_j importance_jk exp z_jk less z_ik, by the shares of sample i."""
    if not len(z):
        return shares.reduce(z.sum(1), reduction)
    alone = (importance == 0).expand_as(z).all(0)  # such a class is contrasted with nothing
    masked = (z + importance.clamp_min(torch.finfo(z.dtype).tiny).log()).masked_fill(importance == 0, -torch.inf)
    total = masked.masked_fill(alone, 0.0).logsumexp(0)
    return shares.reduce(shares.weigh(shares.pick((total - z).masked_fill(alone, 0.0))), reduction)


class NTCELoss(LossModule):
    """Module form of :func:`ntce_loss`, which see; ``forward(features, target, weight)``.

    Example:
        >>> NTCELoss(scale=10.0)(torch.eye(3), torch.arange(3), torch.eye(3))
        tensor(9.0599e-05)
    """

    shown = ("scale", "reduction")

    def __init__(self, *, scale: float, reduction: Reduction = "mean", ignore_index: int = IGNORE_INDEX) -> None:
        super().__init__(reduction, ignore_index)
        self.scale = check_positive(scale, "scale")

    def forward(self, features: Tensor, target: Target, weight: Tensor) -> Tensor:
        """The loss of features (B, d) against class vectors (K, d)."""
        return ntce_loss(features, target, weight, scale=self.scale, **self.reducing)


class NONLLoss(NTCELoss):
    """Module form of :func:`nonl_loss`, which see; ``forward(features, target, weight)``.

    Example:
        >>> NONLLoss(scale=10.0)(torch.eye(3), torch.arange(3), torch.eye(3))
        tensor(-9.3069)
    """

    def forward(self, features: Tensor, target: Target, weight: Tensor) -> Tensor:
        """The loss of features (B, d) against class vectors (K, d)."""
        return nonl_loss(features, target, weight, scale=self.scale, **self.reducing)
