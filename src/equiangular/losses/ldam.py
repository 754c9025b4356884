"""LDAM: margins that grow as classes get rarer, and the deferred re-weighting that goes with them."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from equiangular._validate import (
    check_class_counts,
    check_features,
    check_int,
    check_non_negative,
    check_num_classes,
    check_positive,
    values_are_readable,
)
from equiangular.heads.functional import IGNORE_INDEX
from equiangular.losses._targets import LossModule, Reduction, Target, check_per_class, check_scale, parse_target
from equiangular.losses.class_balanced import class_balanced_weights


def ldam_margins(class_counts: Any, *, max_margin: float = 0.5) -> Tensor:
    """Margins Delta_k = C / n_k^(1/4), with C such that the largest, of the rarest class, is ``max_margin``.

    Returns (K,) float64.

    Args:
        class_counts: (K,) training samples per class, all above 0.
        max_margin: the largest margin, at least 0, in units of a cosine.

    Raises:
        ValueError: an empty class, or a ``max_margin`` below 0.

    Example:
        >>> ldam_margins([1600, 100])
        tensor([0.2500, 0.5000], dtype=torch.float64)

    Source: Cao et al., "Learning imbalanced datasets with label-distribution-aware margin loss", NeurIPS 2019,
    section on the label-distribution-aware margin loss.
    """
    counts = check_class_counts(class_counts)
    return check_non_negative(max_margin, "max_margin", hint="Usual: 0.5.") * (counts.min() / counts) ** 0.25


def ldam_loss(
    cosines: Tensor,
    target: Target,
    class_counts: Any,
    *,
    max_margin: float = 0.5,
    scale: float | Tensor = 30.0,
    class_weight: Any | None = None,
    reduction: Reduction = "mean",
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Label-distribution-aware margin loss on the cosines of a normalised head.

    L = -log( e^{s (c_y - Delta_y)} / (e^{s (c_y - Delta_y)} + sum_{k != y} e^{s c_k}) ), Delta_k = C / n_k^(1/4).
    Margins of 0 give the cross-entropy of s c. A target of several classes gives the mean of their losses by share,
    each with its own margin. Nothing is subtracted at test time. Returns a scalar, or (B,) for ``reduction="none"``;
    float32 for half-precision input.

    Args:
        cosines: (B, K) floating point, in [-1, 1]: *not* multiplied by a scale yet.
        target: (B,) integers, (B, K) probabilities or a mixup triple ``(target_a, target_b, lam)``.
        class_counts: (K,) training samples per class, all above 0.
        max_margin: the largest margin.
        scale: s, above 0; a number, or a 0-dim tensor such as ``head.scale``.
        class_weight: (K,) non-negative weights of the classes, such as those of :func:`deferred_class_weights`.
        reduction: ``"mean"`` (the sum over B, whatever the weights), ``"sum"`` or ``"none"``.
        ignore_index: label of samples that count for nothing, neither in the sum nor in the mean.

    Raises:
        ValueError: values outside [-1, 1], wrong shapes or dtypes, labels out of range, NaN, an empty class, unknown
            options.

    Example:
        >>> loss = ldam_loss(torch.zeros(1, 2), torch.tensor([1]), [1600, 100], scale=2.0)
        >>> round(float((-loss).exp()), 4)  # a gap of 2 x 0.5: 1 / (1 + e)
        0.2689

    Source: Cao et al., NeurIPS 2019, section on the label-distribution-aware margin loss; scale 30 and margin 0.5 as
    in the code released with it.
    """
    margins = ldam_margins(class_counts, max_margin=max_margin)
    return _margin_loss(cosines, target, margins, scale, class_weight, reduction, ignore_index)


def _margin_loss(
    cosines: Tensor,
    target: Target,
    margins: Tensor,
    scale: float | Tensor,
    class_weight: Any,
    reduction: Reduction,
    ignore_index: int,
) -> Tensor:
    check_features(cosines, dim=margins.shape[0], name="cosines")
    check_num_classes(cosines.shape[1])
    _check_cosines(cosines)
    scale = check_scale(scale)
    cosines = cosines.to(torch.promote_types(cosines.dtype, torch.float32))
    margins = margins.to(cosines)
    shares = parse_target(target, cosines.shape[1], cosines.shape[0], ignore_index, like=cosines)
    own, others = scale * (cosines - margins), _log_sum_exp_of_others(scale * cosines)
    if shares.labels is not None:
        own, others = own.gather(1, shares.labels), others.gather(1, shares.labels)
    importance = shares.share
    if class_weight is not None:
        per_class = check_per_class(class_weight, cosines.shape[1], "class_weight", like=cosines)
        importance = importance * shares.gather(per_class)
    return shares.reduce(shares.weigh(nn.functional.softplus(others - own), importance), reduction)


