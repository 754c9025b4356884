"""Dot-regression (Yang et al. 2022) and the plain dot loss: pull a feature onto its class vector, push it off none."""

import math
from typing import Any, Literal, get_args

import torch
from torch import Tensor
from torch.autograd import forward_ad

from equiangular._validate import check_choice, check_positive, values_are_readable
from equiangular.heads.base import Head
from equiangular.heads.functional import IGNORE_INDEX
from equiangular.losses._targets import (
    REDUCTIONS,
    ClassShares,
    LossModule,
    Reduction,
    Target,
    check_per_class,
    check_table,
    hard_labels,
    parse_target,
    reduce_losses,
)
from equiangular.losses._through_head import features_and_rows, fused_loss

Balance = Literal["none", "batch"]
BALANCES: tuple[Balance, ...] = get_args(Balance)


def dot_regression_loss(
    features: Tensor,
    target: Target,
    weight: Tensor | Head,
    *,
    reduction: Reduction = "mean",
    ignore_index: int = IGNORE_INDEX,
    class_weight: Any | None = None,
    balance: Balance = "none",
    batch_counts: Any | None = None,
    e_w: float = 1.0,
    e_h: float = 1.0,
) -> Tensor:
    """Dot-regression loss.

    L(h, w_y) = (w_y . h - sqrt(E_W E_H))^2 / (2 sqrt(E_W E_H)), with ||w||^2 = E_W and ||h||^2 <= E_H. For unit norms
    this is (cos - 1)^2 / 2, and its gradient with respect to h is -(1 - cos) w_y: a pull and no push. A target of
    several classes gives the mean of their losses by share, so mixup gives lam L_a + (1 - lam) L_b.

    Only the target rows of ``weight`` are read: O(B d) time and memory whatever K, for hard and mixup targets. A soft
    target is B x K itself and makes B x K inner products.

    ``balance="none"`` is the equation of the paper. ``balance="batch"`` averages the loss within each class of the
    batch first and then over the classes present, as the code released with the paper does without saying so: a
    sample of class c has weight B / (C n_c), n_c being the number of samples (under mixup: the sum of shares) of class
    c in the batch and C the number of classes present. Say in every table which of the two was used. Returns a scalar,
    or (B,) for ``reduction="none"``; float32 for half-precision input.

    Args:
        features: (B, d) floating point. They are used as they are: normalise them to norm sqrt(E_H) before, as
            ``head(x, pre_logits=True)`` does. A zero row has a finite gradient.
        target: (B,) integers, (B, K) probabilities or a mixup triple ``(target_a, target_b, lam)``.
        weight: (K, d) class vectors of norm sqrt(E_W), any table. It gets a gradient only if it requires one. Or a
            head, and then ``features`` are what the head takes, (B, in_features): the loss is that of
            ``head(features, pre_logits=True)`` and the head's class vectors, of which only the batch's are made, and
            behind a head that does nothing but normalise it is one function, some 1.7 times as fast.
        reduction: ``"mean"`` (weighted by ``class_weight`` where given), ``"sum"`` or ``"none"`` (B,).
        ignore_index: label of samples that count for nothing, neither in the sum nor in the mean.
        class_weight: (K,) non-negative weights of the classes.
        balance: ``"none"`` or ``"batch"``.
        batch_counts: (K,) class counts of the whole batch when this call sees a part of it (one rank of a distributed
            run, one step of gradient accumulation); needs ``balance="batch"``. Sum :func:`batch_class_counts` over
            the parts. The mean of the parts' mean losses, weighted by their sizes, is then the loss of the
            whole batch: DistributedDataParallel, which averages the gradients of equal parts, is right as it is.
        e_w: E_W, the squared norm of the class vectors.
        e_h: E_H, the bound on the squared norm of the features.

    Raises:
        ValueError: wrong shapes or dtypes, labels out of range, NaN features, unknown options.

    Example:
        >>> features, weight = torch.eye(2), torch.eye(2)
        >>> dot_regression_loss(features, torch.tensor([0, 0]), weight, reduction="none")
        tensor([0.0000, 0.5000])

    Source: Yang et al., "Inducing Neural Collapse in Imbalanced Learning", NeurIPS 2022, eq. 9.
    """
    check_choice(balance, BALANCES, "balance")
    if batch_counts is not None and balance != "batch":
        raise ValueError(f"batch_counts is used with balance='batch' only, got balance={balance!r}.")
    norm = (check_positive(e_w, "e_w") * check_positive(e_h, "e_h")) ** 0.5
    check_choice(reduction, REDUCTIONS, "reduction")
    if isinstance(weight, Head):
        rows_alone = class_weight is None and balance == "none" and ignore_index == IGNORE_INDEX
        fused = fused_loss(features, target, weight, norm, reduction) if rows_alone else None
        if fused is not None:
            return fused
        features, target, weight = features_and_rows(features, target, weight, rows_alone=rows_alone)
    if class_weight is None and balance == "none":
        fused = _fused(features, target, weight, norm, reduction, ignore_index)
        if fused is not None:
            return fused
    features, weight = check_table(features, weight)
    shares = parse_target(target, weight.shape[0], features.shape[0], ignore_index, like=features)
    losses = (shares.dots(features, weight) - norm) ** 2 / (2 * norm)
    if class_weight is None and balance == "none":
        return shares.reduce(shares.weigh(losses), reduction)
    importance, total = _importance(shares, class_weight, balance, batch_counts, weight.shape[0])
    losses = shares.weigh(losses, importance)
    return losses.sum() / total if reduction == "mean" else shares.reduce(losses, reduction)


