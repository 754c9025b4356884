"""The samples of every class, to draw from."""

from __future__ import annotations

from typing import Any

import numpy as np

from equiangular.longtail._labels import label_array


class ClassMembers:
    """The samples of a data set sorted by class, made once.

    Args:
        labels: (N,) integers or strings; classes without samples do not exist.

    Attributes:
        counts: (C,) samples of every class that has any.

    Raises:
        ValueError: no labels.

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
        """Positions of samples, first a class with probability proportional to n_c^power, then one of its samples.

        Args:
            uniform: (num, 2) numbers in [0, 1) that choose the class and the sample.
            power: 1 draws every sample, 0 every class, -1 rare classes more often.

        Returns:
            (num,) int64.

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
