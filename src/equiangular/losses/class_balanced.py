"""Focal loss in its softmax form, and weights and losses by the effective number of samples of a class."""

import math
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from equiangular._validate import check_choice, check_class_counts, check_features, check_non_negative
from equiangular.heads.functional import IGNORE_INDEX
from equiangular.losses._targets import LossModule, Reduction, Target, check_per_class, parse_target

Average = Literal["classes", "samples"]
AVERAGES: tuple[Average, ...] = get_args(Average)


def focal_loss(
    logits: Tensor,
    target: Target,
    *,
    gamma: float = 2.0,
    class_weight: Any | None = None,
    reduction: Reduction = "mean",
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Focal loss L = -a_y (1 - p_y)^gamma log p_y with p = softmax(logits).

    gamma = 0 is cross-entropy. A sample of probability p_y has its cross-entropy multiplied by (1 - p_y)^gamma, so what
    is classified well counts for little. A target of several classes gives the mean of their losses by share, so
    mixup gives lam L_a + (1 - lam) L_b. The paper states the loss for two classes and a sigmoid; this is the usual
    carrying over to K classes and a softmax.

    Args:
        logits: (B, K) floating point.
        target: (B,) integers, (B, K) probabilities or a mixup triple ``(target_a, target_b, lam)``.
        gamma: the focusing parameter, at least 0; 2 is the paper's choice.
        class_weight: (K,) non-negative weights a of the classes, or None for 1.
        reduction: ``"mean"`` divides the sum by B, not by the sum of the weights, so that the loss of a batch is the
            mean of the losses of its parts, on however many processes; ``"sum"``; or ``"none"`` (B,).
        ignore_index: label of samples that count for nothing, neither in the sum nor in the mean.

    Returns:
        A scalar, or (B,) for ``reduction="none"``; float32 for half-precision input. Its gradient is finite for every
        gamma, also where p_y has rounded to 1.

    Raises:
        ValueError: wrong shapes or dtypes, labels out of range, NaN logits, a negative gamma, unknown options.

    Example:
        >>> loss = focal_loss(torch.zeros(1, 2), torch.tensor([0]), gamma=2.0)
        >>> round(float(loss / torch.tensor(0.5).log()), 6)  # (1 - 1/2)^2 of the cross-entropy
        -0.25

    Source: Lin et al., "Focal loss for dense object detection", ICCV 2017, eq. 5.
    """
    gamma = check_gamma(gamma)
    check_features(logits, name="logits")
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    shares = parse_target(target, logits.shape[1], logits.shape[0], ignore_index, like=logits)
    log_p = logits.log_softmax(1)
    log_p = shares.pick(log_p)
    losses = -log_p
    if gamma:
        miss = -torch.expm1(log_p)  # 1 - p without cancellation
        losses = losses * miss.clamp_min(torch.finfo(miss.dtype).tiny) ** gamma
    importance = shares.share
    if class_weight is not None:
        per_class = check_per_class(class_weight, logits.shape[1], "class_weight", like=logits)
        importance = importance * shares.gather(per_class)
    return shares.reduce(shares.weigh(losses, importance), reduction)


def check_gamma(gamma: Any) -> float:
    """Return ``gamma`` as a finite float of at least 0."""
    return check_non_negative(gamma, "gamma", hint="0 is cross-entropy, 2 is usual.")


class FocalLoss(LossModule):
    """Module form of :func:`focal_loss`, which see; ``forward(logits, target)``.

    Example:
        >>> FocalLoss(gamma=1.0)
        FocalLoss(gamma=1.0, reduction='mean')
    """

    shown = ("gamma", "reduction")

    def __init__(
        self,
        *,
        gamma: float = 2.0,
        class_weight: Any | None = None,
        reduction: Reduction = "mean",
        ignore_index: int = IGNORE_INDEX,
    ) -> None:
        super().__init__(reduction, ignore_index)
        self.gamma = check_gamma(gamma)
        self.keep_class_weight(class_weight)

    def forward(self, logits: Tensor, target: Target) -> Tensor:
        """The loss of logits (B, K)."""
        return focal_loss(logits, target, gamma=self.gamma, class_weight=self.class_weight, **self.reducing)


def effective_number(class_counts: Any, *, beta: float = 0.9999) -> Tensor:
    """Effective number of samples E_n = (1 - beta^n) / (1 - beta) of every class.

    It stands for the volume that n samples cover when a new one may fall on what is covered already. It is 1 for
    every n at beta = 0, goes to n as beta goes to 1, and never exceeds 1 / (1 - beta). Returns (K,) float64.

    Args:
        class_counts: (K,) samples per class, all above 0: a tensor, an array or a list.
        beta: in [0, 1).

    Raises:
        ValueError: an empty class, or a ``beta`` outside [0, 1).

    Example:
        >>> effective_number([1, 2, 3], beta=0.5)
        tensor([1.0000, 1.5000, 1.7500], dtype=torch.float64)

    Source: Cui et al., "Class-balanced loss based on effective number of samples", CVPR 2019, proposition 1.
    """
    counts = check_class_counts(class_counts)
    beta = _check_beta(beta)
    if beta == 0:
        return torch.ones_like(counts)
    return -torch.expm1(counts * math.log(beta)) / (1 - beta)


def class_balanced_weights(class_counts: Any, *, beta: float = 0.9999, average: Average = "classes") -> Tensor:
    """Weights proportional to 1 / E_n, with mean 1. Returns (K,) float64.

    Args:
        class_counts: (K,) samples per class, all above 0.
        beta: in [0, 1): 0 gives the weight 1 to every class, and towards 1 they become inversely proportional to the
            counts.
        average: over what the mean is 1. ``"classes"``: the weights sum to K, as the source has it. The mean weight
            of the training *samples* is then far below 1 on a long tail (about 1/6 on CIFAR-10 at an imbalance of
            100), and so is the loss beside the weight decay. ``"samples"``: sum_k n_k w_k = sum_k n_k, so that the
            loss keeps its size; what dividing by the sum of the weights in each batch does on average.

    Raises:
        ValueError: an empty class, a ``beta`` outside [0, 1), or an unknown ``average``.

    Example:
        >>> class_balanced_weights([3, 1], beta=0.999999)
        tensor([0.5000, 1.5000], dtype=torch.float64)
        >>> class_balanced_weights([3, 1], beta=0.999999, average="samples")
        tensor([0.6667, 2.0000], dtype=torch.float64)

    Source: Cui et al., CVPR 2019, section 4.
    """
    check_choice(average, AVERAGES, "average")
    inverse = 1 / effective_number(class_counts, beta=beta)
    if average == "classes":
        return inverse / inverse.mean()
    counts = check_class_counts(class_counts)
    return inverse * (counts.sum() / (counts * inverse).sum())


def class_balanced_loss(
    logits: Tensor,
    target: Target,
    class_counts: Any,
    *,
    beta: float = 0.9999,
    gamma: float = 0.0,
    reduction: Reduction = "mean",
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Class-balanced cross-entropy, or with ``gamma`` above 0 class-balanced focal loss.

    L = -w_y (1 - p_y)^gamma log p_y with p = softmax(logits) and w = ``class_balanced_weights(class_counts)``. beta = 0
    and gamma = 0 is cross-entropy. Returns a scalar, or (B,) for ``reduction="none"``; float32 for half-precision
    input.

    Args:
        logits: (B, K) floating point.
        target: (B,) integers, (B, K) probabilities or a mixup triple ``(target_a, target_b, lam)``.
        class_counts: (K,) training samples per class, all above 0.
        beta: in [0, 1); the source tries 0.9, 0.99, 0.999 and 0.9999.
        gamma: the focusing parameter, at least 0.
        reduction: ``"mean"`` (the sum over B), ``"sum"`` or ``"none"``.
        ignore_index: label of samples that count for nothing, neither in the sum nor in the mean.

    Raises:
        ValueError: wrong shapes or dtypes, labels out of range, NaN logits, an empty class, unknown options.

    Example:
        >>> loss = class_balanced_loss(torch.zeros(1, 2), torch.tensor([1]), [3, 1], beta=0.999999)
        >>> round(float(loss / torch.tensor(2.0).log()), 4)  # the weight of class 1
        1.5

    Source: Cui et al., CVPR 2019, section 4 (the focal form with a sigmoid there, with a softmax here).
    """
    check_features(logits, name="logits")
    counts = check_class_counts(class_counts, logits.shape[1])
    weight = class_balanced_weights(counts, beta=beta)
    return focal_loss(logits, target, gamma=gamma, class_weight=weight, reduction=reduction, ignore_index=ignore_index)


def _check_beta(beta: Any) -> float:
    if isinstance(beta, bool) or not isinstance(beta, (int, float)) or not 0 <= beta < 1:
        raise ValueError(f"beta must be a number in [0, 1), got {beta!r}. Typical: 0.9999; 0 weighs all classes alike.")
    return float(beta)


class ClassBalancedLoss(LossModule):
    """Module form of :func:`class_balanced_loss`, which see; ``forward(logits, target)``.

    Example:
        >>> loss = ClassBalancedLoss([3, 1], beta=0.999999)
        >>> loss.weight
        tensor([0.5000, 1.5000])
    """

    shown = ("num_classes", "beta", "gamma")
    weight: Tensor

    def __init__(
        self,
        class_counts: Any,
        *,
        beta: float = 0.9999,
        gamma: float = 0.0,
        reduction: Reduction = "mean",
        ignore_index: int = IGNORE_INDEX,
    ) -> None:
        super().__init__(reduction, ignore_index)
        self.beta, self.gamma = _check_beta(beta), check_gamma(gamma)
        self.keep_per_class("weight", lambda: class_balanced_weights(class_counts, beta=self.beta))

    def forward(self, logits: Tensor, target: Target) -> Tensor:
        """The loss of logits (B, K)."""
        return focal_loss(logits, target, gamma=self.gamma, class_weight=self.weight, **self.reducing)
