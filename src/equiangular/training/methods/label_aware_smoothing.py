"""Label-aware smoothing (MiSLAS), as the only stage and, as its source uses it, in a retrained classifier."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from equiangular.heads import Head
from equiangular.losses.label_aware_smoothing import label_aware_smoothing_loss
from equiangular.training.methods import cross_entropy
from equiangular.training.methods.base import Context, Method
from equiangular.training.methods.crt import reinitialized, retrain_classifier
from equiangular.training.methods.second_stage import StoredFeatures, TwoStageMethod


def criterion(features: Tensor, target: Any, head: Head, context: Context) -> Tensor:
    """Cross-entropy against labels smoothed by up to 0.3 for the largest class and not at all for the smallest."""
    logits = head.logits_from_features(features)
    return label_aware_smoothing_loss(logits, target, context.class_counts, reduction="none")


def second_stage(head: Head, stored: StoredFeatures, seed: int) -> Head:
    """A new classifier, trained with balanced classes and smoothed labels.

    The source's shifted BatchNorm and learnable weight scaling are left out.
    """
    return retrain_classifier(stored.features, stored.labels, reinitialized(head), seed=seed, criterion=criterion)


_SOURCE = "Zhong et al. 2021 (MiSLAS)"

METHODS = (
    Method("linear-las", "learnable linear + label-aware smoothing", "linear", criterion, _SOURCE),
    TwoStageMethod(
        "linear-crt-las",
        "learnable linear + CE, classifier retrained with label-aware smoothing",
        "linear",
        cross_entropy.criterion,
        _SOURCE,
        trained_as="linear-ce",
        balances=True,
        second_stage=second_stage,
    ),
)
