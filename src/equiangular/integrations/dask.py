"""Closed-form classifiers over dask collections: each partition is summed up where it lies. Needs ``[dask]``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from equiangular._extras import require
from equiangular.integrations.closed_form import ClosedFormClassifier

_dask = require("dask", extra="dask", purpose="Fitting over dask collections")
_base = require("sklearn.base", extra="sklearn", purpose="ClosedFormClassifier")

_FAN_IN = 8  # classifiers merged by one task


def partial_fit_dask(
    model: ClosedFormClassifier, X: Any, y: Any | None = None, *, sample_weight: Any | None = None
) -> ClosedFormClassifier:
    """Add the samples of dask collections, in place; returns the model. Calls ``compute`` once.

    Every partition becomes a classifier where it lies, classifiers are merged in a tree, and one of d^2 + K d numbers
    and about a thousand samples travels to the caller: of the kernel kind all samples. It runs on the active
    ``distributed.Client``, a ``LocalCluster`` or a real one, or on threads without one. Partitions may have any order
    and any classes, also none.

    Args:
        model: fitted or not; its parameters are those of the parts.
        X: a dask array (N, d), a dask dataframe of features, or a dask bag of pairs (features (n, d), labels (n,)).
        y: a dask array (N,) or series with the partitions of ``X``; None for a bag.
        sample_weight: a dask array (N,) or series, or None.

    Raises:
        ValueError: partitions that do not match, or no samples.
        ImportError: dask is missing.

    Example:
        >>> import dask.array as da
        >>> x, y = da.from_array(np.eye(4), chunks=(2, 4)), da.from_array(np.array([0, 1, 0, 1]), chunks=2)
        >>> partial_fit_dask(ClosedFormClassifier("class-means"), x, y).class_count_
        array([2., 2.])
    """
    if y is None:
        parts = [(part, None, None) for part in X.to_delayed()]
    else:
        columns = [_partitions(c, X) for c in (X, y)]
        weights = [None] * len(columns[0]) if sample_weight is None else _partitions(sample_weight, X)
        if not len(columns[0]) == len(columns[1]) == len(weights):
            raise ValueError(
                f"X has {len(columns[0])} partitions, y {len(columns[1])} and sample_weight {len(weights)}. Make them "
                "alike with rechunk or repartition."
            )
        parts = list(zip(*columns, weights, strict=True))
    start = _base.clone(model)
    level = [_dask.delayed(_fit)(start, *part) for part in parts]
    while len(level) > 1:
        level = [_dask.delayed(_merge)(start, level[i : i + _FAN_IN]) for i in range(0, len(level), _FAN_IN)]
    (found,) = _dask.compute(*level) if level else (None,)
    if found is None:
        raise ValueError("the dask collections have no samples. Look at their partitions.")
    return model.merge(found)


def _partitions(collection: Any, like: Any) -> list[Any]:
    """The partitions of a dask array or dataframe, as delayed values."""
    if hasattr(collection, "chunks") and collection.ndim == 2 and len(collection.chunks[1]) > 1:
        collection = collection.rechunk({1: -1})
    rows = getattr(like, "chunks", None)
    if rows is not None and getattr(collection, "chunks", None) and collection.chunks[0] != rows[0]:
        if np.isnan(rows[0]).any() or sum(rows[0]) != collection.shape[0]:
            raise ValueError(f"X has {like.shape[0]} rows in other chunks than the {collection.shape[0]} beside it.")
        collection = collection.rechunk({0: rows[0]})
    return list(np.ravel(collection.to_delayed()))


def _fit(start: ClosedFormClassifier, x: Any, y: Any | None, weight: Any | None) -> ClosedFormClassifier | None:
    blocks: Iterable[tuple[Any, Any]] = x if y is None else [(x, y)]
    model = _base.clone(start)
    for features, labels in blocks:
        if len(labels):
            model.partial_fit(
                features, np.asarray(labels), sample_weight=None if weight is None else np.asarray(weight)
            )
    return model if hasattr(model, "classes_") else None


def _merge(start: ClosedFormClassifier, parts: list[ClosedFormClassifier | None]) -> ClosedFormClassifier | None:
    """Into a new one: dask may run a task again, on parts that must not have changed."""
    model = _base.clone(start)
    for part in parts:
        if part is not None:
            model.merge(part)
    return model if hasattr(model, "classes_") else None
