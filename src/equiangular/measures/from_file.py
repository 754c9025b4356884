"""All measures of collapse of a feature file, in batches."""

from __future__ import annotations

from typing import Any

import torch

from equiangular.longtail import class_groups
from equiangular.measures.collapse.means import GlobalMean
from equiangular.measures.feature_files import FeatureFile
from equiangular.measures.neural_collapse import NeuralCollapse


def measure_file(
    data: FeatureFile,
    *,
    global_mean: GlobalMean = "class",
    groups: bool = False,
    covariance: bool = True,
    batch_size: int = 8192,
) -> dict[str, float]:
    """Measures by name; with logits also NC4, by a second pass over the rows, and with unknown samples NC5.

    Args:
        data: features, labels and what else the file has.
        global_mean: ``"class"`` or ``"sample"``.
        groups: whether to add the many-, medium- and few-shot classes, by the counts of the labels.
        covariance: whether to compute what needs the d x d covariance.
        batch_size: rows at a time.

    Example:
        >>> data = FeatureFile(torch.eye(3).repeat(2, 1), torch.arange(3).repeat(2))
        >>> measure_file(data)["nc1"]
        0.0
    """
    classes = max(2, data.num_classes)
    options: dict[str, Any] = {"weight": data.weight, "global_mean": global_mean, "covariance": covariance}
    if groups:
        options["groups"] = class_groups(torch.bincount(data.labels, minlength=classes).numpy())
    metric = NeuralCollapse(classes, data.features.shape[1], **options)
    chunks = list(zip(data.features.split(batch_size), data.labels.split(batch_size), strict=True))
    for features, labels in chunks:
        metric.update(features, labels)
    if data.ood_features is not None:
        for features in data.ood_features.split(batch_size):
            metric.update_ood(features)
    results = metric.compute()
    if data.logits is not None:
        options |= {"reference_means": metric.class_means(), "covariance": False}
        second = NeuralCollapse(classes, data.features.shape[1], **options)
        for (features, labels), logits in zip(chunks, data.logits.split(batch_size), strict=True):
            second.update(features, labels, logits)
        results |= second.agreement()
    return {key: float(value) for key, value in results.items()}
