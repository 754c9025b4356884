"""How many samples each class keeps, which ones, and a validation part: from labels to arrays of indices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal, get_args

import numpy as np

from equiangular._checks import check_choice, check_imbalance_factor, check_int
from equiangular._choices import PROFILES, PROTOCOLS, Profile, Protocol
from equiangular._counted import counted
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
    Where n_max / f is below 1, the smallest class has 1 and the true ratio is n_max. Returns K integers.

    Args:
        n_max: samples of the largest class, at least 1.
        num_classes: K >= 2.
        imbalance_factor: f = n_max / n_min >= 1. The literature also writes its reciprocal, such as 0.01 for 100; that
            is refused with the value to use.
        kind: ``"exp"`` or ``"step"``.

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
    ``min_per_class`` samples for training. Classes with 0 in the result, (K,) int64, are too small to contribute; this
    function is the report of them.

    Args:
        counts: (K,) samples per class.
        fraction: strictly between 0 and 1.
        min_per_class: samples that each class keeps for training, at least 1.

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


class EmptyHoldOutError(ValueError):
    """No class has a sample to spare for the hold-out."""


def holdout_indices(targets: Any, fraction: float, *, seed: int, min_per_class: int = 1) -> np.ndarray:
    """Positions of a stratified hold-out, to be taken out of the training part: the test part is never touched.

    Each class gives the number of samples that :func:`holdout_counts` states, drawn without replacement from a random
    stream of its own. Classes too small give none. Returns ascending int64 positions into ``targets``; the training
    part is :func:`others` of them.

    Args:
        targets: (N,) labels of the training part.
        fraction, min_per_class: as for :func:`holdout_counts`.
        seed: seed of the split, apart from training seeds.

    Raises:
        ValueError: a bad argument, or no class is large enough to give a sample.

    Example:
        >>> labels = np.repeat([0, 1], [50, 5])
        >>> np.bincount(labels[holdout_indices(labels, 0.2, seed=0)])
        array([10,  1])
    """
    labels = label_array(targets)
    check_int(seed, "seed", minimum=0)
    members = class_positions(labels)
    counts = np.bincount(members)
    held = holdout_counts(counts, fraction, min_per_class=min_per_class)
    if not held.any():
        largest = int(counts.max())
        todo = "Hold nothing out" if largest <= min_per_class else "Raise fraction"
        raise EmptyHoldOutError(
            f"a hold-out of {fraction!r} is empty: the largest of {len(counts)} classes has "
            f"{counted(largest, 'sample')} and keeps {min_per_class}. {todo} "
            f"(--validation{' 0' * (largest <= min_per_class)})."
        )
    return draw_by_class(members, held, int(seed), 1)  # the 1: not the stream that cut the subset


def class_positions(labels: np.ndarray) -> np.ndarray:
    """The place of each label among the sorted ones, (N,) int64; small whole numbers are counted, not sorted.

    Example:
        >>> class_positions(np.array([7, 2, 7, 5]))
        array([2, 0, 2, 1])
    """
    if labels.dtype.kind == "i" and labels.min() >= 0 and labels.max() < 4 * len(labels):
        positions: np.ndarray = (np.cumsum(np.bincount(labels) > 0) - 1)[labels]
        return positions
    return np.unique(labels, return_inverse=True)[1]


def others(positions: np.ndarray, size: int) -> np.ndarray:
    """The ascending int64 positions in [0, size) that are none of these.

    Example:
        >>> others(np.array([3, 1]), 5)
        array([0, 2, 4])
    """
    free = np.ones(size, dtype=bool)
    free[positions] = False
    return np.flatnonzero(free)


_FEW = 64  # classes up to which a look through all members for each costs less than sorting them


def _members_of_each(members: np.ndarray, num_classes: int) -> list[np.ndarray]:
    """For each class the ascending positions of its members."""
    order = np.argsort(members, kind="stable")
    bounds = np.searchsorted(members[order], np.arange(num_classes + 1))
    return [order[first:last] for first, last in pairwise(bounds)]


def draw_by_class(members: np.ndarray, wanted: Sequence[int] | np.ndarray, seed: int, *stream: int) -> np.ndarray:
    """Ascending positions of ``wanted[c]`` samples of each class c, of which members has the index of every sample.

    Each class is drawn from without replacement, by a generator of its own, (seed, c, *stream).
    """
    chosen = np.zeros(len(members), dtype=bool)
    grouped = _members_of_each(members, len(wanted)) if len(wanted) > _FEW else None
    members = members if grouped else members.astype(np.int8)  # of which there is a look through all for each class
    for c, number in enumerate(wanted):
        own = np.flatnonzero(members == c) if grouped is None else grouped[c]
        keys = np.random.default_rng([seed, c, *stream]).random(len(own))
        if 0 < number < len(own):  # the smallest keys, of equal ones the first: what a stable sort has in front
            last = np.partition(keys, number - 1)[number - 1]
            equal = np.flatnonzero(keys == last)[: number - int((keys < last).sum())]
            own = own[np.concatenate([np.flatnonzero(keys < last), equal])]
        chosen[own[:number]] = True
    return np.flatnonzero(chosen).astype(np.int64)


Order = Literal["label", "size"]
ORDERS: tuple[Order, ...] = get_args(Order)


def long_tail_indices(
    targets: Any,
    imbalance_factor: float,
    *,
    kind: Profile = "exp",
    n_max: int | None = None,
    seed: int = 0,
    protocol: Protocol = "local",
    order: Order = "label",
) -> np.ndarray:
    """Indices of a long-tailed subset of a labelled set.

    Protocol ``"local"`` keeps n_c = min(profile_c, available_c) samples of class c, where the profile is that of
    :func:`long_tail_counts`. Classes may differ in size. Without ``n_max`` the largest one is taken for which *every*
    class can supply its share, so that the imbalance obtained is the one asked for; with ``n_max`` a class too small
    for its share gives all it has. ``np.bincount(targets[indices])`` or a :class:`SubsetManifest` shows what results.
    Every class has its own random stream, and a smaller share is a part of a larger one: with the same seed the
    subset for factor 200 lies inside the subset for factor 100 wherever both have the same ``n_max``.

    Protocol ``"cao2019"`` is the published CIFAR-LT one, index for index: the legacy NumPy stream of ``seed`` (0 in the
    publication), n_max = N / K, and for each class in label order a shuffle of its samples of which the first n_c stay.
    The stream is a local copy; NumPy's global generator is not touched.

    Returns int64 indices without repetition: ascending for ``"local"``; for ``"cao2019"`` class by class, in the order
    of the published code.

    Args:
        targets: (N,) labels: list, array, tensor or table column of integers or strings.
        imbalance_factor: n_max / n_min >= 1.
        kind: ``"exp"`` or ``"step"``.
        n_max: size of the largest class; ``"local"`` only.
        seed: seed of the subset, in [0, 2**32); keep it apart from training seeds.
        protocol: ``"local"`` or ``"cao2019"``.
        order: which class is largest: ``"label"``, the first label; ``"size"``, the class with most samples (ties in
            label order), which suits data with a long tail of its own. ``"local"`` only.

    Raises:
        ValueError: a bad argument, fewer than two classes, or a class too small for the published protocol.

    Example:
        >>> labels = np.repeat([0, 1, 2], 100)
        >>> chosen = long_tail_indices(labels, 10)
        >>> np.bincount(labels[chosen])
        array([100,  31,  10])

    Source: Cao et al., Learning imbalanced datasets with label-distribution-aware margin loss, NeurIPS 2019.
    """
    labels = label_array(targets)
    check_imbalance_factor(imbalance_factor)
    check_choice(kind, PROFILES, "kind")
    check_choice(protocol, PROTOCOLS, "protocol")
    check_choice(order, ORDERS, "order")
    check_int(seed, "seed", minimum=0)
    if seed >= 2**32:
        raise ValueError(f"seed must be an integer in [0, 2**32), got {seed!r}.")
    classes, members = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        raise ValueError(f"targets must hold at least two classes, got only {classes.tolist()[0]!r}.")
    if protocol == "cao2019":
        if n_max is not None or order != "label":
            raise ValueError(
                f"protocol 'cao2019' fixes n_max = N / K and the label order, got n_max={n_max!r}, order={order!r}. "
                "Leave both out, or use protocol='local'."
            )
        return _cao2019(classes, members, imbalance_factor, kind, int(seed))
    available = np.bincount(members)
    ranking = np.argsort(-available, kind="stable") if order == "size" else np.arange(len(classes))
    shares = profile_shares(len(classes), imbalance_factor, kind=kind)
    if n_max is None:
        n_max = _largest_fit(available[ranking], shares)
    wanted = np.empty_like(available)
    wanted[ranking] = counts_from_shares(check_int(n_max, "n_max", minimum=1), shares)
    return draw_by_class(members, wanted, int(seed))


def _largest_fit(available: np.ndarray, shares: list[float]) -> int:
    """The largest n_max whose profile asks no class for more than it has; 1 at least."""
    n_max = int(min((have + 1) / share for have, share in zip(available, shares, strict=True))) + 1
    while n_max > 1 and (np.array(counts_from_shares(n_max, shares)) > available).any():
        n_max -= 1
    return n_max


def _cao2019(classes: np.ndarray, members: np.ndarray, factor: float, kind: Profile, seed: int) -> np.ndarray:
    """The published procedure; its products are truncated as they come, rounding errors included."""
    n_max = len(members) / len(classes)
    if kind == "step" and len(classes) % 2:
        raise ValueError(
            f"protocol 'cao2019' has no step profile for an odd number of classes, got {len(classes)}: "
            "the published code leaves the last class out. Use protocol='local'."
        )
    stream = np.random.RandomState(seed)  # the published stream; local, not the global one
    chosen = []
    for c, share in enumerate(profile_shares(len(classes), factor, kind=kind)):
        wanted = int(n_max * share)
        own = np.flatnonzero(members == c)
        if not 1 <= wanted <= len(own):
            raise ValueError(
                f"protocol 'cao2019' wants {wanted} samples of class {classes.tolist()[c]!r}, which has {len(own)}: it "
                "supposes classes of equal size, large enough for the imbalance factor. Use protocol='local'."
            )
        stream.shuffle(own)
        chosen.append(own[:wanted])
    return np.concatenate(chosen).astype(np.int64)
