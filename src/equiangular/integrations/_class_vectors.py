"""Class vectors as scikit-learn estimators take them: a mapping from label to vector."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from equiangular.integrations._arrays import numpy_of
from equiangular.integrations._labels import label_kind, plain


def class_vector_rows(vectors: Any, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows (P, width) float64 and their labels (P,) of a mapping from label to a vector or several.

    Raises:
        ValueError: no mapping, an empty one, labels of several types, or a vector of another width, with NaN
            or of zeros.
    """
    if not isinstance(vectors, Mapping) or not vectors:
        raise ValueError(
            f"class_vectors must map each class to its vector, got {type(vectors).__name__}. "
            "Pass dict(zip(classes, vectors)), for instance."
        )
    rows, labels = [], []
    for label, given in vectors.items():
        found = np.atleast_2d(np.asarray(numpy_of(given), dtype=np.float64))
        if found.ndim != 2 or found.shape[1] != width or not len(found) or not np.isfinite(found).all():
            raise ValueError(
                f"class_vectors of the class {plain(label)!r} must be {width} finite numbers, as the features are, or "
                f"rows of them; got shape {np.shape(given)}. Use the encoder that made the features."
            )
        if not found.any(1).all():
            raise ValueError(
                f"class_vectors of the class {plain(label)!r} has a vector of zeros, which says nothing of the class. "
                "Leave the class out, or give what the encoder makes of its name."
            )
        rows.append(found)
        labels += [label] * len(found)
    label_kind(labels, "class_vectors")
    return np.concatenate(rows), np.asarray(labels)