def _log_sum_exp_of_others(logits: Tensor) -> Tensor:
    """The logarithm of sum_{j != k} e^{z_j} for every k, (B, K), in O(B K) and without cancellation.

    Every class but the largest has p_k <= 1/2, so log sum_j e^{z_j} + log(1 - p_k) is exact for it; for the largest
    one the sum is made anew without it.
    """
    top = logits.argmax(1, keepdim=True)
    is_top = torch.arange(logits.shape[1], device=logits.device) == top
    without_top = logits.masked_fill(is_top, -math.inf).logsumexp(1, keepdim=True)
    total = torch.logaddexp(without_top, logits.gather(1, top))
    p = (logits - total).exp().masked_fill(is_top, 0.0)
    return torch.where(is_top, without_top, total + torch.log1p(-p))


def deferred_class_weights(
    class_counts: Any, epoch: int, epochs: int, *, beta: float = 0.9999, start: float = 0.8
) -> Tensor:
    """Deferred re-weighting (DRW): weight 1 for every class first, class-balanced weights from a late epoch on.

    The weights of the second phase are those of Cui et al. (2019) with a mean of 1 over the training samples, so that
    the loss keeps its size at the switch. Returns (K,) float64.

    Args:
        class_counts: (K,) training samples per class, all above 0.
        epoch: the current epoch, counted from 0.
        epochs: epochs in all.
        beta: see :func:`class_balanced_weights`.
        start: share of the epochs after which the weights are used, in [0, 1]: epoch 160 of 200 in the source.

    Raises:
        ValueError: an empty class, or an argument out of its range.

    Example:
        >>> deferred_class_weights([3, 1], 159, 200), deferred_class_weights([3, 1], 160, 200, beta=0.999999)
        (tensor([1., 1.], dtype=torch.float64), tensor([0.6667, 2.0000], dtype=torch.float64))

    Source: Cao et al., NeurIPS 2019, algorithm 1; start and beta as in the code released with it.
    """
    check_int(epoch, "epoch", minimum=0)
    check_int(epochs, "epochs", minimum=1)
    if isinstance(start, bool) or not isinstance(start, (int, float)) or not 0 <= start <= 1:
        raise ValueError(f"start must be a share of the epochs in [0, 1], got {start!r}.")
    weights = class_balanced_weights(class_counts, beta=beta, average="samples")
    return weights if epoch >= round(start * epochs, 9) else torch.ones_like(weights)


def _check_cosines(cosines: Tensor) -> None:
    if not values_are_readable(cosines) or not cosines.numel():
        return
    largest = float(cosines.detach().abs().max())
    if largest > 1 + 4 * torch.finfo(cosines.dtype).eps + 1e-3:
        raise ValueError(
            f"cosines must lie in [-1, 1], got an absolute value of {largest:.4g}. "
            "Pass inner products of unit vectors, before any scale (scale= is applied here)."
        )


class LDAMLoss(LossModule):
    """Module form of :func:`ldam_loss`, which see; ``forward(cosines, target, class_weight=None)``.

    Example:
        >>> loss = LDAMLoss([1600, 100])
        >>> loss.margins
        tensor([0.2500, 0.5000])
    """

    shown = ("num_classes", "scale", "reduction")
    margins: Tensor

    def __init__(
        self,
        class_counts: Any,
        *,
        max_margin: float = 0.5,
        scale: float = 30.0,
        reduction: Reduction = "mean",
        ignore_index: int = IGNORE_INDEX,
    ) -> None:
        super().__init__(reduction, ignore_index)
        self.scale = check_positive(scale, "scale")
        self.keep_per_class("margins", lambda: ldam_margins(class_counts, max_margin=max_margin))

    def forward(self, cosines: Tensor, target: Target, class_weight: Any | None = None) -> Tensor:
        """The loss of cosines (B, K)."""
        return _margin_loss(cosines, target, self.margins, self.scale, class_weight, self.reduction, self.ignore_index)
