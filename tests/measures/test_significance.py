from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from equiangular.measures import class_mean_ci, holm, mean_ci, paired_comparison

scores = st.floats(0, 100, allow_nan=False).map(lambda v: round(v, 3))


@settings(deadline=None)
@given(st.lists(scores, min_size=2, max_size=20), st.sampled_from([0.8, 0.95, 0.99]))
def test_mean_ci_against_scipy(values, confidence):
    assume(np.ptp(values) > 0)
    mean, half = mean_ci(values, confidence)
    low, high = stats.t.interval(confidence, len(values) - 1, loc=np.mean(values), scale=stats.sem(values))
    assert (mean - half, mean + half) == pytest.approx((low, high), abs=1e-9)


def test_mean_ci_edges():
    assert mean_ci([80.0, 82.0, 84.0])[1] == pytest.approx(4.302652729911275 * 2 / math.sqrt(3))  # t table, 2 d.f.
    assert mean_ci([5.0, 5.0]) == (5.0, 0.0)
    mean, half = mean_ci([3.0])
    assert mean == 3
    assert math.isnan(half)
    assert all(math.isnan(v) for v in mean_ci([1.0, math.nan]))


def test_mean_ci_covers_at_its_level():
    draws = np.random.default_rng(0).normal(10, 3, size=(2000, 5))
    hits = sum(abs(mean - 10) <= half for mean, half in map(mean_ci, draws))
    assert 0.935 <= hits / 2000 <= 0.965  # three standard errors


@settings(deadline=None)
@given(st.lists(st.tuples(scores, scores), min_size=2, max_size=16))
def test_paired_comparison_against_scipy(pairs):
    a, b = np.array(pairs).T
    assume(np.ptp(a - b) > 1e-6)
    result = paired_comparison(a, b)
    theirs = stats.ttest_rel(a, b)
    interval = theirs.confidence_interval(0.95)
    assert result.p_value == pytest.approx(theirs.pvalue, rel=1e-6, abs=1e-12)
    assert (result.ci_low, result.ci_high) == pytest.approx((interval.low, interval.high), abs=1e-9)
    assert result.mean_difference == pytest.approx(np.mean(a - b), abs=1e-12)
    assert (result.n, result.test) == (len(pairs), "paired t-test")


@pytest.mark.parametrize("n", [2, 5, 8])
def test_sign_flip_by_enumeration(n):
    rng = np.random.default_rng(n)
    a, b = rng.normal(1, 1, n), rng.normal(0, 1, n)
    sums = [abs(np.dot(signs, a - b)) for signs in itertools.product([1, -1], repeat=n)]
    expected = sum(s >= abs((a - b).sum()) - 1e-12 for s in sums) / 2**n
    assert paired_comparison(a, b).p_permutation == pytest.approx(expected)


def test_sign_flip_limits():
    rng = np.random.default_rng(0)
    base = rng.random(12)
    assert paired_comparison(base + rng.uniform(1, 2, 12), base).p_permutation == 2.0**-11
    assert math.isnan(paired_comparison(rng.random(13), rng.random(13)).p_permutation)


def test_the_order_of_the_methods_turns_the_sign_only():
    a, b = [85.0, 84.0, 88.5, 86.0], [80.0, 82.0, 81.0, 83.0]
    there, back = paired_comparison(a, b), paired_comparison(b, a)
    assert there.mean_difference == -back.mean_difference
    assert (there.ci_low, there.ci_high) == (-back.ci_high, -back.ci_low)
    assert (there.p_value, there.p_permutation) == (back.p_value, back.p_permutation)


def test_type_one_error_of_the_paired_test():
    rng = np.random.default_rng(1)
    subset = rng.normal(0, 5, size=(1500, 6))  # what the pairs share
    rejected = [paired_comparison(s + rng.normal(size=6), s + rng.normal(size=6)).p_value < 0.05 for s in subset]
    assert 0.03 <= np.mean(rejected) <= 0.07


