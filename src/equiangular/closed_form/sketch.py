"""A sample of the samples that does not depend on their order: the ones of smallest hash in every class."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CAPACITY = 1024  # samples kept in all; each class has an equal share, and at least one
Floats = NDArray[np.float64]
Hashes = NDArray[np.uint64]
Labels = NDArray[np.int64]
_LAST = np.uint64(2**64 - 1)


def content_hashes(rows: Floats) -> Hashes:
    """One 64-bit number a row (B, d), a function of its float64 values alone: a linear hash, then splitmix64's mixing.

    The upper bits are folded into the lower: those of whole numbers and other coarse values are all at the top, where a
    product keeps no more than 16 of them, and two rows of 300 would have one hash.

    Source of the mixing: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
    """
    bits = np.ascontiguousarray(rows + 0.0).view(np.uint64)  # + 0.0: -0 equals 0
    bits ^= bits >> np.uint64(32)
    bits ^= bits >> np.uint64(16)
    return _mix(bits @ (_mix(np.arange(1, rows.shape[1] + 1, dtype=np.uint64)) | np.uint64(1)))


def _mix(z: Hashes) -> Hashes:
    z = z * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: Hashes = z ^ (z >> np.uint64(31))
    return mixed


@dataclass
class Sketch:
    """Every present sample whose hash is below its class's threshold, with the weight it has in all.

    A threshold falls to the smallest hash that had to go for want of room, and never rises. So what is kept is a
    function of the samples that were ever present at once, whatever their order, batches and shards; and a sample
    that is removed and added again comes back. This is a bottom-k sketch of every class.

    Attributes:
        hashes: (M,) uint64, in ascending order within ascending labels.
        labels: (M,) int64.
        rows: (M, d) float64.
        weights: (M,) float64, above 0: the sum over equal samples.
        thresholds: (K,) uint64.
        whole: whether every present sample below its threshold is here: not of a file that was written with other
            hashes. Then the sketch cannot tell what was never added.

    Source: Cohen and Kaplan, "Summarizing data using bottom-k sketches", PODC 2007.
    """

    hashes: Hashes
    labels: Labels
    rows: Floats
    weights: Floats
    thresholds: Hashes
    whole: bool = True

    @classmethod
    def empty(cls, num_classes: int, dim: int) -> Sketch:
        """A sketch of no samples."""
        none = np.zeros(0)
        return cls(none.astype(np.uint64), none.astype(np.int64), np.zeros((0, dim)), none, np.full(num_classes, _LAST))

    def grow(self, num_classes: int) -> None:
        """Make room for more classes, at the end."""
        more = num_classes - len(self.thresholds)
        self.thresholds = np.concatenate([self.thresholds, np.full(more, _LAST)])

    def candidates(self, rows: Floats, labels: Labels, weights: Floats, share: int) -> Sketch:
        """What a batch can add: its samples below the thresholds, at most ``share`` of a class."""
        hashes = content_hashes(rows)
        low = np.flatnonzero(hashes < self.thresholds[labels])
        found = Sketch(hashes[low], labels[low], low, weights[low], self.thresholds.copy())  # type: ignore[arg-type]
        found.trim(share)  # on row numbers, so that few rows are copied
        found.rows = rows[found.rows.astype(np.int64)]
        return found

    def add(self, others: list[Sketch], share: int) -> None:
        """Take in other sketches and keep ``share`` samples of a class."""
        parts = [dataclasses.replace(self), *others]
        self.whole = all(part.whole for part in parts)
        self.thresholds = np.minimum.reduce([part.thresholds for part in parts])
        keys = [np.concatenate([getattr(part, name) for part in parts]) for name in ("hashes", "labels", "weights")]
        low = np.flatnonzero(keys[0] < self.thresholds[keys[1]])
        self.hashes, self.labels, self.weights = (key[low] for key in keys)
        self.rows = low  # type: ignore[assignment]
        self.trim(share)  # on row numbers, so that rows are copied once
        chosen, rows, start = self.rows, np.empty((len(self.rows), parts[0].rows.shape[1])), 0
        for part in parts:
            mine = (chosen >= start) & (chosen < start + len(part.rows))
            rows[mine] = part.rows[chosen[mine].astype(np.int64) - start]
            start += len(part.rows)
        self.rows = rows

    def trim(self, share: int) -> None:
        """Add up equal samples, and keep the ``share`` smallest hashes of every class."""
        self._keep(np.lexsort((self.hashes, self.labels)))
        if not len(self.hashes):
            return
        first = np.ones(len(self.hashes), dtype=bool)
        first[1:] = (self.hashes[1:] != self.hashes[:-1]) | (self.labels[1:] != self.labels[:-1])
        starts = np.flatnonzero(first)
        weights = np.add.reduceat(self.weights, starts)
        self._keep(starts)
        self.weights = weights
        start = np.searchsorted(self.labels, self.labels)
        rank = np.arange(len(self.labels)) - start
        dropped = rank >= share
        if dropped.any():
            np.minimum.at(self.thresholds, self.labels[dropped], self.hashes[dropped])
            self._keep(np.flatnonzero(~dropped))

    def find(self, hashes: Hashes, labels: Labels, weights: Floats) -> Labels:
        """Where samples to be taken out are kept, (B,) int64: -1 for those above the threshold.

        Raises:
            ValueError: one is below its class's threshold and not here, so it is not present; or it is, with less
                weight than is to go.
        """
        order = {(label, value): i for i, (label, value) in enumerate(zip(self.labels, self.hashes, strict=True))}
        place = np.array([order.get(key, -1) for key in zip(labels, hashes, strict=True)], dtype=np.int64)
        if not self.whole:
            return place
        missing = (place < 0) & (hashes < self.thresholds[labels])
        if missing.any():
            raise ValueError(f"Row {int(np.flatnonzero(missing)[0])} was never added under its label.")
        kept = place >= 0
        gone = np.zeros_like(self.weights)
        np.add.at(gone, place[kept], weights[kept])
        if (over := gone > self.weights * (1 + 1e-9)).any():
            row = int(np.flatnonzero(kept & over[place])[0])
            there, wanted = self.weights[place[row]], gone[place[row]]
            raise ValueError(f"Row {row} is there with a weight of {there:g} in all, and {wanted:g} of it were to go.")
        return place

    def take_out(self, place: Labels, weights: Floats) -> None:
        """Reduce the weights of what :meth:`find` found."""
        kept = place >= 0
        np.subtract.at(self.weights, place[kept], weights[kept])
        largest = np.zeros_like(self.weights)
        np.maximum.at(largest, place[kept], weights[kept])
        self._keep(np.flatnonzero(self.weights > 1e-9 * largest))

    def _keep(self, index: Labels) -> None:
        self.hashes, self.labels = self.hashes[index], self.labels[index]
        self.rows, self.weights = self.rows[index], self.weights[index]
