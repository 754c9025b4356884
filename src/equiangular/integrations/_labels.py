"""Labels of one type: NumPy makes strings of numbers and strings, and two classes of one."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np

_OF_DTYPE = {"U": "strings", "b": "booleans", "i": "numbers", "u": "numbers", "f": "numbers"}


def plain(label: Any) -> Any:
    """A label as Python has it, for messages and files: 1 for ``np.int64(1)``."""
    return label.item() if isinstance(label, np.generic) else label


def label_kind(labels: Any, what: str) -> str:
    """``"strings"``, ``"numbers"``, ``"booleans"`` or the name of another type that all labels (N,) have.

    Raises:
        ValueError: labels of several kinds.

    Example:
        >>> label_kind(np.array(["a", "b"], dtype=object), "y")
        'strings'
    """
    array = labels if isinstance(labels, np.ndarray) else np.array(list(labels), dtype=object)
    if array.dtype.kind in _OF_DTYPE:
        return _OF_DTYPE[array.dtype.kind]
    if array.dtype.kind not in "OT":
        return str(array.dtype)
    examples = {_kind_of(label): label for label in reversed(array.tolist())}
    if len(examples) > 1:
        shown = " and ".join(f"{kind} such as {plain(label)!r}" for kind, label in sorted(examples.items()))
        raise ValueError(f"{what} has {shown}. Labels must be of one type: convert them, with str() for instance.")
    return next(iter(examples), "strings")


def check_label_kind(labels: np.ndarray, known: np.ndarray, what: str) -> None:
    """Raise if new labels are of another kind than known ones; where there are none of either, all are right.

    Raises:
        ValueError: strings beside numbers, for instance.
    """
    kind = label_kind(labels, what)
    if len(labels) and len(known) and kind != (before := label_kind(known, "classes_")):
        raise ValueError(
            f"{what} has {kind} such as {plain(labels.tolist()[0])!r}, where the classes so far are {before} such as "
            f"{plain(known.tolist()[0])!r}. No label is both, so give them as {before}."
        )


def _kind_of(label: Any) -> str:
    if isinstance(label, (bool, np.bool_)):
        return "booleans"
    if isinstance(label, str):
        return "strings"
    return "numbers" if isinstance(label, Real) else type(label).__name__
