"""Search for the recipe of a fixed head: one change at a time from a base, for a fixed and a learned head alike.

Base: free features after BatchNorm, logit-adjusted cross-entropy at scale 0.5. Every change is scored by balanced
accuracy on validation data of the training pool (`validation_dataset`, seeds from 1000), paired with the base; the test
part is never given to it. Finished trainings are kept, so a stopped search goes on.

    python dev/recipe_search.py digits --seeds 8
    python dev/recipe_search.py cifar10_lt50 --seeds 2     # reads the folder in EQUIANGULAR_DATA
"""

from __future__ import annotations

import argparse
import copy
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from equiangular._files import prepare_folder, read_json, write_json
from equiangular._provenance import provenance
from equiangular.compare.config import CompareConfig
from equiangular.compare.protocol import run_training
from equiangular.data import load_dataset
from equiangular.heads import Head
from equiangular.heads.alignment import align_head
from equiangular.losses import logit_adjusted_cross_entropy
from equiangular.losses.ldam import deferred_class_weights
from equiangular.measures import paired_comparison
from equiangular.measures.collapse import ClassMoments
from equiangular.studies.tuning import FIRST_TUNING_SEED, validation_dataset
from equiangular.training import Method
from equiangular.training.config import Budget
from equiangular.training.hardware import Hardware
from equiangular.training.methods import Context, cross_entropy
from equiangular.training.methods.second_stage import StoredFeatures, TwoStageMethod

# Data set -> imbalance factor, size of images, budget, precision.
DATA = {
    "digits": (100, None, Budget(epochs=40, batch_size=64, weight_decay=5e-3), "32-true"),
    "letter": (100, None, Budget(epochs=10, batch_size=128), "32-true"),
    "wine_quality_white": (1, None, Budget(epochs=20, batch_size=128), "32-true"),
    "cifar10_lt50": (100, 16, Budget(epochs=8, batch_size=128, augment="crop,flip"), "bf16-mixed"),
}
HEADS = {"etf": "etf", "learnable": "linear"}


def adjusted(
    features: Tensor, target: Any, head: Head, context: Context, *, tau: float = 1.0, start: float = 0.0
) -> Tensor:
    """Logit adjustment of strength tau, plain cross-entropy before the share ``start`` of the epochs."""
    if context.epoch < start * context.epochs:
        return cross_entropy.criterion(features, target, head, context)
    logits = head.logits_from_features(features)
    return logit_adjusted_cross_entropy(logits, target, context.class_counts, tau=tau, reduction="none")


