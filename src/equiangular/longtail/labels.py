"""Labels of a training set: checked, as positions of every class, in groups many, medium and few."""

from __future__ import annotations

from typing import Any

import numpy as np


def label_array(targets: Any, *, name: str = "targets") -> np.ndarray:
    """Labels as a (N,) array, int64 or of strings: a list, an array, a tensor on any device, a column of a table.

    Floats are taken where each is a whole number; ``name`` is what a message calls the labels.

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


class ClassMembers:
    """The samples of a data set sorted by class, made once from labels (N,): integers or strings, at least one.

    ``counts`` (C,) are the samples of every class that has any.

    Example:
        >>> members = ClassMembers([7, 7, 7, 2])
        >>> members.counts.tolist(), members.count_of([2, 7]).tolist()
        ([1, 3], [1, 3])
    """

    def __init__(self, labels: Any) -> None:
        self._classes, self._class, self.counts = np.unique(
            label_array(labels, name="labels"), return_inverse=True, return_counts=True
        )
        self._order = np.argsort(self._class, kind="stable")
        self._first = np.cumsum(self.counts) - self.counts

    def __len__(self) -> int:
        """N."""
        return len(self._order)

    def draw(self, uniform: np.ndarray, power: float) -> np.ndarray:
        """Draw samples, first a class with probability proportional to n_c^power, then one of its samples.

        Returns positions, (num,) int64.

        Args:
            uniform: (num, 2) numbers in [0, 1) that choose the class and the sample.
            power: 1 draws every sample, 0 every class, -1 rare classes more often.

        Example:
            >>> ClassMembers([0, 0, 0, 1]).draw(np.array([[0.4, 0.9], [0.6, 0.0]]), power=0.0)
            array([2, 3])
        """
        cumulative = np.cumsum(self.counts.astype(np.float64) ** power)
        chosen = np.searchsorted(cumulative / cumulative[-1], uniform[:, 0], side="right")
        chosen = chosen.clip(max=len(self.counts) - 1)
        place = (uniform[:, 1] * self.counts[chosen]).astype(np.int64)
        positions: np.ndarray = self._order[self._first[chosen] + place]
        return positions

    def count_of(self, labels: Any) -> np.ndarray:
        """Samples of the class of each of these labels, which must occur in the data."""
        counts: np.ndarray = self.counts[np.searchsorted(self._classes, np.asarray(labels))]
        return counts

    def counts_at(self, positions: Any) -> np.ndarray:
        """Samples of the class of each sample at these positions."""
        counts: np.ndarray = self.counts[self._class[np.asarray(positions)]]
        return counts


GROUP_NAMES = ("many", "medium", "few")


def class_groups(counts: Any, thresholds: tuple[int, int] = (20, 100)) -> dict[str, np.ndarray]:
    """Group class indices by training-set size: ``{"many", "medium", "few"}`` to ascending int64 indices, maybe none.

    many: n_c > high; medium: low <= n_c <= high; few: n_c < low (Liu et al., CVPR 2019). Counts decide, not index
    ranges, so that the groups stay right for every imbalance factor and after a hold-out.

    Args:
        counts: (K,) training samples per class, array or tensor; 0 for a class that is absent.
        thresholds: (low, high) with 0 < low <= high.

    Raises:
        ValueError: negative or non-numeric counts, or thresholds out of order.

    Example:
        >>> class_groups([500, 100, 20, 3])
        {'many': array([0]), 'medium': array([1, 2]), 'few': array([3])}
    """
    if hasattr(counts, "detach"):
        counts = counts.detach().cpu()
    sizes = np.asarray(counts)
    if sizes.ndim != 1 or sizes.size == 0 or sizes.dtype.kind not in "iuf":
        raise ValueError(f"counts must be K numbers, one per class, got shape {sizes.shape} and dtype {sizes.dtype}.")
    if not (np.isfinite(sizes).all() and (sizes >= 0).all()):
        bad = int(np.flatnonzero(~(np.isfinite(sizes) & (sizes >= 0)))[0])
        raise ValueError(f"counts must be finite and not negative, got {sizes[bad]} for class {bad}.")
    try:
        low, high = thresholds
    except (TypeError, ValueError) as error:
        raise ValueError(f"thresholds must be a pair (low, high), got {thresholds!r}.") from error
    if not 0 < low <= high:
        raise ValueError(f"thresholds must satisfy 0 < low <= high, got {thresholds!r}; (20, 100) is the usual pair.")
    masks = (sizes > high, (sizes >= low) & (sizes <= high), sizes < low)
    return {name: np.flatnonzero(mask) for name, mask in zip(GROUP_NAMES, masks, strict=True)}
