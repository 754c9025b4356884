"""Statistics of a comparison: confidence intervals, paired tests and the correction for several of them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from equiangular._extras import require

_ENUMERATED = 12  # up to here all 2^n sign patterns are tried


@dataclass(frozen=True)
class PairedComparison:
    """Outcome of :func:`paired_comparison`.

    Attributes:
        mean_difference: mean of a - b.
        ci_low: lower end of the confidence interval of the mean difference.
        ci_high: upper end.
        p_value: two-sided p-value of the test named in ``test``.
        n: number of pairs.
        test: ``"paired t-test"``, or ``"exact sign-flip test"`` where the differences do not vary.
        p_permutation: two-sided p-value of the exact sign-flip test; NaN beyond 12 pairs. It cannot fall below
            2^(1-n): five pairs never reach 0.05.
    """

    mean_difference: float
    ci_low: float
    ci_high: float
    p_value: float
    n: int
    test: str
    p_permutation: float


def mean_ci(values: Any, confidence: float = 0.95) -> tuple[float, float]:
    """Mean and half-width of its confidence interval, mean +- t_{n-1, (1+confidence)/2} s / sqrt(n) (Student's t).

    Returns ``(mean, half_width)``; the half-width is NaN for n = 1.

    Args:
        values: n numbers, one per seed. A NaN makes the result NaN: a group without classes has no mean.
        confidence: level, strictly between 0 and 1.

    Raises:
        ValueError: no values, or a level out of range.
        ImportError: SciPy is missing.

    Example:
        >>> mean, half_width = mean_ci([80.0, 82.0, 84.0])
        >>> f"{mean:.1f} +- {half_width:.2f}"
        '82.0 +- 4.97'
    """
    sample = _sample(values, "values")
    level = check_level(confidence)
    if len(sample) == 1:
        return float(sample[0]), math.nan
    return float(sample.mean()), _half_width(sample, level)


def class_mean_ci(correct: Any, total: Any, confidence: float = 0.95) -> tuple[float, float]:
    """Confidence interval of a balanced accuracy, mean_k p_k, from the hits among the test samples of each class.

    With m classes that have samples, p~_k = (x_k + 2/m) / (n_k + 4/m), n~_k = n_k + 4/m:
    mean_k p~_k +- z (sum_k v_k)^(1/2) / m, v_k = p~_k (1 - p~_k) / (n~_k - 1), cut to [0, 1]. Of a class with one
    sample, whose spread nothing shows, v_k is 1/4, the largest that there is. For one class, m = 1, it is the interval
    of an accuracy. It covers other test samples, not other trainings.

    Args:
        correct: (K,) hits x_k of each class, whole numbers.
        total: (K,) test samples n_k; classes with none are left out.
        confidence: level of the interval, in (0, 1).

    Returns:
        The ends, shares in [0, 1]; NaN where no class has samples.

    Raises:
        ValueError: numbers of different length, more hits than samples, or a level outside (0, 1).

    Example:
        >>> low, high = class_mean_ci([90, 4], [100, 10])
        >>> print(f"{low:.2f} {high:.2f}")
        0.51 0.80

    Source: Price and Bonett, An improved confidence interval for a linear function of binomial proportions,
    Computational Statistics and Data Analysis 45, 2004, with n~_k - 1 where they have n~_k, for many small classes.
    """
    check_level(confidence)
    hits, sizes = np.asarray(correct, dtype=np.float64), np.asarray(total, dtype=np.float64)
    if hits.shape != sizes.shape or hits.ndim != 1 or (hits > sizes).any() or (hits < 0).any():
        raise ValueError(f"correct must have as many hits as total has classes, no more than samples: got {correct!r}.")
    hits, sizes = hits[sizes > 0], sizes[sizes > 0]
    m = len(sizes)
    if not m:
        return float("nan"), float("nan")
    counted = sizes + 4 / m
    share = (hits + 2 / m) / counted
    spread = np.where(sizes > 1, share * (1 - share) / np.maximum(counted - 1, 1e-9), 0.25)
    middle, half = share.mean(), NormalDist().inv_cdf((1 + confidence) / 2) * math.sqrt(spread.sum()) / m
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))


def paired_comparison(a: Any, b: Any, *, confidence: float = 0.95) -> PairedComparison:
    """Compare two methods run on the same seeds and subsets, pair by pair.

    The differences a_i - b_i are tested against mean zero: Student's paired t-test with its confidence interval, and
    for n <= 12 the exact sign-flip permutation test, which supposes no more than symmetric differences. Where all
    differences are equal the t-statistic is infinite or 0/0 and says nothing; then the sign-flip test decides,
    p = 2^(1-n) for a common difference and 1 for none. Returns the mean difference a - b, its interval and p-values.

    Args:
        a: n results of the one method.
        b: n results of the other, in the same order of seeds.
        confidence: level of the interval, strictly between 0 and 1.

    Raises:
        ValueError: lengths that differ, fewer than two pairs, or NaN.
        ImportError: SciPy is missing.

    Example:
        >>> result = paired_comparison([85.0, 84.0, 88.0, 86.0], [80.0, 82.0, 81.0, 83.0])
        >>> result.mean_difference, round(result.p_value, 3), result.p_permutation
        (4.25, 0.031, 0.125)
    """
    first, second = _sample(a, "a"), _sample(b, "b")
    if len(first) != len(second):
        raise ValueError(f"a and b must be paired, got {len(first)} and {len(second)} values: one pair for each seed.")
    if len(first) < 2:
        raise ValueError("a paired test needs at least two pairs, got 1. Run more seeds.")
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        bad = int(np.flatnonzero(~(np.isfinite(first) & np.isfinite(second)))[0])
        raise ValueError(f"pair {bad} is ({first[bad]}, {second[bad]}); leave out pairs that have no result.")
    level = check_level(confidence)
    difference = first - second
    n, mean = len(difference), float(difference.mean())
    rounding = 16 * np.finfo(float).eps * max(np.abs(first).max(), np.abs(second).max())
    if difference.max() - difference.min() <= rounding:
        p_value = 1.0 if abs(mean) <= rounding else 2.0 ** (1 - n)
        exact = p_value if n <= _ENUMERATED else math.nan
        return PairedComparison(mean, mean, mean, p_value, n, "exact sign-flip test", exact)
    half = _half_width(difference, level)
    statistic = abs(mean) / (difference.std(ddof=1) / math.sqrt(n))
    p_value = float(2 * scipy_stats().t.sf(statistic, n - 1))
    return PairedComparison(mean, mean - half, mean + half, p_value, n, "paired t-test", _sign_flip_p(difference))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction of m p-values: valid whatever their dependence, never weaker than Bonferroni's.

    With the p-values in ascending order, p~_(i) = max_{j <= i} min(1, (m - j + 1) p_(j)). Returns m adjusted p-values
    in the order given; compare them with the level itself.

    Args:
        p_values: m numbers in [0, 1].

    Raises:
        ValueError: a value outside [0, 1].

    Example:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]

    Source: Holm, A simple sequentially rejective multiple test procedure, Scand. J. Statist. 6, 1979.
    """
    values = np.asarray(p_values, dtype=float)
    inside = (values >= 0) & (values <= 1)
    if values.ndim != 1 or not inside.all():
        raise ValueError(f"p-values must be numbers in [0, 1], got {list(p_values)}.")
    order = np.argsort(values, kind="stable")
    factors = len(values) - np.arange(len(values))
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(factors * values[order]))
    return [float(p) for p in adjusted]


