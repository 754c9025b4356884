"""A validation part taken from the training part, class by class."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from equiangular._validate import check_int
from equiangular.longtail._labels import label_array


def holdout_counts(counts: Any, fraction: float, *, min_per_class: int = 1) -> np.ndarray:
    """How many samples of each class are held out.

    h_c = min(floor(fraction n_c), n_c - min_per_class), and not below 0: proportional, and every class keeps at least
    ``min_per_class`` samples for training. Classes with 0 in the result are too small to contribute; this function is
    the report of them.

    Args:
        counts: (K,) samples per class.
        fraction: strictly between 0 and 1.
        min_per_class: samples that each class keeps for training, at least 1.

    Returns:
        (K,) int64.

    Raises:
        ValueError: an argument is out of range.

    Example:
        >>> holdout_counts([100, 5, 4], 0.2)
        array([20,  1,  0])
    """
    if isinstance(fraction, (bool, str)) or not 0 < float(fraction) < 1:
        raise ValueError(f"fraction must lie strictly between 0 and 1, got {fraction!r}; 0.2 holds out a fifth.")
    keep = check_int(min_per_class, "min_per_class", minimum=1, hint="Each class keeps a training sample.")
    held = [max(0, min(math.floor(fraction * n + 1e-9), int(n) - keep)) for n in counts]
    return np.array(held, dtype=np.int64)


def holdout_indices(targets: Any, fraction: float, *, seed: int, min_per_class: int = 1) -> np.ndarray:
    """Positions of a stratified hold-out, to be taken out of the training part: the test part is never touched.

    Each class gives the number of samples that :func:`holdout_counts` states, drawn without replacement from a random
    stream of its own. Classes too small give none.

    Args:
        targets: (N,) labels of the training part.
        fraction: share of each class, strictly between 0 and 1.
        seed: seed of the split, apart from training seeds.
        min_per_class: samples that each class keeps for training.

    Returns:
        Ascending int64 positions into ``targets``; the training part is ``np.setdiff1d(np.arange(N), positions)``.

    Raises:
        ValueError: a bad argument, or no class is large enough to give a sample.

    Example:
        >>> labels = np.repeat([0, 1], [50, 5])
        >>> np.bincount(labels[holdout_indices(labels, 0.2, seed=0)])
        array([10,  1])
    """
    labels = label_array(targets)
    check_int(seed, "seed", minimum=0)
    _, members = np.unique(labels, return_inverse=True)
    counts = np.bincount(members)
    held = holdout_counts(counts, fraction, min_per_class=min_per_class)
    if not held.any():
        raise ValueError(
            f"a hold-out of {fraction!r} is empty: the largest of {len(counts)} classes has {counts.max()} samples and "
            f"keeps {min_per_class}. Raise fraction."
        )
    chosen = []
    for c, wanted in enumerate(held):
        own = np.flatnonzero(members == c)
        stream = np.random.default_rng([int(seed), c, 1])  # the 1: not the stream that cut the subset
        chosen.append(own[np.argsort(stream.random(len(own)), kind="stable")[:wanted]])
    return np.sort(np.concatenate(chosen)).astype(np.int64)