def reweighted(features: Tensor, target: Tensor, head: Head, context: Context) -> Tensor:
    """Cross-entropy, the classes weighted by effective number in the last fifth of the epochs."""
    weight = deferred_class_weights(context.class_counts, context.epoch, context.epochs, start=0.8)
    losses = cross_entropy.criterion(features, target, head, context)
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
    options: dict[str, Any] = field(default_factory=dict)
    criterion: Any = adjusted
    budget: dict[str, Any] = field(default_factory=dict)
    decay: float = 1.0  # times the weight decay of the budget
    corrected: bool = False
    fixed_only: bool = False
    images_only: bool = False
    second_stage: Any = None
    follow: float | None = None


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
    "CE": Variant(criterion=cross_entropy.criterion),
    "CE, prior corrected": Variant(criterion=cross_entropy.criterion, corrected=True),
    "CE, scale 0.25, prior corrected": Variant({"scale": 0.25}, cross_entropy.criterion, corrected=True),
    "CE, then adjustment from 60 %": Variant(criterion=partial(adjusted, start=0.6)),
    "CE, then adjustment from 80 %": Variant(criterion=partial(adjusted, start=0.8)),
    "CE, deferred re-weighting": Variant(criterion=reweighted),
    "turned to the class means afterwards": Variant(second_stage=turned, fixed_only=True),
    "mixup 0.2": Variant(budget={"mix": "mixup:0.2"}),
    "mixup 1": Variant(budget={"mix": "mixup:1.0"}),
    "CutMix 1": Variant(budget={"mix": "cutmix:1.0"}, images_only=True),
    "moving average 0.99": Variant(budget={"ema": 0.99}),
    "half-balanced sampler": Variant(criterion=cross_entropy.criterion, budget={"sampler": "class-balanced:0.5"}),
    "balanced sampler": Variant(criterion=cross_entropy.criterion, budget={"sampler": "class-balanced"}),
    "RandAugment": Variant(budget={"augment": "crop,flip,randaugment"}, images_only=True),
    "scale 4": Variant({"scale": 4.0}),
    "scale 2, canonical frame": Variant({"scale": 2.0, "basis": "canonical"}, fixed_only=True),
    "scale 1, linear projection": Variant({"scale": 1.0, "projection": "linear"}),
    "scale 1, linear projection, CE, prior corrected": Variant(
        {"scale": 1.0, "projection": "linear"}, cross_entropy.criterion, corrected=True
    ),
    "scale 1, linear projection, turned afterwards": Variant(
        {"scale": 1.0, "projection": "linear"}, second_stage=turned, fixed_only=True
    ),
    "scale 1, linear projection to 64": Variant({"scale": 1.0, "projection": "linear", "dim": 64}),
    "scale 1, CE, prior corrected": Variant({"scale": 1.0}, cross_entropy.criterion, corrected=True),
    "scale 2, CE, prior corrected": Variant({"scale": 2.0}, cross_entropy.criterion, corrected=True),
    "scale 2, linear projection, CE, prior corrected": Variant(
        {"scale": 2.0, "projection": "linear"}, cross_entropy.criterion, corrected=True
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


def train(data: str, head: str, name: str, seed: int) -> float:
    """Balanced validation accuracy of one training, percent."""
    imbalance, size, budget, precision = DATA[data]
    variant = VARIANTS[name]
    changes = {"weight_decay": variant.decay * budget.weight_decay, **variant.budget}
    dataset = validation_dataset(load_dataset(data, size=size), fraction=0.2, seed=seed)
    hardware = Hardware(accelerator="cpu", precision=precision)
    config = CompareConfig(data=data, imbalance=imbalance, budget=budget.with_changes(**changes), hardware=hardware)
    criterion = variant.criterion if variant.follow is None else Following(until=variant.follow)
    kind = TwoStageMethod if variant.second_stage else Method
    extra = {"second_stage": variant.second_stage} if variant.second_stage else {}
    method = kind(
        f"{head}: {name}", name, HEADS[head], criterion, "search", {**BASE, **variant.options},
        corrected=variant.corrected, **extra,
    )  # fmt: skip
    return run_training(dataset, config, [method], FIRST_TUNING_SEED + seed)[0]["balanced_accuracy"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", choices=DATA)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--output", type=Path, default=Path("dev/results/recipe"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    images = options.data in ("digits", "cifar10_lt50")
    path = prepare_folder(options.output) / f"{options.data}.json"
    found: dict[str, list[float]] = read_json(path)["scores"] if path.exists() else {}
    for seed in range(options.seeds):
        for name in options.variants:
            variant = VARIANTS[name]
            if variant.images_only and not images:
                continue
            for head in ("etf",) if variant.fixed_only else HEADS:
                scores = found.setdefault(f"{head}: {name}", [])
                if len(scores) == seed:
                    scores.append(train(options.data, head, name, seed))
        write_json(path, {"scores": found, "rows": rows(found), "provenance": provenance()})
    for row in rows(found):
        print("{name:60s} {mean:6.2f}  {difference:+6.2f} [{ci_low:+.2f}, {ci_high:+.2f}]".format(**row))


def rows(found: dict[str, list[float]]) -> list[dict[str, Any]]:
    """Mean of every variant and its paired difference from the base of its head, best first."""
    table = []
    for name, scores in found.items():
        base = found[f"{name.partition(':')[0]}: base"][: len(scores)]
        row = {"name": name, "mean": sum(scores) / len(scores), "difference": 0.0, "ci_low": 0.0, "ci_high": 0.0}
        if len(scores) > 1 and scores != base:
            test = paired_comparison(scores, base)
            row |= {"difference": test.mean_difference, "ci_low": test.ci_low, "ci_high": test.ci_high}
        table.append(row)
    return sorted(table, key=lambda row: -row["mean"])


if __name__ == "__main__":
    main()
