"""Class-balanced weights by the effective number of samples, and the losses weighted with them."""

from __future__ import annotations

import math
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from equiangular._validate import check_choice, check_class_counts, check_features
from equiangular.losses._targets import REDUCTIONS, Reduction, Target
from equiangular.losses.focal import check_gamma, focal_loss

Average = Literal["classes", "samples"]
AVERAGES: tuple[Average, ...] = get_args(Average)


def effective_number(class_counts: Any, *, beta: float = 0.9999) -> Tensor:
    """Effective number of samples E_n = (1 - beta^n) / (1 - beta) of every class.

    It stands for the volume that n samples cover when a new one may fall on what is covered already. It is 1 for
    every n at beta = 0, goes to n as beta goes to 1, and never exceeds 1 / (1 - beta).

    Args:
        class_counts: (K,) samples per class, all above 0: a tensor, an array or a list.
        beta: in [0, 1).

    Returns:
        (K,) float64.

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
    """Weights proportional to 1 / E_n, with mean 1.

    Args:
        class_counts: (K,) samples per class, all above 0.
        beta: in [0, 1): 0 gives the weight 1 to every class, and towards 1 they become inversely proportional to the
            counts.
        average: over what the mean is 1. ``"classes"``: the weights sum to K, as the source has it. The mean weight
            of the training *samples* is then far below 1 on a long tail (about 1/6 on CIFAR-10 at an imbalance of
            100), and so is the loss beside the weight decay. ``"samples"``: sum_k n_k w_k = sum_k n_k, so that the
            loss keeps its size; what dividing by the sum of the weights in each batch does on average.

    Returns:
        (K,) float64.

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
) -> Tensor:
    """Class-balanced cross-entropy, or with ``gamma`` above 0 class-balanced focal loss.

    L = -w_y (1 - p_y)^gamma log p_y with p = softmax(logits) and w = ``class_balanced_weights(class_counts)``. beta = 0
    and gamma = 0 is cross-entropy.

    Args:
        logits: (B, K) floating point.
        target: (B,) integers, (B, K) probabilities or a mixup triple ``(target_a, target_b, lam)``.
        class_counts: (K,) training samples per class, all above 0.
        beta: in [0, 1); the source tries 0.9, 0.99, 0.999 and 0.9999.
        gamma: the focusing parameter, at least 0.
        reduction: ``"mean"`` (the sum over B), ``"sum"`` or ``"none"``.

    Returns:
        A scalar, or (B,) for ``reduction="none"``; float32 for half-precision input.

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
    return focal_loss(logits, target, gamma=gamma, class_weight=weight, reduction=reduction)


def _check_beta(beta: Any) -> float:
    if isinstance(beta, bool) or not isinstance(beta, (int, float)) or not 0 <= beta < 1:
        raise ValueError(f"beta must be a number in [0, 1), got {beta!r}. Typical: 0.9999; 0 weighs all classes alike.")
    return float(beta)


class ClassBalancedLoss(nn.Module):
    """Module form of :func:`class_balanced_loss`; ``forward(logits, target)``.

    Args:
        class_counts: (K,) training samples per class, all above 0.
        beta: in [0, 1).
        gamma: the focusing parameter; 0 is cross-entropy.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Raises:
        ValueError: an empty class, or an option out of its range.

    Example:
        >>> loss = ClassBalancedLoss([3, 1], beta=0.999999)
        >>> loss.weight
        tensor([0.5000, 1.5000])
    """

    weight: Tensor

    def __init__(
        self, class_counts: Any, *, beta: float = 0.9999, gamma: float = 0.0, reduction: Reduction = "mean"
    ) -> None:
        super().__init__()
        self.beta = _check_beta(beta)
        self.gamma = check_gamma(gamma)
        self.reduction = check_choice(reduction, REDUCTIONS, "reduction")
        weight = class_balanced_weights(class_counts, beta=self.beta).to(torch.get_default_dtype())
        self.register_buffer("weight", weight, persistent=False)

    def forward(self, logits: Tensor, target: Target) -> Tensor:
        """The loss of logits (B, K)."""
        return focal_loss(logits, target, gamma=self.gamma, class_weight=self.weight, reduction=self.reduction)

    def extra_repr(self) -> str:
        """The options, for ``repr``."""
        return f"num_classes={self.weight.shape[0]}, beta={self.beta}, gamma={self.gamma}"
