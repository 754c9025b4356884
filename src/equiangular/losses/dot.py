"""The plain dot loss: one minus the cosine."""

from __future__ import annotations

from torch import Tensor, nn

from equiangular._validate import check_choice, check_positive
from equiangular.losses._targets import REDUCTIONS, Reduction, Target, check_table, parse_target, reduce_losses


def dot_loss(
    features: Tensor,
    target: Target,
    weight: Tensor,
    *,
    reduction: Reduction = "mean",
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
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.
        e_w: E_W, the squared norm of the class vectors.
        e_h: E_H, the squared norm of the features.

    Returns:
        A scalar, or (B,) for ``reduction="none"``; float32 for half-precision input.

    Raises:
        ValueError: wrong shapes or dtypes, labels out of range, NaN features, unknown options.

    Example:
        >>> import torch
        >>> dot_loss(torch.eye(2), torch.tensor([0, 0]), torch.eye(2), reduction="none")
        tensor([0., 1.])

    Source: the numerator of Yang et al., NeurIPS 2022, eq. 9, without its square.
    """
    check_choice(reduction, REDUCTIONS, "reduction")
    norm = (check_positive(e_w, "e_w") * check_positive(e_h, "e_h")) ** 0.5
    features, weight = check_table(features, weight)
    shares = parse_target(target, weight.shape[0], features.shape[0], like=features)
    return reduce_losses((shares.share * (norm - shares.dots(features, weight))).sum(1), reduction)


class DotLoss(nn.Module):
    """Module form of :func:`dot_loss`; ``forward(features, target, weight)``.

    Args:
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.
        e_w: E_W, the squared norm of the class vectors.
        e_h: E_H, the squared norm of the features.

    Raises:
        ValueError: an unknown ``reduction``, or a norm that is not above 0.

    Example:
        >>> import torch
        >>> float(DotLoss()(torch.eye(2), torch.tensor([0, 0]), torch.eye(2)))
        0.5
    """

    def __init__(self, *, reduction: Reduction = "mean", e_w: float = 1.0, e_h: float = 1.0) -> None:
        super().__init__()
        self.reduction = check_choice(reduction, REDUCTIONS, "reduction")
        self.e_w = check_positive(e_w, "e_w")
        self.e_h = check_positive(e_h, "e_h")

    def forward(self, features: Tensor, target: Target, weight: Tensor) -> Tensor:
        """The loss of features (B, d) against class vectors (K, d)."""
        return dot_loss(features, target, weight, reduction=self.reduction, e_w=self.e_w, e_h=self.e_h)

    def extra_repr(self) -> str:
        """The options, for ``repr``."""
        return f"reduction={self.reduction!r}, e_w={self.e_w}, e_h={self.e_h}"
