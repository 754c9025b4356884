from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equiangular.longtail import holdout_counts, holdout_indices, long_tail_indices


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


def test_bad_arguments():
    with pytest.raises(ValueError, match="min_per_class must be an integer >= 1, got 0"):
        holdout_indices([0, 0, 1, 1], 0.5, seed=0, min_per_class=0)
    with pytest.raises(ValueError, match="seed must be an integer >= 0"):
        holdout_indices([0, 0, 1, 1], 0.5, seed=-1)
    with pytest.raises(ValueError, match=r"hold-out of 0.2 is empty: the largest of 2 classes has 2 samples"):
        holdout_indices([0, 0, 1], 0.2, seed=0)