def _fused(
    features: Any, target: Any, weight: Any, norm: float, reduction: Reduction, ignore_index: int
) -> Tensor | None:
    """The loss in one function, where class vectors are frozen, every sample has one class and values can be read.

    None for everything else, and for what has NaN or infinite values.
    """
    if not isinstance(features, Tensor) or not isinstance(weight, Tensor) or not values_are_readable(features, weight):
        return None
    if features.ndim != 2 or weight.ndim != 2:
        return None
    if features.dtype != weight.dtype or features.dtype not in (torch.float32, torch.float64) or weight.requires_grad:
        return None
    if features.shape[1] != weight.shape[1] or forward_ad._current_level >= 0:
        return None
    labels = hard_labels(target, weight.shape[0], features.shape[0], ignore_index)
    if labels is None:
        return None
    result: Tensor = _DotRegression.apply(features, weight.index_select(0, labels), norm, reduction)  # type: ignore[no-untyped-call]
    # A feature that is not finite gives a loss that is not.
    checked = result.detach() if reduction != "none" else result.detach().sum()
    return result if math.isfinite(checked.item()) else None


class _DotRegression(torch.autograd.Function):
    """(w_y . h - n)^2 / 2n of every row and its reduction, in the operations, and so the bits, of the formula."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, rows: Tensor, norm: float, reduction: Reduction) -> Tensor:
        missing = (features * rows).sum(-1).sub_(norm)
        ctx.save_for_backward(features, rows, missing)
        ctx.options = norm, reduction
        return reduce_losses(missing.square().div_(2 * norm), reduction)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        features, rows, missing = ctx.saved_tensors
        norm, reduction = ctx.options
        if torch.is_grad_enabled():  # a gradient of the gradient is asked for
            missing = (features * rows).sum(-1) - norm
        if reduction == "mean":
            gradient = gradient / len(rows)
        pull = gradient / norm * missing  # 2 / 2n, without rounding
        return pull[:, None] * rows, None, None, None


def _importance(
    shares: ClassShares, class_weight: Any | None, balance: Balance, batch_counts: Any | None, num_classes: int
) -> tuple[Tensor, Tensor]:
    """The weight of every share, (B, m), and what the mean divides by."""
    share = shares.share
    batch = share.shape[0] if shares.ignored is None else shares.counted().sum()
    if class_weight is None:
        weights = torch.ones_like(share)
    else:
        per_class = check_per_class(class_weight, num_classes, "class_weight", like=share)
        weights = shares.gather(per_class)
    if balance == "none":
        importance = share * weights
        return importance, importance.sum()
    if batch_counts is None:
        totals, present = shares.class_totals()
        importance = share * weights * (batch / present.clamp(min=1)) / torch.where(totals > 0, totals, 1)
        return importance, importance.sum()
    counts = check_per_class(batch_counts, num_classes, "batch_counts", like=share)
    totals = shares.gather(counts)
    if values_are_readable(totals) and not bool(((totals > 0) | (share == 0)).all()):
        raise ValueError("batch_counts is 0 for a class of this batch. Sum the counts of all parts, this one included.")
    present = (counts > 0).sum().clamp(min=1)
    importance = share * weights * (counts.sum() / present) / torch.where(totals > 0, totals, 1)
    mean_weight = share.new_ones(()) if class_weight is None else (per_class * (counts > 0)).sum() / present
    return importance, (batch * mean_weight).to(share)


def batch_class_counts(target: Target, num_classes: int, *, ignore_index: int = IGNORE_INDEX) -> Tensor:
    """Samples of every class in a batch, (K,) float32; a mixup or soft target counts by share.

    For ``balance="batch"`` in a distributed run, sum it over the ranks and pass it as ``batch_counts``::

        counts = batch_class_counts(target, num_classes)
        torch.distributed.all_reduce(counts)
        loss = dot_regression_loss(features, target, weight, balance="batch", batch_counts=counts)

    Args:
        target: (B,) integers, (B, K) probabilities or a mixup triple ``(target_a, target_b, lam)``.
        num_classes: K.
        ignore_index: label of the samples that are not counted.

    Raises:
        ValueError: the target is none of these, or has labels outside [0, K).

    Example:
        >>> batch_class_counts(torch.tensor([0, 2, 2]), 3)
        tensor([1., 0., 2.])
    """
    first = target[0] if isinstance(target, (tuple, list)) and target else target
    rows = first.shape[0] if isinstance(first, Tensor) and first.ndim else 0
    like = torch.empty(0, device=first.device if isinstance(first, Tensor) else None, dtype=torch.float32)
    shares = parse_target(target, num_classes, rows, ignore_index, like=like)
    if shares.labels is None:
        return shares.share.sum(0)
    return shares.share.new_zeros(num_classes).index_add(0, shares.labels.flatten(), shares.share.flatten())


class DotRegressionLoss(LossModule):
    """Module form of :func:`dot_regression_loss`, which see; ``forward(features, target, weight, batch_counts=None)``.

    Example:
        >>> DotRegressionLoss(balance="batch")
        DotRegressionLoss(reduction='mean', balance='batch', e_w=1.0, e_h=1.0)
    """

    shown = ("reduction", "balance", "e_w", "e_h")
    class_weight: Tensor | None

    def __init__(
        self,
        *,
        reduction: Reduction = "mean",
        ignore_index: int = IGNORE_INDEX,
        class_weight: Any | None = None,
        balance: Balance = "none",
        e_w: float = 1.0,
        e_h: float = 1.0,
    ) -> None:
        super().__init__(reduction, ignore_index)
        self.balance = check_choice(balance, BALANCES, "balance")
        self.e_w, self.e_h = check_positive(e_w, "e_w"), check_positive(e_h, "e_h")
        self.norm = (self.e_w * self.e_h) ** 0.5
        self.plain = class_weight is None and balance == "none" and ignore_index == IGNORE_INDEX
        self.keep_class_weight(class_weight)

    def forward(
        self, features: Tensor, target: Target, weight: Tensor | Head, batch_counts: Any | None = None
    ) -> Tensor:
        """The loss of features (B, d) against class vectors (K, d), or of what a head takes against the head's."""
        if self.plain and isinstance(weight, Head) and batch_counts is None:  # options were checked when it was built
            fused = fused_loss(features, target, weight, self.norm, self.reduction)
            if fused is not None:
                return fused
        options: dict[str, Any] = {"class_weight": self.class_weight, "balance": self.balance, **self.reducing}
        return dot_regression_loss(
            features, target, weight, batch_counts=batch_counts, e_w=self.e_w, e_h=self.e_h, **options
        )


