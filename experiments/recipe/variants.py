"""The first round of the search: one change at a time from free features after BatchNorm at scale 0.5."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor

from equiangular.heads import Head
from equiangular.heads.alignment import align_head
from equiangular.losses import logit_adjusted_cross_entropy
from equiangular.losses.ldam import deferred_class_weights
from equiangular.measures.collapse import ClassMoments
from equiangular.training.methods import Context, StoredFeatures, criteria


def adjusted(
    features: Tensor, target: Any, head: Head, context: Context, *, tau: float = 1.0, start: float = 0.0
) -> Tensor:
    """Logit adjustment of strength tau, plain cross-entropy before the share ``start`` of the epochs."""
    if context.epoch < start * context.epochs:
        return criteria.cross_entropy(features, target, head, context)
    logits = head.logits_from_features(features)
    return logit_adjusted_cross_entropy(logits, target, context.class_counts, tau=tau, reduction="none")


def reweighted(features: Tensor, target: Tensor, head: Head, context: Context) -> Tensor:
    """Cross-entropy, the classes weighted by effective number in the last fifth of the epochs."""
    weight = deferred_class_weights(context.class_counts, context.epoch, context.epochs, start=0.8)
    losses = criteria.cross_entropy(features, target, head, context)
    return losses if weight is None else losses * weight.to(losses)[target]


class Following:
    """Logit adjustment under which the frame turns to the class means of the epoch before, at every epoch's start."""

    def __init__(self, *, until: float = 1.0) -> None:
        self.until, self.epoch, self.moments = until, 0, None

    def __call__(self, features: Tensor, target: Tensor, head: Head, context: Context) -> Tensor:
        if context.epoch != self.epoch:
            if self.moments is not None and context.epoch <= self.until * context.epochs:
                align_head(head, self.moments.mean, self.moments.count)
            self.epoch, self.moments = context.epoch, None
        if self.moments is None:
            self.moments = ClassMoments.empty(head.num_classes, head.dim, covariance=False)
        self.moments.update(features.detach().float(), target)
        return adjusted(features, target, head, context)


def turned(head: Head, stored: StoredFeatures, seed: int) -> Head:
    """The frame turned to the class means of the trained network, nothing retrained."""
    head = copy.deepcopy(head).eval()
    with torch.no_grad():
        features = head(stored.features, pre_logits=True)
    moments = ClassMoments.empty(head.num_classes, features.shape[1]).update(features, stored.labels)
    return align_head(head, moments.mean.to(features), moments.count)


@dataclass(frozen=True)
class Variant:
    """One change: to the options of the head, the loss, the budget, what is done before or after training."""

    options: dict[str, Any] = field(default_factory=dict)
    criterion: Any = adjusted
    budget: dict[str, Any] = field(default_factory=dict)
    decay: float = 1.0  # times the weight decay of the budget
    corrected: bool = False
    fixed_only: bool = False
    images_only: bool = False
    second_stage: Any = None
    follow: float | None = None
    unit_first: bool = False
    from_grouped: bool = False  # a learned head whose vectors start at the grouped ETF
    epochs: float = 1.0  # times the epochs of the budget


