"""The criteria of the methods: losses of the samples, (B,), from features, targets, head and context."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from equiangular._validate import check_features
from equiangular.heads import Head
from equiangular.heads.functional import IGNORE_INDEX
from equiangular.heads.unstored import UnstoredFrame
from equiangular.losses import (
    dot_regression_loss,
    logit_adjusted_cross_entropy,
    soft_target_cross_entropy,
    vector_scaling_loss,
)
from equiangular.losses.class_balanced import class_balanced_loss, focal_loss
from equiangular.losses.cross_entropy import adjusted_loss, log_prior
from equiangular.losses.dot_regression import Balance
from equiangular.losses.label_aware_smoothing import arb_loss, label_aware_smoothing_loss
from equiangular.losses.ldam import deferred_class_weights, ldam_loss
from equiangular.training.methods.base import Context

# The last fifth of the epochs is re-weighted: from epoch 160 of 200 in Cao et al. 2019.
DEFERRED_START = 0.8


def of_logits(
    features: Tensor, target: Any, head: Head, context: Context, *, loss: Any, counts: bool = False, **options: Any
) -> Tensor:
    """A loss of the head's own logits (scaled cosines for a normalised head) and, with ``counts``, the class counts."""
    given = (context.class_counts,) if counts else ()
    losses: Tensor = loss(head.logits_from_features(features), target, *given, reduction="none", **options)
    return losses


cross_entropy = partial(of_logits, loss=soft_target_cross_entropy)
focal = partial(of_logits, loss=focal_loss, gamma=2.0)
# Cross-entropy, or focal loss for a gamma above 0, weighted by 1 / E_n with beta = 0.9999.
class_balanced = partial(of_logits, loss=class_balanced_loss, counts=True)
# Labels smoothed by up to 0.3 for the largest class and not at all for the smallest.
label_aware_smoothing = partial(of_logits, loss=label_aware_smoothing_loss, counts=True)
# On (n_k / n_max)^0.15 logits + log prior; at test time the bare logits are used.
vector_scaled = partial(of_logits, loss=vector_scaling_loss, counts=True)


def logit_adjusted(features: Tensor, target: Any, head: Head, context: Context) -> Tensor:
    """On logits + log prior of the training classes; at test time the prior is left out."""
    if not _has_no_matrix(head):
        return of_logits(features, target, head, context, loss=logit_adjusted_cross_entropy, counts=True)
    logits = check_features(head.logits_from_features(features), name="logits")  # many, and nobody else has them
    adjustment = log_prior(context.class_counts, head.num_classes, 1.0)
    return adjusted_loss(logits, target, adjustment, 0.0, "none", IGNORE_INDEX, in_place=True)


def _has_no_matrix(head: Head) -> bool:
    return isinstance(head, UnstoredFrame) and head.structure is not None


def arb(features: Tensor, target: Any, head: Head, context: Context) -> Tensor:
    """ARB loss on the head's own logits, with the class counts of the whole batch.

    With the counts of the training set it would be logit adjustment.
    """
    counts = context.batch_counts(target, head.num_classes)
    return arb_loss(head.logits_from_features(features), target, counts, reduction="none")


def ldam(features: Tensor, target: Any, head: Head, context: Context, *, deferred: bool = False) -> Tensor:
    """Margins n_k^(-1/4) on the cosines; ``deferred`` weighs the classes from 80 % of the epochs on.

    Like every normalised head of the comparison it has the BatchNorm of Yang et al. (2022) in front, which the source
    has not; scale 30 and largest margin 0.5 are the source's.
    """
    counts, weight = context.class_counts, None
    if deferred:
        weight = deferred_class_weights(counts, context.epoch, context.epochs, start=DEFERRED_START)
    cosines = F.linear(features, head.class_vectors())
    return ldam_loss(cosines, target, counts, scale=head.scale, class_weight=weight, reduction="none")


def dot_regression(features: Tensor, target: Any, head: Head, context: Context, *, balance: Balance = "none") -> Tensor:
    """(w_y . h - 1)^2 / 2 on unit-norm features; ``balance="batch"`` averages per class within the batch first."""
    hard = isinstance(target, Tensor) and target.ndim == 1
    if hard and balance == "none" and _has_no_matrix(head):  # the target rows alone
        own = torch.where(target == IGNORE_INDEX, target, torch.arange(len(target), device=target.device))
        return dot_regression_loss(features, own, head.targets(target), reduction="none")
    counts = context.batch_counts(target, head.num_classes) if balance == "batch" else None
    return dot_regression_loss(features, target, head.weight, balance=balance, batch_counts=counts, reduction="none")
