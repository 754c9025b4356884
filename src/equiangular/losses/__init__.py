"""Losses: functions of (features or logits, target, weight), each with a thin module. No parameter lives in a loss.

Every target may be (B,) class indices, (B, K) class probabilities or a mixup triple ``(target_a, target_b, lam)``.
"""

from equiangular.losses.arb import ARBLoss, arb_loss
from equiangular.losses.class_balanced import (
    ClassBalancedLoss,
    class_balanced_loss,
    class_balanced_weights,
    effective_number,
)
from equiangular.losses.cosine_cross_entropy import CosineCrossEntropyLoss, cosine_cross_entropy
from equiangular.losses.cross_entropy import soft_target_cross_entropy
from equiangular.losses.dot import DotLoss, dot_loss
from equiangular.losses.dot_regression import DotRegressionLoss, batch_class_counts, dot_regression_loss
from equiangular.losses.focal import FocalLoss, focal_loss
from equiangular.losses.label_aware_smoothing import (
    LabelAwareSmoothingLoss,
    label_aware_smoothing_factors,
    label_aware_smoothing_loss,
)
from equiangular.losses.ldam import LDAMLoss, deferred_class_weights, ldam_loss, ldam_margins
from equiangular.losses.logit_adjusted import LogitAdjustedCrossEntropyLoss, logit_adjusted_cross_entropy
from equiangular.losses.vector_scaling import VectorScalingLoss, vector_scaling_loss

__all__ = [
    "ARBLoss",
    "ClassBalancedLoss",
    "CosineCrossEntropyLoss",
    "DotLoss",
    "DotRegressionLoss",
    "FocalLoss",
    "LDAMLoss",
    "LabelAwareSmoothingLoss",
    "LogitAdjustedCrossEntropyLoss",
    "VectorScalingLoss",
    "arb_loss",
    "batch_class_counts",
    "class_balanced_loss",
    "class_balanced_weights",
    "cosine_cross_entropy",
    "deferred_class_weights",
    "dot_loss",
    "dot_regression_loss",
    "effective_number",
    "focal_loss",
    "label_aware_smoothing_factors",
    "label_aware_smoothing_loss",
    "ldam_loss",
    "ldam_margins",
    "logit_adjusted_cross_entropy",
    "soft_target_cross_entropy",
    "vector_scaling_loss",
]
