"""What an encoder makes of the classes of a data set, before any classifier: cosines, collapse, a view in 3-D."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from equiangular.data import Dataset
from equiangular.measures.class_view import ClassView, cosine_table
from equiangular.measures.collapse import ClassMoments, collapse_measures

_BATCH = 8192
MOST_COSINES = 60  # classes whose cosines are told pair by pair
MOST_PAIRED = 5_000  # classes of which the closest pairs are looked for: memory is quadratic in them
_CLOSEST = 30


def overview(dataset: Dataset) -> dict[str, Any]:
    """How the classes of a data set of vectors lie, by its training pool; JSON-plain.

    Args:
        dataset: of kind ``"vectors"``, N training vectors of width d in K classes.

    Returns:
        ``name``, ``classes``, ``source``, ``encoder``, ``width``, ``train`` and ``test`` samples of each class;
        ``measures`` of collapse by name, see :func:`equiangular.measures.collapse.collapse_measures`; ``cosines``
        (K, K) of the class means about their mean, empty above 60 classes; ``closest``, the pairs of classes with the
        largest of these cosines, [class, class, cosine], none above 5,000 classes; ``view``, the fields of
        :class:`equiangular.records.View` of one epoch, class means in the place of class vectors.

    Example:
        >>> x, y = torch.eye(4).repeat(2, 1), torch.arange(4).repeat(2)
        >>> data = Dataset("demo", x, y, x, y, tuple("abcd"), "vectors", "made up")
        >>> found = overview(data)
        >>> found["cosines"][0][1], found["closest"][0][2], found["measures"]["nc1_quotient"]
        (-0.333, -0.333, 0.0)
    """
    labels, classes = dataset.train_y, dataset.num_classes
    inputs = torch.as_tensor(dataset.train_x)
    moments = ClassMoments.empty(classes, inputs.shape[1], covariance=False)
    for part in torch.arange(len(labels)).split(_BATCH):
        moments.update(inputs[part].float(), labels[part])
    counts = dataset.train_counts.tolist()
    seen = moments.mean[moments.count > 0].mean(0)
    centred = torch.where(moments.count[:, None] > 0, moments.mean - seen, 0.0)
    view = ClassView(labels, counts)
    view.add(0, inputs, centred)
    places = [view.classes.index(c) for c in labels[view.shown].tolist()]
    test = torch.bincount(dataset.test_y, minlength=classes).tolist()
    return {
        "name": dataset.name,
        "classes": list(dataset.class_names),
        "source": dataset.source,
        "encoder": dict(dataset.encoder or {}),
        "width": inputs.shape[1],
        "train": counts,
        "test": test,
        "measures": {key: float(value) for key, value in collapse_measures(moments).items()},
        "cosines": cosine_table(centred) if classes <= MOST_COSINES else [],
        "closest": _closest_pairs(centred) if classes <= MOST_PAIRED else [],
        "view": {"classes": view.classes, "epochs": view.epochs, "labels": places, **view.project()},
    }


def _closest_pairs(points: Tensor) -> list[list[Any]]:
    """Indices and cosine of the pairs of rows (K, d) with the largest cosines, the largest first."""
    number = len(points)
    unit = torch.nn.functional.normalize(points, dim=1)
    first, second = torch.triu_indices(number, number, offset=1)
    values, where = (unit @ unit.T)[first, second].topk(min(_CLOSEST, len(first)))
    return [[int(first[i]), int(second[i]), round(float(v), 3)] for v, i in zip(values, where, strict=True)]
