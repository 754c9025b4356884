"""One paired run: the subset, the training of one method, and everything measured on it, as JSON-plain values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from equiangular.compare.config import CompareConfig
from equiangular.data import Dataset
from equiangular.data.split import Split, make_split
from equiangular.measures.collapse import ClassMoments, collapse_measures
from equiangular.posthoc import calibrate_prior_correction, prior_corrected_logits
from equiangular.training import Method, Task, backbone_features, build_task, default_backbone, fit, predict
from equiangular.training.run.class_means import means_for
from equiangular.training.run.outcome import final_head, stored_features
from equiangular.training.run.scoring import score


def run_split(dataset: Dataset, config: CompareConfig, seed: int) -> Split:
    """The parts of the run with training seed ``seed``."""
    return make_split(
        dataset,
        imbalance=config.imbalance,
        profile=config.profile,
        protocol=config.protocol,
        subset_seed=config.subset_seed_of(seed),
        holdout=config.holdout,
    )


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
    split = run_split(dataset, config, seed)
    name = methods[0].training_name
    shape = tuple(split.train_x.shape[1:])
    backbone = default_backbone(dataset.kind, shape) if config.backbone == "auto" else config.backbone
    method = config.trained_method(methods[0])
    means = means_for(method, dataset.kind, split)
    task = build_task(
        method, backbone, shape, dataset.num_classes, width=config.width, seed=seed, class_means=means
    )
    budget = config.budget.with_changes(**getattr(method, "budget_changes", {}))
    curve: list[dict[str, float]] = []
    recorder = _curve_recorder(task, split, budget.epochs, curve) if seed == 0 else None
    prepared = {"prepare": split.standardise, "seed": seed, "hardware": config.hardware}
    fitted = fit(task, split.train_x, split.train_y, budget, on_epoch=recorder, **prepared)
    task, workers = fitted.task, config.hardware.workers
    stored = stored_features(task, split, workers=workers)
    test = backbone_features(task, split.test_x, prepare=split.standardise, workers=workers)
    task = task.cpu()
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
        head = final_head(method, task.head, stored, seed)
        with torch.no_grad():
            features, logits = head(stored.features, pre_logits=True), head(test)
            if method.corrected:
                held = head(stored.held_out)
                scale, strength = calibrate_prior_correction(held, split.holdout_y, split.class_counts)
                logits = prior_corrected_logits(logits, split.class_counts, scale=scale, strength=strength)
        record = {"method": method.name, **shared, "head_parameters": head.head_parameters()}
        if method.corrected:
            record |= {"correction_scale": scale, "correction_strength": strength}
        record |= collapse(features, split.train_y, head.class_vectors().detach())
        records.append(record | score(logits, split.test_y, split.class_counts, config.thresholds))
    return records


def _curve_recorder(
    task: Task, split: Split, epochs: int, curve: list[dict[str, float]]
) -> Callable[[int, float], None]:
    """Record collapse on the training data after about a dozen of the epochs, the first and the last among them."""
    recorded = {0, 1, 2, *range(4, epochs, max(1, epochs // 10)), epochs - 1}

    def record(epoch: int, loss: float) -> None:
        if epoch in recorded:
            features, _ = predict(task, split.train_x, prepare=split.standardise)
            measured = collapse(features, split.train_y, task.head.class_vectors().detach().cpu())
            curve.append({"epoch": epoch + 1, "loss": loss, **measured})

    return record


def collapse(features: Tensor, labels: Tensor, weight: Tensor) -> dict[str, float]:
    """NC1 to NC3 of the training features at the last epoch, in float64."""
    moments = ClassMoments.empty(weight.shape[0], features.shape[1]).update(features, labels)
    measured = collapse_measures(moments, weight=weight)
    return {key: float(measured[key]) for key in ("nc1", "nc2_equinorm", "nc2_equiangular", "nc3")}
