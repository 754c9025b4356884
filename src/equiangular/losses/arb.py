"""ARB loss: cross-entropy whose pull on a class vector and push on it balance, whatever the class sizes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from equiangular._validate import check_choice, check_features, values_are_readable
from equiangular.losses._targets import (
    REDUCTIONS,
    ClassShares,
    Reduction,
    Target,
    check_per_class,
    parse_target,
    reduce_losses,
)


def arb_loss(
    logits: Tensor, target: Target, class_counts: Any | None = None, *, reduction: Reduction = "mean"
) -> Tensor:
    """Attraction-repulsion-balanced loss.

    L = -log( e^{z_y} / sum_k (n_k / n_y) e^{z_k} ), where n are the class counts of the batch, or those given. Its
    gradient with respect to z_k is q_k - [k = y] with q_k = n_k e^{z_k} / sum_j n_j e^{z_j}. So where the logits of a
    sample are equal, w_k is pulled towards its own n_k samples by n_k (1 - n_k / N) in all and pushed away from the
    n_j samples of class j by n_j n_k / N: pull and total push are equal for every class, and what class j does
    to k, class k does to j. In cross-entropy they are n_k (1 - 1/K) and n_j / K: a small class is mostly pushed. A
    class that is not in the batch is not pushed at all.

    With counts of the whole training set this is exactly balanced softmax, that is
    :func:`logit_adjusted_cross_entropy` with tau = 1. The counts of the batch are what sets it apart.

    Args:
        logits: (B, K) floating point.
        target: (B,) integers, (B, K) probabilities or a mixup triple ``(target_a, target_b, lam)``; a target of
            several classes gives the mean of their losses by share and counts by share.
        class_counts: (K,) non-negative counts, above 0 for every class of the batch; None takes those of this
            batch. Where a batch is spread over processes, sum :func:`batch_class_counts` over them and pass the sum:
            the loss of the whole batch is then the mean over all its samples.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Returns:
        A scalar, or (B,) for ``reduction="none"``; float32 for half-precision input.

    Raises:
        ValueError: wrong shapes or dtypes, labels out of range, NaN logits, a count of 0 for a class of the batch,
            unknown options.

    Example:
        >>> loss = arb_loss(torch.zeros(4, 3), torch.tensor([0, 0, 0, 1]), reduction="none")
        >>> (-loss).exp()  # the shares of the classes in the batch; class 2 is absent
        tensor([0.7500, 0.7500, 0.7500, 0.2500])

    Source: Xie et al., "Neural collapse inspired attraction-repulsion-balanced loss for imbalanced learning",
    Neurocomputing 527 (2023), arXiv 2204.08735; the counts of the batch as in the code released with it.
    """
    check_choice(reduction, REDUCTIONS, "reduction")
    check_features(logits, name="logits")
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    num_classes = logits.shape[1]
    shares = parse_target(target, num_classes, logits.shape[0], like=logits)
    if class_counts is None:
        class_counts = _batch_counts(shares, num_classes)
    counts = check_per_class(class_counts, num_classes, "class_counts", like=logits)
    own_counts = shares.gather(counts)
    if values_are_readable(own_counts):
        uncounted = ((own_counts == 0) & (shares.share > 0)).nonzero()
        if len(uncounted):
            row, column = uncounted[0].tolist()
            label = column if shares.labels is None else int(shares.labels[row, column])
            raise ValueError(
                f"class_counts is 0 for class {label}, which sample {row} of this batch belongs to. "
                "Count all parts of the batch, this one included."
            )
    weighted = logits + counts.log()  # log 0 = -inf: an absent class takes no part
    own = logits if shares.labels is None else logits.gather(1, shares.labels)
    own = own + torch.where(own_counts > 0, own_counts, 1).log()
    losses = weighted.logsumexp(1, keepdim=True) - own
    return reduce_losses((shares.share * losses).sum(1), reduction)


def _batch_counts(shares: ClassShares, num_classes: int) -> Tensor:
    """Samples of every class by share, (K,)."""
    if shares.labels is None:
        return shares.share.sum(0)
    return shares.share.new_zeros(num_classes).index_add(0, shares.labels.flatten(), shares.share.flatten())


class ARBLoss(nn.Module):
    """Module form of :func:`arb_loss`; ``forward(logits, target, class_counts=None)``.

    Args:
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Raises:
        ValueError: an unknown reduction.

    Example:
        >>> round(float(ARBLoss()(torch.zeros(2, 2), torch.tensor([0, 1])).exp()), 4)
        2.0
    """

    def __init__(self, *, reduction: Reduction = "mean") -> None:
        super().__init__()
        self.reduction = check_choice(reduction, REDUCTIONS, "reduction")

    def forward(self, logits: Tensor, target: Target, class_counts: Any | None = None) -> Tensor:
        """The loss of logits (B, K)."""
        return arb_loss(logits, target, class_counts, reduction=self.reduction)

    def extra_repr(self) -> str:
        """The options, for ``repr``."""
        return f"reduction={self.reduction!r}"