@pytest.mark.parametrize(
    ("difference", "n", "p_value", "exact"),
    [(0.0, 5, 1.0, 1.0), (2.0, 5, 0.0625, 0.0625), (-2.0, 8, 2**-7, 2**-7), (0.1, 20, 2**-19, math.nan)],
)
def test_differences_that_do_not_vary(difference, n, p_value, exact):
    b = np.random.default_rng(0).random(n) * 80
    result = paired_comparison(b + difference, b)
    assert (result.p_value, result.test) == (p_value, "exact sign-flip test")
    assert result.ci_low == result.ci_high == pytest.approx(difference, abs=1e-12)
    assert result.p_permutation == exact or (math.isnan(result.p_permutation) and math.isnan(exact))


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_properties(p_values):
    adjusted = holm(p_values)
    m = len(p_values)
    assert all(p <= q <= min(1, m * p) + 1e-15 for p, q in zip(p_values, adjusted, strict=True))
    # The step-down procedure itself, at several levels, rejects the same hypotheses.
    for level in (0.01, 0.05, 0.3):
        rejected = set()
        for step, i in enumerate(sorted(range(m), key=lambda i: p_values[i])):
            if (m - step) * p_values[i] > level:
                break
            rejected.add(i)
        assert {i for i in range(m) if adjusted[i] <= level} == rejected


def test_holm_textbook():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: mean_ci([]), "values must be a non-empty sequence"),
        (lambda: mean_ci([[1.0]]), r"got shape \(1, 1\)"),
        (lambda: mean_ci([1.0, 2.0], 95), "confidence must lie strictly between 0 and 1, got 95"),
        (lambda: paired_comparison([1.0], [2.0]), "at least two pairs, got 1"),
        (lambda: paired_comparison([1.0, 2.0], [2.0]), "got 2 and 1 values"),
        (lambda: paired_comparison([1.0, math.nan], [2.0, 1.0]), r"pair 1 is \(nan, 1.0\)"),
        (lambda: holm([0.5, 1.5]), r"numbers in \[0, 1\], got \[0.5, 1.5\]"),
        (lambda: holm([math.nan]), r"numbers in \[0, 1\]"),
    ],
)
def test_bad_input(call, match):
    with pytest.raises(ValueError, match=match):
        call()


CELLS = [
    (1, 20, 0.9),
    (1, 200, 0.97),
    (1, 5, 0.5),
    (2, 10, 0.9),
    (10, 2, 0.7),
    (10, 50, 0.99),
    (100, 1, 0.6),
    (77, 40, 0.93),
]


@pytest.mark.parametrize(("classes", "size", "share"), CELLS)
def test_interval_of_a_balanced_accuracy_covers(classes: int, size: int, share: float) -> None:
    generator = np.random.default_rng(0)
    shares = np.full(classes, share) if classes == 1 else np.clip(generator.normal(share, 0.05, classes), 0.01, 0.999)
    total = np.full(classes, size)
    ends = [class_mean_ci(generator.binomial(total, shares), total) for _ in range(600)]
    covered = np.mean([low <= shares.mean() <= high for low, high in ends])
    assert covered >= 0.92  # 0.95 less three standard errors


def test_interval_of_one_class_is_that_of_agresti_and_coull() -> None:
    """With n~ - 1 for n~: the same to first order (Agresti and Coull, American Statistician 52, 1998)."""
    middle, counted = 92 / 104, 104
    half = stats.norm.ppf(0.995) * np.sqrt(middle * (1 - middle) / (counted - 1))
    assert class_mean_ci([90], [100], 0.99) == pytest.approx((middle - half, middle + half))
    assert class_mean_ci([90, 0], [100, 0], 0.99) == class_mean_ci([90], [100], 0.99)


def test_interval_where_nothing_is_known() -> None:
    assert np.isnan(class_mean_ci([0, 0], [0, 0])).all()
    low, high = class_mean_ci([1] * 4, [1] * 4)
    assert high == 1.0
    assert low < 0.65  # every class was right, once
    for bad in (([1], [1, 1]), ([2], [1]), ([-1], [1])):
        with pytest.raises(ValueError, match="correct must have as many hits"):
            class_mean_ci(*bad)
