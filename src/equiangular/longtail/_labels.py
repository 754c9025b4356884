"""Label arrays, as every file of this package takes them."""

from __future__ import annotations

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
