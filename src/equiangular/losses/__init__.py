"""Losses: functions of (features or logits, target, weight), each with a thin module. No parameter lives in a loss.

Every target may be (B,) class indices, (B, K) class probabilities or a mixup triple ``(target_a, target_b, lam)``.
"""

from equiangular.losses.cosine_cross_entropy import CosineCrossEntropyLoss, cosine_cross_entropy
from equiangular.losses.cross_entropy import soft_target_cross_entropy
from equiangular.losses.dot import DotLoss, dot_loss
from equiangular.losses.dot_regression import DotRegressionLoss, batch_class_counts, dot_regression_loss
from equiangular.losses.logit_adjusted import LogitAdjustedCrossEntropyLoss, logit_adjusted_cross_entropy

__all__ = [
    "CosineCrossEntropyLoss",
    "DotLoss",
    "DotRegressionLoss",
    "LogitAdjustedCrossEntropyLoss",
    "batch_class_counts",
    "cosine_cross_entropy",
    "dot_loss",
    "dot_regression_loss",
    "logit_adjusted_cross_entropy",
    "soft_target_cross_entropy",
]
