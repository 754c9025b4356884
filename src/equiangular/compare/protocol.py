"""One paired run: the subset, the training of one method, and everything measured on it, as JSON-plain values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from equiangular.compare.config import CompareConfig
from equiangular.compare.presets import default_backbone
from equiangular.data import Dataset
from equiangular.longtail import SubsetManifest, class_groups, holdout_indices, long_tail_indices
from equiangular.measures import (
    accuracy,
    balanced_accuracy,
    expected_calibration_error,
    group_accuracy,
    per_class_accuracy,
)
from equiangular.measures.collapse import ClassMoments, collapse_measures
from equiangular.posthoc import calibrate_prior_correction, prior_corrected_logits
from equiangular.training import Method, Task, backbone_features, build_task, fit
from equiangular.training.methods.second_stage import StoredFeatures


@dataclass(frozen=True)
class Split:
    """The tensors of one paired run; inputs are standardised with the training part's mean and deviation.

    Attributes:
        train_x, train_y: the long-tailed training part, less the held-out part.
        holdout_x, holdout_y: held-out training data, for calibration only.
        test_x, test_y: the test part, looked at once, after the last epoch.
        class_counts: (K,) samples per class of the training part.
        manifest: which samples of the pool the cut consists of, with a hash.
    """

    train_x: Tensor
    train_y: Tensor
    holdout_x: Tensor
    holdout_y: Tensor
    test_x: Tensor
    test_y: Tensor
    class_counts: np.ndarray
    manifest: SubsetManifest


def make_split(dataset: Dataset, config: CompareConfig, seed: int) -> Split:
    """Cut the training pool to the long tail, hold a part out, standardise."""
    pool_y = np.asarray(dataset.train_y)
    subset_seed = config.subset_seed_of(seed)
    if config.imbalance == 1:
        subset = np.arange(len(pool_y))
    else:
        subset = long_tail_indices(pool_y, config.imbalance, kind=config.profile, seed=subset_seed)
    manifest = SubsetManifest.from_indices(
        subset, pool_y, source=dataset.name, seed=subset_seed, protocol="local", imbalance_factor=config.imbalance
    )
    held = holdout_indices(pool_y[subset], config.holdout, seed=subset_seed)
    kept = np.setdiff1d(np.arange(len(subset)), held)
    train_x, holdout_x = (as_float(dataset.train_x[torch.from_numpy(subset[part])]) for part in (kept, held))
    labels = torch.from_numpy(pool_y[subset]).long()
    mean, std = standardisation(train_x)
    return Split(
        (train_x - mean) / std,
        labels[torch.from_numpy(kept)],
        (holdout_x - mean) / std,
        labels[torch.from_numpy(held)],
        (as_float(dataset.test_x) - mean) / std,
        torch.as_tensor(dataset.test_y).long(),
        np.bincount(pool_y[subset][kept], minlength=dataset.num_classes),
        manifest,
    )


def as_float(inputs: Tensor) -> Tensor:
    """Images of bytes as floats in [0, 1]; floats stay as they are."""
    return inputs.float() / 255 if inputs.dtype == torch.uint8 else inputs.float()


def standardisation(inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation over the samples: per channel for images (N, C, H, W), per column for tables (N, d)."""
    axes = (0, 2, 3) if inputs.ndim == 4 else (0,)
    mean, std = inputs.mean(axes, keepdim=True), inputs.std(axes, keepdim=True)
    return mean, torch.where(std > 0, std, torch.ones_like(std))


