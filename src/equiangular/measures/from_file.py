"""All measures of collapse of a feature file, in batches."""

from __future__ import annotations

import torch

from equiangular.longtail import class_groups
from equiangular.measures.collapse import ClassMoments, classifier_agreement, collapse_measures, group_slots
from equiangular.measures.feature_files import FeatureFile


def measure_file(
    data: FeatureFile,
    *,
    global_mean: str = "class",
    groups: bool = False,
    covariance: bool = True,
    batch_size: int = 8192,
) -> dict[str, float]:
    """Measures by name; with logits also NC4, by a second pass over the rows.

    Args:
        data: features, labels and what else the file has.
        global_mean: ``"class"`` or ``"sample"``.
        groups: whether to add the many-, medium- and few-shot classes, by the counts of the labels.
        covariance: whether to compute what needs the d x d covariance.
        batch_size: rows at a time.

    Example:
        >>> data = FeatureFile(torch.eye(3).repeat(2, 1), torch.arange(3).repeat(2), None, None)
        >>> measure_file(data)["nc1"]
        0.0
    """
    classes = max(2, data.num_classes)
    named = class_groups(torch.bincount(data.labels, minlength=classes).numpy()) if groups else None
    slot = group_slots(classes, named) if named else None
    moments = ClassMoments.empty(classes, data.features.shape[1], covariance=covariance, slot=slot)
    chunks = list(zip(data.features.split(batch_size), data.labels.split(batch_size), strict=True))
    for features, labels in chunks:
        moments.update(features, labels)
    measured = collapse_measures(moments, weight=data.weight, global_mean=global_mean, groups=named)
    results = {key: float(value) for key, value in measured.items()}
    if data.logits is not None:
        agreed = sum(
            float(classifier_agreement(h, z.argmax(1), moments.mean, moments.seen)) * len(h)
            for (h, _), z in zip(chunks, data.logits.split(batch_size), strict=True)
        )
        results["nc4"] = agreed / len(data.labels)
    return results