def _half_width(sample: np.ndarray, level: float) -> float:
    quantile = scipy_stats().t.ppf((1 + level) / 2, len(sample) - 1)
    return float(quantile * sample.std(ddof=1) / math.sqrt(len(sample)))


def _sign_flip_p(difference: np.ndarray) -> float:
    """Share of the 2^n sign patterns whose |mean| reaches the observed one; NaN beyond n = 12."""
    n = len(difference)
    if n > _ENUMERATED:
        return math.nan
    bits = (np.arange(2**n)[:, None] >> np.arange(n)) & 1
    sums = np.abs((1 - 2 * bits) @ difference)
    observed = abs(difference.sum())
    return float(np.mean(sums >= observed - 1e-12 * np.abs(difference).sum()))


def _sample(values: Any, name: str) -> np.ndarray:
    sample = np.asarray(values, dtype=float)
    if sample.ndim != 1 or sample.size == 0:
        raise ValueError(f"{name} must be a non-empty sequence of numbers, one per seed, got shape {sample.shape}.")
    return sample


def check_level(confidence: float) -> float:
    """The level of an interval, checked."""
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie strictly between 0 and 1, got {confidence!r}; 0.95 is usual.")
    return float(confidence)


def scipy_stats() -> Any:
    """``scipy.stats``, or an ImportError that says what brings it."""
    return require("scipy.stats", extra="train", purpose="A confidence interval or test of significance")
