"""Choosing the samples of a long-tailed subset: from an array of labels to an array of indices."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np

from equiangular._checks import check_choice, check_imbalance_factor, check_int
from equiangular._choices import PROFILES, PROTOCOLS, Profile, Protocol
from equiangular.longtail.counts import counts_from_shares, profile_shares
from equiangular.longtail.labels import label_array

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

    Args:
        targets: (N,) labels: list, array, tensor or table column of integers or strings.
        imbalance_factor: n_max / n_min >= 1.
        kind: ``"exp"`` or ``"step"``.
        n_max: size of the largest class; ``"local"`` only.
        seed: seed of the subset, in [0, 2**32); keep it apart from training seeds.
        protocol: ``"local"`` or ``"cao2019"``.
        order: which class is largest: ``"label"``, the first label; ``"size"``, the class with most samples (ties in
            label order), which suits data with a long tail of its own. ``"local"`` only.

    Returns:
        int64 indices without repetition: ascending for ``"local"``; class by class in the order of the published code
        for ``"cao2019"``.

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
    profile = counts_from_shares(check_int(n_max, "n_max", minimum=1), shares)
    chosen = []
    for c, wanted in zip(ranking, profile, strict=True):
        stream = np.random.default_rng([int(seed), int(c)])
        own = np.flatnonzero(members == c)
        chosen.append(own[np.argsort(stream.random(len(own)), kind="stable")[:wanted]])
    return np.sort(np.concatenate(chosen)).astype(np.int64)


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