def dot_loss(
    features: Tensor,
    target: Target,
    weight: Tensor,
    *,
    reduction: Reduction = "mean",
    ignore_index: int = IGNORE_INDEX,
    e_w: float = 1.0,
    e_h: float = 1.0,
) -> Tensor:
    """Dot loss: L(h, w_y) = sqrt(E_W E_H) - w_y . h, which is 1 - cos for unit norms.

    Its gradient with respect to h is -w_y: a pull that does not fade as h comes close, where the pull of
    dot-regression is (1 - cos) times that. Like it, it reads the target rows only: O(B d) whatever K.

    Args:
        features: (B, d) floating point of norm sqrt(E_H); used as they are. Without a bound on their norm the loss
            has no minimum.
        target: (B,) integers, (B, K) probabilities or a mixup triple ``(target_a, target_b, lam)``.
        weight: (K, d) class vectors of norm sqrt(E_W).
        reduction: ``"mean"``, ``"sum"`` or ``"none"`` (B,); the result is float32 for half-precision input.
        ignore_index: label of samples that count for nothing, neither in the sum nor in the mean.
        e_w: E_W, the squared norm of the class vectors.
        e_h: E_H, the squared norm of the features.

    Raises:
        ValueError: wrong shapes or dtypes, labels out of range, NaN features, unknown options.

    Example:
        >>> dot_loss(torch.eye(2), torch.tensor([0, 0]), torch.eye(2), reduction="none")
        tensor([0., 1.])

    Source: the numerator of Yang et al., NeurIPS 2022, eq. 9, without its square.
    """
    norm = (check_positive(e_w, "e_w") * check_positive(e_h, "e_h")) ** 0.5
    features, weight = check_table(features, weight)
    shares = parse_target(target, weight.shape[0], features.shape[0], ignore_index, like=features)
    return shares.reduce(shares.weigh(norm - shares.dots(features, weight)), reduction)


class DotLoss(LossModule):
    """Module form of :func:`dot_loss`, which see; ``forward(features, target, weight)``.

    Example:
        >>> float(DotLoss()(torch.eye(2), torch.tensor([0, 0]), torch.eye(2)))
        0.5
    """

    shown = ("reduction", "e_w", "e_h")

    def __init__(
        self, *, reduction: Reduction = "mean", ignore_index: int = IGNORE_INDEX, e_w: float = 1.0, e_h: float = 1.0
    ) -> None:
        super().__init__(reduction, ignore_index)
        self.e_w, self.e_h = check_positive(e_w, "e_w"), check_positive(e_h, "e_h")

    def forward(self, features: Tensor, target: Target, weight: Tensor) -> Tensor:
        """The loss of features (B, d) against class vectors (K, d)."""
        return dot_loss(features, target, weight, e_w=self.e_w, e_h=self.e_h, **self.reducing)
