"""Weight balancing: strong weight decay for the network, then a classifier kept inside a ball of small radius."""

from __future__ import annotations

import torch
from torch import Tensor

from equiangular._validate import check_features, check_positive
from equiangular.heads import Head
from equiangular.training.config import Budget
from equiangular.training.methods import class_balanced, cross_entropy
from equiangular.training.methods.crt import retrain_classifier
from equiangular.training.methods.second_stage import StoredFeatures, TwoStageMethod

# The settings of the code released with the source, for CIFAR-100-LT at an imbalance of 100.
STAGE_ONE_WEIGHT_DECAY = 5e-3
STAGE_TWO = Budget(epochs=10, batch_size=64, learning_rate=0.01, weight_decay=0.1, warmup_epochs=0)
RADIUS_POSITION = 0.1  # of the radius between the smallest and the largest norm after stage one


@torch.no_grad()
def max_norm_(weight: Tensor, radius: float) -> Tensor:
    """Bring class vectors longer than ``radius`` back to it, in place: w_k <- w_k min(1, radius / ||w_k||).

    Args:
        weight: (K, d) floating point; changed.
        radius: the largest norm allowed, above 0.

    Returns:
        ``weight``.

    Raises:
        ValueError: another shape or dtype, NaN values, or a radius that is not above 0.

    Example:
        >>> max_norm_(torch.tensor([[3.0, 4.0], [0.0, 0.5]]), 1.0)
        tensor([[0.6000, 0.8000],
                [0.0000, 0.5000]])

    Source: Alshammari et al., "Long-tailed recognition via weight balancing", CVPR 2022, MaxNorm by projected gradient
    descent.
    """
    check_features(weight, name="weight")
    norms = torch.linalg.vector_norm(weight, dim=1, keepdim=True)
    return weight.mul_((check_positive(radius, "radius") / norms).clamp(max=1))


def second_stage(head: Head, stored: StoredFeatures, seed: int) -> Head:
    """The classifier trained on with class-balanced cross-entropy, strong weight decay and a bound on its norms."""
    norms = torch.linalg.vector_norm(head.weight.detach(), dim=1)
    radius = float(norms.min() + RADIUS_POSITION * (norms.max() - norms.min()))
    return retrain_classifier(
        stored.features,
        stored.labels,
        head,
        seed=seed,
        budget=STAGE_TWO,
        criterion=class_balanced.criterion,
        balanced=False,
        after_step=lambda trained: max_norm_(trained.weight, radius),
    )


METHODS = (
    TwoStageMethod(
        "linear-wb",
        "learnable linear + weight balancing",
        "linear",
        cross_entropy.criterion,
        "Alshammari et al. 2022",
        balances=True,
        second_stage=second_stage,
        budget_changes={"weight_decay": STAGE_ONE_WEIGHT_DECAY},
    ),
)
