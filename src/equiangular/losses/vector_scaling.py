"""Vector-scaling loss: logit adjustment whose logits also have a factor for each class."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from equiangular._validate import check_choice, check_class_counts, check_features, check_non_negative
from equiangular.losses._targets import REDUCTIONS, Reduction, Target
from equiangular.losses.cross_entropy import check_smoothing
from equiangular.losses.logit_adjusted import adjusted_loss, log_prior


def vector_scaling_loss(
    logits: Tensor,
    target: Target,
    class_counts: Any,
    *,
    gamma: float = 0.15,
    tau: float = 1.0,
    label_smoothing: float = 0.0,
    reduction: Reduction = "mean",
) -> Tensor:
    """Cross-entropy on logits with a factor and a summand for each class.

    L = -log( e^{D_y z_y + i_y} / sum_k e^{D_k z_k + i_k} ) with D_k = (n_k / n_max)^gamma and i_k = tau log(n_k / n).
    In training the logits of rare classes count for less, so the network makes them larger; at test time the bare
    logits z are used. gamma = 0 is logit adjustment, tau = 0 the class-dependent temperatures of Ye et al. (2020).

    The factors multiply logits, so they do not forgive a constant added to all of them: use it on logits that are
    centred or have no bias of their own, such as those of a fixed frame.

    Args:
        logits: (B, K) floating point.
        target: (B,) integers, (B, K) probabilities or a mixup triple ``(target_a, target_b, lam)``.
        class_counts: (K,) training samples per class, all above 0: a tensor, an array or a list.
        gamma: exponent of the factors, at least 0; 0.05 to 0.3 in the sources.
        tau: strength of the adjustment, at least 0.
        label_smoothing: eps in [0, 1]: the target becomes (1 - eps) t + eps / K.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Returns:
        A scalar, or (B,) for ``reduction="none"``; float32 for half-precision input.

    Raises:
        ValueError: wrong shapes or dtypes, labels out of range, NaN logits, an empty class, unknown options.

    Example:
        >>> loss = vector_scaling_loss(torch.tensor([[0.0, 2.0]]), torch.tensor([1]), [16, 1], gamma=0.25, tau=0.0)
        >>> round(float((-loss).exp()), 4)  # the factor of class 1 is 1/2: e / (1 + e)
        0.7311

    Sources: Kini et al., "Label-imbalanced and group-sensitive classification under overparameterization", NeurIPS
    2021, eq. 2; Ye et al., "Identifying and compensating for feature deviation in imbalanced deep learning", 2020.
    """
    check_features(logits, name="logits")
    factors, adjustment = _factors_and_adjustment(class_counts, logits.shape[1], gamma, tau)
    return _scaled(logits, target, factors, adjustment, label_smoothing, reduction)


def _factors_and_adjustment(
    class_counts: Any, num_classes: int | None, gamma: float, tau: float
) -> tuple[Tensor, Tensor]:
    gamma = check_non_negative(gamma, "gamma", hint="0 is logit adjustment.")
    counts = check_class_counts(class_counts, num_classes)
    return (counts / counts.max()) ** gamma, log_prior(counts, num_classes, tau)


def _scaled(
    logits: Tensor, target: Target, factors: Tensor, adjustment: Tensor, smoothing: float, reduction: Reduction
) -> Tensor:
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return adjusted_loss(logits * factors.to(logits), target, adjustment, smoothing, reduction)


class VectorScalingLoss(nn.Module):
    """Module form of :func:`vector_scaling_loss`; ``forward(logits, target)``.

    Factors and adjustment follow ``.to()``; they are made from the arguments and kept out of the state_dict.

    Args:
        class_counts: (K,) training samples per class, all above 0.
        gamma: exponent of the factors.
        tau: strength of the adjustment.
        label_smoothing: eps in [0, 1].
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Raises:
        ValueError: an empty class, or an option out of its range.

    Example:
        >>> VectorScalingLoss([16, 1], gamma=0.25).factors
        tensor([1.0000, 0.5000])
    """

    factors: Tensor
    adjustment: Tensor

    def __init__(
        self,
        class_counts: Any,
        *,
        gamma: float = 0.15,
        tau: float = 1.0,
        label_smoothing: float = 0.0,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__()
        self.gamma, self.tau = gamma, tau
        self.label_smoothing = check_smoothing(label_smoothing)
        self.reduction = check_choice(reduction, REDUCTIONS, "reduction")
        factors, adjustment = _factors_and_adjustment(class_counts, None, gamma, tau)
        self.register_buffer("factors", factors.to(torch.get_default_dtype()), persistent=False)
        self.register_buffer("adjustment", adjustment.to(torch.get_default_dtype()), persistent=False)

    def forward(self, logits: Tensor, target: Target) -> Tensor:
        """The loss of logits (B, K)."""
        check_features(logits, dim=self.factors.shape[0], name="logits")
        return _scaled(logits, target, self.factors, self.adjustment, self.label_smoothing, self.reduction)

    def extra_repr(self) -> str:
        """The options, for ``repr``."""
        return f"num_classes={len(self.factors)}, gamma={self.gamma}, tau={self.tau}, reduction={self.reduction!r}"
