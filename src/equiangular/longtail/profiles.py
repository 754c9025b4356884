"""Class-size profiles: how many samples each class keeps."""

from __future__ import annotations

from typing import Any

from equiangular._checks import check_choice, check_imbalance_factor, check_int
from equiangular._choices import PROFILES, Profile
from equiangular._validate import check_num_classes


def profile_shares(num_classes: int, imbalance_factor: float, *, kind: Profile = "exp") -> list[float]:
    """Sizes of the classes as shares of the largest one, n_c / n_max, before truncation.

    With imbalance factor f and K classes: exponential f^(-c/(K-1)); step 1 for the first ceil(K/2) classes and 1/f for
    the others.

    Args:
        num_classes: K >= 2.
        imbalance_factor: f = n_max / n_min >= 1.
        kind: ``"exp"`` or ``"step"``.

    Returns:
        K floats in (0, 1], not increasing.

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
