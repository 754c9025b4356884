"""The second round of the search: changes to the recommended recipe, for the fixed head and its learned rival alike.

The recipe is a free-feature ETF after BatchNorm, behind a learned map where d < 4K, with logit-adjusted cross-entropy;
its rival is a learned linear head with the same BatchNorm, loss and budget.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from equiangular.frames import simplex_etf
from equiangular.heads import Head
from equiangular.heads.normalize import unit_normalize
from equiangular.losses import dot_loss, dot_regression_loss, ldam_loss, logit_adjusted_cross_entropy
from equiangular.losses.ldam import deferred_class_weights
from equiangular.training import Method
from equiangular.training.methods import Context, criteria
from experiments import tail_mixing  # noqa: F401 - balanced mixup and UniMix by name
from experiments.in_batch_balance import balanced_in_batch
from experiments.recipe.variants import Variant, adjusted


class Normalised(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return unit_normalize(x)


@dataclass(frozen=True)
class UnitFirst(Method):
    """A method whose head normalises the features after BatchNorm and before the learned map."""

    def build_head(self, in_features: int, num_classes: int, *, seed: int) -> Head:
        head = super().build_head(in_features, num_classes, seed=seed)
        head.projection = nn.Sequential(nn.BatchNorm1d(in_features), Normalised(), head.projection)
        head.norm = nn.Identity()
        return head


@dataclass(frozen=True)
class FromGrouped(Method):
    """A method whose head learns its class vectors from the grouped ETF on."""

    def build_head(self, in_features: int, num_classes: int, *, seed: int) -> Head:
        head = super().build_head(in_features, num_classes, seed=seed)
        with torch.no_grad():
            head.weight.copy_(simplex_etf(num_classes, in_features, basis="grouped", seed=seed))
        return head


def scaled(features: Tensor, target: Any, head: Head, context: Context, *, gamma: float) -> Tensor:
    """Vector scaling, also with gamma below 0: in training, logits have the factors (n_k / n_max)^gamma."""
    counts = context.class_counts
    logits = head.logits_from_features(features) * (counts / counts.max()).to(features) ** gamma
    return logit_adjusted_cross_entropy(logits, target, counts, reduction="none")


class Lengths:
    """Class vectors of length (n_k / n_max)^power, in training and at test time; the loss is logit adjustment."""

    def __init__(self, power: float) -> None:
        self.power, self.done = power, False

    def __call__(self, features: Tensor, target: Any, head: Head, context: Context) -> Tensor:
        if not self.done:
            counts = context.class_counts
            head.weight.mul_(((counts / counts.max()) ** self.power)[:, None].to(head.weight))
            self.done = True
        return adjusted(features, target, head, context)


def margins(features: Tensor, target: Any, head: Head, context: Context, *, deferred: bool) -> Tensor:
    """LDAM with largest margin 0.5, re-weighted in the last fifth of the epochs."""
    weight = None
    if deferred:
        weight = deferred_class_weights(context.class_counts, context.epoch, context.epochs, start=0.8)
    cosines = F.linear(features, F.normalize(head.class_vectors(), dim=1))
    return ldam_loss(cosines, target, context.class_counts, scale=head.scale, class_weight=weight, reduction="none")


def dot_then_dr(features: Tensor, target: Any, head: Head, context: Context) -> Tensor:
    """The dot loss for half of the epochs, dot-regression from there on."""
    loss = dot_loss if 2 * context.epoch < context.epochs else dot_regression_loss
    return loss(features, target, head.class_vectors(), reduction="none")


def dr(features: Tensor, target: Any, head: Head, context: Context, *, power: float = 0.0) -> Tensor:
    """Dot-regression to lengths (n_min / n_k)^power: features of frequent classes need not reach their vector."""
    if not power:
        return dot_regression_loss(features, target, head.class_vectors(), reduction="none")
    counts = context.class_counts.to(features)
    length = (counts.min() / counts) ** power
    own = (features * head.class_vectors()[target]).sum(1)
    return (own - length[target]) ** 2 / (2 * length[target])


def smoothed(features: Tensor, target: Tensor, head: Head, context: Context, *, share: float) -> Tensor:
    """Logit adjustment against labels smoothed by ``share``."""
    soft = F.one_hot(target, head.num_classes).to(features) * (1 - share) + share / head.num_classes
    return adjusted(features, soft, head, context)


class Blurred:
    """Features of rare classes blurred by the spread of features around their class means in the batch.

    The noise has ``strength`` times that spread times 1 - n_k / n_max: rare classes borrow the spread of frequent ones.
    """

    def __init__(self, strength: float) -> None:
        self.strength, self.generator = strength, torch.Generator().manual_seed(0)

    def __call__(self, features: Tensor, target: Tensor, head: Head, context: Context) -> Tensor:
        with torch.no_grad():
            one_hot = F.one_hot(target, head.num_classes).to(features)
            counts = one_hot.sum(0)
            spread = features - (one_hot.T @ features / counts.clamp(min=1)[:, None])[target]
            shared = counts[target] > 1
            deviation = spread[shared].pow(2).mean(0).sqrt() if shared.any() else torch.zeros_like(features[0])
            rarity = 1 - context.class_counts / context.class_counts.max()
            noise = torch.randn(features.shape, generator=self.generator).to(features)
            noise = noise * deviation * rarity.to(features)[target][:, None] * self.strength
        return adjusted(features + noise, target, head, context)


def fixed(options: dict[str, Any] | None = None, **changes: Any) -> Variant:
    return Variant(options or {}, fixed_only=True, **changes)


_MAPPED = {"projection": "linear", "norm": "batch-first"}
_UNIT = {"normalize": True, "scale": 16.0}
_BALANCED_DR = balanced_in_batch(dr)
CHANGES = {
    "recipe": Variant(),
    "scale 0.5": Variant({"scale": 0.5}),
    "scale 2": Variant({"scale": 2.0}),
    "normalised, scale 4": Variant({"normalize": True, "scale": 4.0}),
    "normalised, scale 8": Variant({"normalize": True, "scale": 8.0}),
    "normalised, scale 16": Variant(_UNIT),
    "bare": fixed({"projection": None}),
    "behind a map": fixed({"projection": "linear"}),
    "behind a map, normalised, scale 8": fixed({"projection": "linear", "normalize": True, "scale": 8.0}),
    "BatchNorm, map": fixed(_MAPPED),
    "BatchNorm, map, scale 2": fixed({**_MAPPED, "scale": 2.0}),
    "BatchNorm, map, normalised, scale 4": fixed({**_MAPPED, "normalize": True, "scale": 4.0}),
    "BatchNorm, map, normalised, scale 8": fixed({**_MAPPED, "normalize": True, "scale": 8.0}),
    "BatchNorm, map, normalised, scale 16": fixed({**_MAPPED, **_UNIT}),
    "BatchNorm, normalised, map, scale 8": fixed({"projection": "linear", "scale": 8.0}, unit_first=True),
    "neurons shared out": fixed({"projection": None, "basis": "grouped"}),
    "neurons shared out, no BatchNorm": fixed({"projection": None, "basis": "grouped", "norm": "none"}),
    "learned from the neurons shared out on": Variant(from_grouped=True),
    "no BatchNorm": Variant({"norm": "none"}),
    "vector scaling -0.125": Variant(criterion=partial(scaled, gamma=-0.125)),
    "vector scaling 0.06": Variant(criterion=partial(scaled, gamma=0.06)),
    "vector scaling 0.125": Variant(criterion=partial(scaled, gamma=0.125)),
    "vector scaling 0.25": Variant(criterion=partial(scaled, gamma=0.25)),
    "vectors of rare classes longer": fixed(criterion=partial(Lengths, -0.125)),
    "vectors of rare classes shorter": fixed(criterion=partial(Lengths, 0.125)),
    "neurons shared out, vector scaling 0.125": fixed(
        {"projection": None, "basis": "grouped"}, criterion=partial(scaled, gamma=0.125)
    ),
    "BatchNorm, map, vector scaling 0.125": fixed(_MAPPED, criterion=partial(scaled, gamma=0.125)),
    "LDAM": Variant(_UNIT, partial(margins, deferred=False)),
    "LDAM, deferred re-weighting": Variant(_UNIT, partial(margins, deferred=True)),
    "DR, balanced in the batch": fixed({"normalize": True}, criterion=_BALANCED_DR),
    "dot loss, then DR, balanced": fixed({"normalize": True}, criterion=balanced_in_batch(dot_then_dr)),
    "DR to lengths by frequency, balanced": fixed(
        {"normalize": True}, criterion=balanced_in_batch(partial(dr, power=0.125))
    ),
    "DR to lengths by frequency": fixed({"normalize": True}, criterion=partial(dr, power=0.125)),
    "labels smoothed by 0.1": Variant(criterion=partial(smoothed, share=0.1)),
    "rare classes blurred": Variant(criterion=partial(Blurred, 1.0)),
    "rare classes blurred by half": Variant(criterion=partial(Blurred, 0.5)),
    "mixup 0.2": Variant(budget={"mix": "mixup:0.2"}),
    "mixup 1": Variant(budget={"mix": "mixup:1.0"}),
    "balanced mixup 0.2": Variant(budget={"mix": "balanced-mixup:0.2"}),
    "CE, balanced mixup 0.2": Variant(criterion=criteria.cross_entropy, budget={"mix": "balanced-mixup:0.2"}),
    "CE, UniMix 0.5": Variant(criterion=criteria.cross_entropy, budget={"mix": "unimix:0.5"}),
    "UniMix 0.5": Variant(budget={"mix": "unimix:0.5"}),
    "CutMix 1": Variant(budget={"mix": "cutmix:1.0"}, images_only=True),
    "RandAugment": Variant(budget={"augment": "crop,flip,randaugment"}, images_only=True),
    "CE, prior corrected": Variant(criterion=criteria.cross_entropy, corrected=True),
    "learning rate 0.05": Variant(budget={"learning_rate": 0.05}),
    "learning rate 0.2": Variant(budget={"learning_rate": 0.2}),
    "three times the epochs": Variant(epochs=3.0),
}
# A criterion with a state is made anew for every training.
_WITH_STATE = (Blurred, Lengths)
FACTORIES = {name for name, variant in CHANGES.items() if getattr(variant.criterion, "func", None) in _WITH_STATE}


def with_new_state(name: str, variant: Variant) -> Variant:
    """The variant, its criterion made anew where it has a state."""
    return replace(variant, criterion=variant.criterion()) if name in FACTORIES else variant
