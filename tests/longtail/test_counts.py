from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equiangular.longtail import holdout_counts, holdout_indices, long_tail_counts, long_tail_indices


# Published totals and sizes: Cao et al. 2019 and the repositories that follow it.
@pytest.mark.parametrize(
    ("n_max", "num_classes", "factor", "total", "smallest"),
    [
        (5000, 10, 10, 20431, 500),
        (5000, 10, 50, 13996, 100),
        (5000, 10, 100, 12406, 50),
        (5000, 10, 200, 11203, 25),
        (500, 100, 10, 19573, 50),
        (500, 100, 50, 12608, 10),
        (500, 100, 100, 10847, 5),
        (500, 100, 200, 9502, 2),
    ],
)
def test_exponential_cifar_totals(n_max, num_classes, factor, total, smallest):
    counts = long_tail_counts(n_max, num_classes, factor)
    assert (sum(counts), counts[0], counts[-1]) == (total, n_max, smallest)
    published = [int(n_max * (1 / factor) ** (c / (num_classes - 1.0))) for c in range(num_classes)]
    assert counts == published


@settings(deadline=None)
@given(
    n_max=st.integers(1, 100_000),
    num_classes=st.integers(2, 200),
    factor=st.floats(1, 1e5),
    kind=st.sampled_from(["exp", "step"]),
)
def test_profile_properties(n_max, num_classes, factor, kind):
    counts = long_tail_counts(n_max, num_classes, factor, kind=kind)
    assert len(counts) == num_classes
    assert counts[0] == n_max
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] == max(1, math.floor(n_max / Fraction(factor) * (1 + Fraction(1, 10**12))))


@settings(deadline=None)
@given(smallest=st.integers(1, 300), factor=st.integers(1, 300))
def test_whole_products_are_not_lost_to_rounding(smallest, factor):
    # 98 * (1 / 49) is 1.9999999999999998 in floating point.
    assert long_tail_counts(smallest * factor, 3, factor)[-1] == smallest


def test_step_profile_with_an_odd_number_of_classes_favours_the_majority():
    assert long_tail_counts(100, 5, 10, kind="step") == [100, 100, 100, 10, 10]


def test_balanced_is_factor_one():
    assert long_tail_counts(7, 4, 1) == [7] * 4


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ((500, 10, 0.01), r"0\.01 looks like the reciprocal; use 100\."),
        ((500, 10, -3), "at least 1, got -3"),
        ((500, 10, 0), "at least 1, got 0"),
        ((500, 10, float("nan")), "got nan"),
        ((500, 10, float("inf")), "got inf"),
        ((500, 10, "100"), "got '100'"),
        ((500, 10, True), "got True"),
        ((500, 10, None), "got None"),
        ((0, 10, 10), "n_max must be an integer >= 1, got 0"),
        ((5.5, 10, 10), "n_max must be an integer"),
        ((500, 1, 10), "num_classes must be an integer >= 2, got 1"),
    ],
)
def test_bad_arguments(arguments, match):
    with pytest.raises(ValueError, match=match):
        long_tail_counts(*arguments)


def test_unknown_kind_suggests_the_closest():
    with pytest.raises(ValueError, match="did you mean 'step'"):
        long_tail_counts(500, 10, 10, kind="steps")


@settings(deadline=None)
@given(
    sizes=st.lists(st.integers(1, 80), min_size=1, max_size=6),
    fraction=st.fractions(min_value="1/50", max_value="49/50"),
    keep=st.integers(1, 3),
    seed=st.integers(0, 1000),
)
def test_stratified_and_every_class_keeps_training_samples(sizes, fraction, keep, seed):
    expected = [max(0, min((n * fraction.numerator) // fraction.denominator, n - keep)) for n in sizes]
    assert holdout_counts(sizes, float(fraction), min_per_class=keep).tolist() == expected
    targets = np.random.default_rng(0).permutation(np.repeat(np.arange(len(sizes)), sizes))
    if not any(expected):
        with pytest.raises(ValueError, match="is empty"):
            holdout_indices(targets, float(fraction), seed=seed, min_per_class=keep)
        return
    held = holdout_indices(targets, float(fraction), seed=seed, min_per_class=keep)
    assert (np.diff(held) > 0).all()
    assert np.bincount(targets[held], minlength=len(sizes)).tolist() == expected


def test_classes_too_small_are_reported_as_zero():
    assert holdout_counts([100, 10, 4, 1], 0.2).tolist() == [20, 2, 0, 0]


def test_rounding_does_not_lose_a_sample():
    assert holdout_counts([100], 0.29).tolist() == [29]  # 0.29 * 100 is 28.999999999999996


def test_the_seed_decides_and_repeats():
    targets = np.repeat(np.arange(5), 40)
    first, again, other = (holdout_indices(targets, 0.25, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_the_draw_is_not_that_of_the_cut_with_the_same_seed():
    targets = np.repeat(np.arange(2), 1000)
    cut = long_tail_indices(targets, 1, n_max=100, seed=4)
    held = holdout_indices(targets, 0.1, seed=4)
    assert len(np.intersect1d(cut, held)) < 60  # of 200; by chance 20


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 1.5, "0.5", True])
def test_bad_fraction(fraction):
    with pytest.raises(ValueError, match="fraction must lie strictly between 0 and 1"):
        holdout_indices([0, 0, 1, 1], fraction, seed=0)


def test_split_bad_arguments():
    with pytest.raises(ValueError, match="min_per_class must be an integer >= 1, got 0"):
        holdout_indices([0, 0, 1, 1], 0.5, seed=0, min_per_class=0)
    with pytest.raises(ValueError, match="seed must be an integer >= 0"):
        holdout_indices([0, 0, 1, 1], 0.5, seed=-1)
    with pytest.raises(ValueError, match=r"hold-out of 0.2 is empty: the largest of 2 classes has 2 samples"):
        holdout_indices([0, 0, 1], 0.2, seed=0)