BASE = {"norm": "batch", "normalize": False, "scale": 0.5}
VARIANTS = {
    "base": Variant(),
    "scale 0.25": Variant({"scale": 0.25}),
    "scale 1": Variant({"scale": 1.0}),
    "scale 2": Variant({"scale": 2.0}),
    "scale learned": Variant({"scale": "learned"}),
    "normalised, scale 8": Variant({"normalize": True, "scale": 8.0}),
    "normalised, scale 16": Variant({"normalize": True, "scale": 16.0}),
    "no BatchNorm": Variant({"norm": "none"}),
    "canonical frame": Variant({"basis": "canonical"}, fixed_only=True),
    "linear projection": Variant({"projection": "linear"}),
    "linear projection to 64": Variant({"projection": "linear", "dim": 64}),
    "MLP projection to 64": Variant({"projection": "mlp", "dim": 64}),
    "dropout 0.2": Variant({"drop_rate": 0.2}),
    "dropout 0.5": Variant({"drop_rate": 0.5}),
    "adjustment 0.75": Variant(criterion=partial(adjusted, tau=0.75)),
    "adjustment 1.25": Variant(criterion=partial(adjusted, tau=1.25)),
    "adjustment 1.5": Variant(criterion=partial(adjusted, tau=1.5)),
    "CE": Variant(criterion=criteria.cross_entropy),
    "CE, prior corrected": Variant(criterion=criteria.cross_entropy, corrected=True),
    "CE, scale 0.25, prior corrected": Variant({"scale": 0.25}, criteria.cross_entropy, corrected=True),
    "CE, then adjustment from 60 %": Variant(criterion=partial(adjusted, start=0.6)),
    "CE, then adjustment from 80 %": Variant(criterion=partial(adjusted, start=0.8)),
    "CE, deferred re-weighting": Variant(criterion=reweighted),
    "turned to the class means afterwards": Variant(second_stage=turned, fixed_only=True),
    "mixup 0.2": Variant(budget={"mix": "mixup:0.2"}),
    "mixup 1": Variant(budget={"mix": "mixup:1.0"}),
    "CutMix 1": Variant(budget={"mix": "cutmix:1.0"}, images_only=True),
    "moving average 0.99": Variant(budget={"ema": 0.99}),
    "half-balanced sampler": Variant(criterion=criteria.cross_entropy, budget={"sampler": "class-balanced:0.5"}),
    "balanced sampler": Variant(criterion=criteria.cross_entropy, budget={"sampler": "class-balanced"}),
    "RandAugment": Variant(budget={"augment": "crop,flip,randaugment"}, images_only=True),
    "scale 4": Variant({"scale": 4.0}),
    "scale 2, canonical frame": Variant({"scale": 2.0, "basis": "canonical"}, fixed_only=True),
    "scale 1, linear projection": Variant({"scale": 1.0, "projection": "linear"}),
    "scale 1, linear projection, CE, prior corrected": Variant(
        {"scale": 1.0, "projection": "linear"}, criteria.cross_entropy, corrected=True
    ),
    "scale 1, linear projection, turned afterwards": Variant(
        {"scale": 1.0, "projection": "linear"}, second_stage=turned, fixed_only=True
    ),
    "scale 1, linear projection to 64": Variant({"scale": 1.0, "projection": "linear", "dim": 64}),
    "scale 1, CE, prior corrected": Variant({"scale": 1.0}, criteria.cross_entropy, corrected=True),
    "scale 2, CE, prior corrected": Variant({"scale": 2.0}, criteria.cross_entropy, corrected=True),
    "scale 2, linear projection, CE, prior corrected": Variant(
        {"scale": 2.0, "projection": "linear"}, criteria.cross_entropy, corrected=True
    ),
    "scale 2, linear projection": Variant({"scale": 2.0, "projection": "linear"}),
    "scale 2, MLP projection to 64": Variant({"scale": 2.0, "projection": "mlp", "dim": 64}),
    "scale 2, turned to the class means afterwards": Variant({"scale": 2.0}, second_stage=turned, fixed_only=True),
    "scale 2, turned to the class means every epoch": Variant({"scale": 2.0}, follow=1.0, fixed_only=True),
    "turned to the class means every epoch": Variant(follow=1.0, fixed_only=True),
    "turned to the class means for half of the epochs": Variant(follow=0.5, fixed_only=True),
    "scale learned, linear projection": Variant({"scale": "learned", "projection": "linear"}),
    "scale learned, every epoch": Variant({"scale": "learned"}, follow=1.0, fixed_only=True),
    "scale learned, canonical frame": Variant({"scale": "learned", "basis": "canonical"}, fixed_only=True),
    "scale learned, learning rate 0.3": Variant({"scale": "learned"}, budget={"learning_rate": 0.3}),
    "scale learned, linear projection, learning rate 0.3": Variant(
        {"scale": "learned", "projection": "linear"}, budget={"learning_rate": 0.3}
    ),
    "normalised, scale 16, every epoch": Variant({"normalize": True, "scale": 16.0}, follow=1.0, fixed_only=True),
    "learning rate 0.05": Variant(budget={"learning_rate": 0.05}),
    "learning rate 0.2": Variant(budget={"learning_rate": 0.2}),
    "weight decay x 4": Variant(decay=4.0),
    "AdamW": Variant(budget={"optimizer": "adamw", "learning_rate": 0.002, "weight_decay": 0.05}),
}
