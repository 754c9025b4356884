"""The mean input of every class of the training data, for class vectors that follow them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from equiangular.data.split import Split, as_float
from equiangular.data.stream import stream_batches
from equiangular.measures.collapse import ClassMoments
from equiangular.training.methods import Method

_BATCH = 1024


def class_means(inputs: Any, labels: Tensor, num_classes: int, prepare: Callable[[Tensor], Tensor]) -> Tensor:
    """Means of the flattened inputs by class, in one pass.

    Args:
        inputs: (N, ...) images of bytes or rows of floats: a tensor, or what is indexed like one.
        labels: (N,) int64 in [0, K).
        num_classes: K.
        prepare: makes floats of a batch of inputs.

    Returns:
        (K, p) float64 on the CPU; zeros for a class without samples.

    Example:
        >>> x, y = torch.tensor([[1.0], [3.0], [5.0]]), torch.tensor([0, 0, 1])
        >>> class_means(x, y, 2, prepare=lambda batch: batch).tolist()
        [[2.0], [5.0]]
    """
    parts = torch.arange(len(labels)).split(_BATCH)
    width = math.prod(inputs.shape[1:])
    moments = ClassMoments.empty(num_classes, width, covariance=False, dtype=torch.float64)
    for part, batch in zip(parts, stream_batches(inputs, iter(parts)), strict=True):
        moments.update(prepare(batch).flatten(1).cpu(), labels[part].cpu())
    return moments.mean


def means_for(method: Method, kind: str, split: Split) -> Tensor | None:
    """The class means of a run's training part, for a method whose class vectors follow them; None for others.

    Texts and images are taken as they are, which keeps the weights of their terms; columns of tables are standardised,
    since each has a unit of its own.

    Args:
        method: the method.
        kind: ``"image"``, ``"text"`` or ``"table"``.
        split: the parts of the run.
    """
    if method.similarity is None or kind not in method.similar_for:
        return None
    prepare = split.standardise if kind == "table" else as_float
    return class_means(split.train_x, split.train_y, len(split.class_counts), prepare)
