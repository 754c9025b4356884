"""Losses: functions of (features or logits, target, weight), each with a thin module. No parameter lives in a loss.

Every target may be (B,) class indices, (B, K) class probabilities or a mixup triple ``(target_a, target_b, lam)``.
"""

from equiangular.losses.label_aware_smoothing import ARBLoss as ARBLoss, arb_loss as arb_loss
from equiangular.losses.label_aware_smoothing import LabelAwareSmoothingLoss as LabelAwareSmoothingLoss
from equiangular.losses.label_aware_smoothing import label_aware_smoothing_factors as label_aware_smoothing_factors
from equiangular.losses.label_aware_smoothing import label_aware_smoothing_loss as label_aware_smoothing_loss
from equiangular.losses.class_anchored import NONLLoss as NONLLoss, NTCELoss as NTCELoss
from equiangular.losses.class_anchored import nonl_loss as nonl_loss, ntce_loss as ntce_loss
from equiangular.losses.class_balanced import ClassBalancedLoss as ClassBalancedLoss
from equiangular.losses.class_balanced import class_balanced_loss as class_balanced_loss
from equiangular.losses.class_balanced import class_balanced_weights as class_balanced_weights
from equiangular.losses.class_balanced import effective_number as effective_number, FocalLoss as FocalLoss
from equiangular.losses.class_balanced import focal_loss as focal_loss
from equiangular.losses.cosine_cross_entropy import CosineCrossEntropyLoss as CosineCrossEntropyLoss
from equiangular.losses.cosine_cross_entropy import cosine_cross_entropy as cosine_cross_entropy
from equiangular.losses.cross_entropy import soft_target_cross_entropy as soft_target_cross_entropy
from equiangular.losses.cross_entropy import LogitAdjustedCrossEntropyLoss as LogitAdjustedCrossEntropyLoss
from equiangular.losses.cross_entropy import logit_adjusted_cross_entropy as logit_adjusted_cross_entropy
from equiangular.losses.cross_entropy import VectorScalingLoss as VectorScalingLoss
from equiangular.losses.cross_entropy import vector_scaling_loss as vector_scaling_loss
from equiangular.losses.dot_regression import DotLoss as DotLoss, dot_loss as dot_loss
from equiangular.losses.dot_regression import DotRegressionLoss as DotRegressionLoss
from equiangular.losses.dot_regression import batch_class_counts as batch_class_counts
from equiangular.losses.dot_regression import dot_regression_loss as dot_regression_loss
from equiangular.losses.ldam import LDAMLoss as LDAMLoss, deferred_class_weights as deferred_class_weights
from equiangular.losses.ldam import ldam_loss as ldam_loss, ldam_margins as ldam_margins