def run_training(dataset: Dataset, config: CompareConfig, methods: list[Method], seed: int) -> list[dict[str, Any]]:
    """Train once and measure every method that shares this training.

    Args:
        dataset: the data.
        config: the comparison.
        methods: methods with the same ``training_name``.
        seed: the run's training seed.

    Returns:
        One JSON-plain record for each method.
    """
    split = make_split(dataset, config, seed)
    name = methods[0].training_name
    shape = tuple(split.train_x.shape[1:])
    backbone = default_backbone(dataset.kind, shape) if config.backbone == "auto" else config.backbone
    method = config.trained_method(methods[0])
    task = build_task(method, backbone, shape, dataset.num_classes, seed=seed)
    budget = config.budget.with_changes(**getattr(method, "budget_changes", {}))
    curve: list[dict[str, float]] = []
    recorder = _curve_recorder(task, split, budget.epochs, curve) if seed == 0 else None
    fitted = fit(task, split.train_x, split.train_y, budget, seed=seed, on_epoch=recorder)
    train, holdout, test = (backbone_features(task, x) for x in (split.train_x, split.holdout_x, split.test_x))
    shared = {
        "seed": seed,
        "subset_seed": config.subset_seed_of(seed),
        "subset_sha256": split.manifest.sha256,
        "backbone": backbone,
        "fingerprint": config.run_fingerprint(name),
        "total_parameters": sum(p.numel() for p in task.parameters() if p.requires_grad),
        "seconds": fitted.seconds,
        "final_loss": fitted.losses[-1],
        "class_counts": split.class_counts.tolist(),
        "curve": curve,
    }
    records = []
    for method in methods:
        stage = getattr(method, "second_stage", None)
        stored = StoredFeatures(train, split.train_y, holdout, split.holdout_y)
        head = (task.head if stage is None else stage(task.head, stored, seed)).eval()
        with torch.no_grad():
            features, logits = head(train, pre_logits=True), head(test)
            if method.corrected:
                scale, strength = calibrate_prior_correction(head(holdout), split.holdout_y, split.class_counts)
                logits = prior_corrected_logits(logits, split.class_counts, scale=scale, strength=strength)
        record = {"method": method.name, **shared, "head_parameters": head.head_parameters()}
        if method.corrected:
            record |= {"correction_scale": scale, "correction_strength": strength}
        record |= collapse(features, split.train_y, head.class_vectors().detach())
        records.append(record | test_scores(logits, split.test_y, split.class_counts, config.thresholds))
    return records


def _curve_recorder(
    task: Task, split: Split, epochs: int, curve: list[dict[str, float]]
) -> Callable[[int, float], None]:
    """Record collapse on the training data after about a dozen of the epochs, the first and the last among them."""
    recorded = {0, 1, 2, *range(4, epochs, max(1, epochs // 10)), epochs - 1}

    def record(epoch: int, loss: float) -> None:
        if epoch in recorded:
            with torch.no_grad():
                features = task.eval().head(backbone_features(task, split.train_x), pre_logits=True)
            measured = collapse(features, split.train_y, task.head.class_vectors().detach())
            curve.append({"epoch": epoch + 1, "loss": loss, **measured})
            task.train()

    return record


def collapse(features: Tensor, labels: Tensor, weight: Tensor) -> dict[str, float]:
    """NC1 to NC3 of the training features at the last epoch, in float64."""
    moments = ClassMoments.empty(weight.shape[0], features.shape[1]).update(features, labels)
    measured = collapse_measures(moments, weight=weight)
    return {key: float(measured[key]) for key in ("nc1", "nc2_equinorm", "nc2_equiangular", "nc3")}


def test_scores(
    logits: Tensor, labels: Tensor, class_counts: np.ndarray, thresholds: tuple[int, int]
) -> dict[str, Any]:
    """Accuracy, balanced accuracy, many/medium/few accuracy and calibration error, all in percent."""
    probabilities = logits.softmax(1)
    predicted = logits.argmax(1)
    per_class = per_class_accuracy(predicted, labels, len(class_counts))
    groups = group_accuracy(per_class, class_groups(class_counts, thresholds))
    confidence = probabilities.max(1).values
    return {
        "accuracy": 100 * float(accuracy(predicted, labels)),
        "balanced_accuracy": 100 * float(balanced_accuracy(per_class)),
        **{name: 100 * float(value) for name, value in groups.items()},
        "ece": 100 * float(expected_calibration_error(confidence, predicted == labels)),
        "per_class": [100 * float(v) for v in per_class],
    }


test_scores.__test__ = False  # a name that pytest would collect
