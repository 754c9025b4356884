"""How many samples each class keeps: long-tailed profiles, and a validation part taken class by class."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from equiangular._checks import check_choice, check_imbalance_factor, check_int
from equiangular._choices import PROFILES, Profile
from equiangular._validate import check_num_classes
from equiangular.longtail.labels import label_array


def profile_shares(num_classes: int, imbalance_factor: float, *, kind: Profile = "exp") -> list[float]:
    """Sizes of the classes as shares of the largest one, n_c / n_max, before truncation: K floats, not increasing.

    With imbalance factor f and K classes: exponential f^(-c/(K-1)); step 1 for the first ceil(K/2) classes and 1/f for
    the others.

    Example:
        >>> profile_shares(3, 100)
        [1.0, 0.1, 0.01]
    """
    classes = check_num_classes(num_classes)
    smallest = 1 / check_imbalance_factor(imbalance_factor)  # 1 / 100 is the very double 0.01 of the published code
    check_choice(kind, PROFILES, "kind")
    if kind == "step":
        majority = classes - classes // 2
        return [1.0] * majority + [smallest] * (classes - majority)
    return [smallest ** (c / (classes - 1.0)) for c in range(classes)]


def long_tail_counts(n_max: Any, num_classes: int, imbalance_factor: float, *, kind: Profile = "exp") -> list[int]:
    """Samples per class of a long-tailed set, the largest class first.

    Exponential profile (Cui et al., CVPR 2019; Cao et al., NeurIPS 2019): n_c = floor(n_max f^(-c/(K-1))).
    Step profile (Buda et al., 2018): n_max for the first half of the classes, floor(n_max / f) for the second; with odd
    K the first half is the larger one. No class falls below one sample.

    The floor is that of the exact formula: a product that misses a whole number by a rounding error counts as whole.

    Args:
        n_max: samples of the largest class, at least 1.
        num_classes: K >= 2.
        imbalance_factor: f = n_max / n_min >= 1. The literature also writes its reciprocal, such as 0.01 for 100; that
            is refused with the value to use.
        kind: ``"exp"`` or ``"step"``.

    Returns:
        K integers. Where n_max / f is below 1, the smallest class has 1 and the true ratio is n_max.

    Raises:
        ValueError: an argument is out of range.

    Example:
        >>> long_tail_counts(5000, 10, 100)
        [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]
        >>> long_tail_counts(5000, 4, 100, kind="step")
        [5000, 5000, 50, 50]
    """
    largest = check_int(n_max, "n_max", minimum=1, hint="It is the size of the largest class.")
    return counts_from_shares(largest, profile_shares(num_classes, imbalance_factor, kind=kind))


def counts_from_shares(n_max: int, shares: list[float]) -> list[int]:
    """floor(n_max share) of every class, at least 1; forgiving of rounding errors of the product."""
    return [max(1, int(n_max * share * (1 + 1e-12))) for share in shares]


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
        fraction, min_per_class: as for :func:`holdout_counts`.
        seed: seed of the split, apart from training seeds.

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
