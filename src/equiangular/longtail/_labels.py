"""Checks that the files of this package share: label arrays and imbalance factors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def label_array(targets: Any, *, name: str = "targets") -> np.ndarray:
    """Return labels as a (N,) array: a list, an array, a tensor on any device, a column of a table.

    Args:
        targets: N labels: integers, booleans or strings; floats only where each is a whole number.
        name: what to call it in a message.

    Returns:
        (N,) array: int64, or a string array as it came.

    Raises:
        ValueError: empty, not one-dimensional, or not labels.

    Example:
        >>> label_array([2.0, 0.0])
        array([2, 0])
    """
    if hasattr(targets, "detach"):
        targets = targets.detach().cpu()
    labels = np.asarray(targets)
    if labels.ndim != 1:
        raise ValueError(f"{name} must hold one label per sample, shape (N,), got shape {labels.shape}.")
    if labels.size == 0:
        raise ValueError(f"{name} is empty: there is nothing to choose from.")
    if labels.dtype.kind in "iub":
        return labels.astype(np.int64)
    if labels.dtype.kind == "f":
        whole = np.isfinite(labels) & (labels == np.floor(labels))
        if whole.all():
            return labels.astype(np.int64)
        row = int(np.flatnonzero(~whole)[0])
        raise ValueError(f"{name} must hold class labels, got {labels[row]} at position {row}. Pass the class indices.")
    if labels.dtype.kind == "U" or all(isinstance(label, str) for label in labels):
        return labels.astype(str)
    raise ValueError(f"{name} must hold integers or strings, got dtype {labels.dtype}.")


def check_imbalance_factor(value: Any) -> float:
    """Return the imbalance factor n_max / n_min as a finite float of at least 1.

    Raises:
        ValueError: below 1 or not a number. For a value in (0, 1) the message suggests the reciprocal.

    Example:
        >>> check_imbalance_factor(100)
        100.0
    """
    try:
        factor = math.nan if isinstance(value, (bool, str)) else float(value)
    except (TypeError, ValueError):
        factor = math.nan
    if 0 < factor < 1:
        raise ValueError(
            f"imbalance_factor is n_max / n_min and at least 1, got {value!r}: "
            f"{value!r} looks like the reciprocal; use {1 / factor:g}."
        )
    if not (math.isfinite(factor) and factor >= 1):
        raise ValueError(
            f"imbalance_factor is n_max / n_min, a finite number of at least 1, got {value!r}. "
            "Use 1 for balanced classes and, for instance, 100 for a hundred to one."
        )
    return factor
