from __future__ import annotations

import hashlib
import math
import random
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from equiangular.longtail import holdout_counts, holdout_indices, long_tail_counts, long_tail_indices
from equiangular.longtail.cut import class_positions, draw_by_class, others


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


def cifar_shaped(num_classes: int) -> np.ndarray:
    """50,000 labels in a mixed order, the same number of each class."""
    return (np.arange(50_000) * 7919) % num_classes


def published_procedure(targets: np.ndarray, factor: float, kind: str, rand_number: int) -> np.ndarray:
    """An independent transcription, from its description, of how CIFAR-LT is made: with the global NumPy stream."""
    np.random.seed(rand_number)  # noqa: NPY002 - what the published procedure does
    num_classes = len(np.unique(targets))
    img_max = len(targets) / num_classes
    fraction = 1 / factor
    if kind == "exp":
        sizes = [int(img_max * fraction ** (i / (num_classes - 1.0))) for i in range(num_classes)]
    else:
        sizes = [int(img_max)] * (num_classes // 2) + [int(img_max * fraction)] * (num_classes // 2)
    picked = []
    for label, size in zip(np.unique(targets), sizes, strict=True):
        where = np.where(targets == label)[0]
        np.random.shuffle(where)  # noqa: NPY002
        picked.extend(where[:size].tolist())
    return np.array(picked)


@pytest.mark.parametrize("num_classes", [10, 100])
@pytest.mark.parametrize("kind", ["exp", "step"])
@pytest.mark.parametrize(("factor", "seed"), [(10, 0), (50, 0), (100, 0), (100, 7), (200, 0)])
def test_cao2019_index_for_index(num_classes, kind, factor, seed):
    targets = cifar_shaped(num_classes)
    state = np.random.get_state()  # noqa: NPY002
    try:
        expected = published_procedure(targets, factor, kind, seed)
    finally:
        np.random.set_state(state)  # noqa: NPY002
    ours = long_tail_indices(targets, factor, kind=kind, seed=seed, protocol="cao2019")
    np.testing.assert_array_equal(ours, expected)


@pytest.mark.parametrize(
    ("num_classes", "kind", "factor", "sha256"),
    [
        (10, "exp", 100, "1fa513f717915e6f96de2a481f31a627a36069b1f01e1b8c6c29f161160ae615"),
        (10, "step", 100, "0041ca2234f82c24a2dea89e82359a4c2f4474c462d6a67cd63ba2af32006b9e"),
        (100, "exp", 100, "bf33d42a357196df19e2901d31f8a83c651ed4a4c7552e4a2ea30d5f4c83d8f6"),
        (100, "exp", 50, "57e12cf7ef8a0a0e4fa9d26eeffa91ab0294f010b94882a3c363ff4c5aa89405"),
    ],
)
def test_cao2019_never_changes(num_classes, kind, factor, sha256):
    indices = long_tail_indices(cifar_shaped(num_classes), factor, kind=kind, protocol="cao2019")
    assert hashlib.sha256(indices.astype("<i8").tobytes()).hexdigest() == sha256


def test_local_never_changes():
    indices = long_tail_indices(cifar_shaped(10), 100, seed=3)
    expected = "403bceab764ec147798fdc2515de9f7d6bc7ed3c4050b880a2d45f7babc82b07"
    assert hashlib.sha256(indices.astype("<i8").tobytes()).hexdigest() == expected


@settings(deadline=None)
@given(
    sizes=st.lists(st.integers(1, 60), min_size=2, max_size=6),
    factor=st.floats(1, 50),
    kind=st.sampled_from(["exp", "step"]),
    order=st.sampled_from(["label", "size"]),
    seed=st.integers(0, 2**32 - 1),
)
def test_unequal_classes_get_the_whole_profile(sizes, factor, kind, order, seed):
    targets = np.repeat(np.arange(len(sizes)), sizes)
    indices = long_tail_indices(targets, factor, kind=kind, seed=seed, order=order)
    assert len(np.unique(indices)) == len(indices)
    assert (np.diff(indices) > 0).all()
    counts = np.bincount(targets[indices], minlength=len(sizes))
    ranking = sorted(range(len(sizes)), key=lambda c: -sizes[c]) if order == "size" else range(len(sizes))
    ranked = [int(counts[c]) for c in ranking]
    assert ranked == long_tail_counts(ranked[0], len(sizes), factor, kind=kind)
    larger = long_tail_counts(ranked[0] + 1, len(sizes), factor, kind=kind)  # no larger n_max would fit
    assert any(want > sizes[c] for want, c in zip(larger, ranking, strict=True))


def test_a_given_n_max_is_capped_by_what_a_class_has():
    targets = np.repeat([0, 1, 2], [50, 20, 40])
    counts = np.bincount(targets[long_tail_indices(targets, 4, n_max=100)])
    assert counts.tolist() == [50, 20, 25]  # the profile is 100, 50, 25


def test_a_cut_of_a_cut_keeps_the_largest_class():
    base = cifar_shaped(10)
    cut = base[long_tail_indices(base, 50)]
    counts = np.bincount(cut[long_tail_indices(cut, 100)])
    assert counts.tolist() == long_tail_counts(5000, 10, 100)
    assert len(long_tail_indices(cut, 50)) == len(cut)


def test_smaller_subsets_lie_inside_larger_ones():
    targets = cifar_shaped(10)
    small, large = (long_tail_indices(targets, factor, seed=5) for factor in (200, 100))
    assert set(small) < set(large)


def test_order_by_size():
    targets = np.repeat([0, 1, 2], [10, 90, 30])
    counts = np.bincount(targets[long_tail_indices(targets, 9, order="size")])
    assert counts.tolist() == [10, 90, 30]


def test_every_container_of_labels_gives_the_same_indices():
    targets = [0, 1, 2] * 40
    expected = long_tail_indices(targets, 5, seed=1)
    for same in (np.array(targets, dtype=np.uint8), np.array(targets, dtype=float), torch.tensor(targets)):
        np.testing.assert_array_equal(long_tail_indices(same, 5, seed=1), expected)
    np.testing.assert_array_equal(long_tail_indices([["ant", "bee", "cat"][t] for t in targets], 5, seed=1), expected)
    with_names = np.array([["ant", "bee", "cat"][t] for t in targets], dtype=object)
    np.testing.assert_array_equal(long_tail_indices(with_names, 5, seed=1), expected)


def test_seeds_give_different_subsets_of_equal_sizes():
    targets = cifar_shaped(10)
    first, second = (long_tail_indices(targets, 100, seed=seed) for seed in (0, 1))
    np.testing.assert_array_equal(np.bincount(targets[first]), np.bincount(targets[second]))
    few = 9
    overlap = set(first[targets[first] == few]) & set(second[targets[second] == few])
    assert len(overlap) < 10  # of 50; by chance 0.5


@pytest.mark.parametrize("protocol", ["local", "cao2019"])
def test_global_generators_are_untouched(protocol):
    before = np.random.get_state()[1].copy(), torch.get_rng_state(), random.getstate()  # noqa: NPY002
    long_tail_indices(cifar_shaped(10), 100, protocol=protocol)
    np.testing.assert_array_equal(np.random.get_state()[1], before[0])  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), before[1])
    assert random.getstate() == before[2]


@pytest.mark.parametrize(
    ("targets", "options", "match"),
    [
        ([], {}, "targets is empty"),
        ([[0, 1]], {}, r"shape \(N,\), got shape \(1, 2\)"),
        ([0.5, 1.0], {}, "class labels, got 0.5 at position 0"),
        ([0.0, float("nan")], {}, "got nan at position 1"),
        ([0, 0, 0], {}, "at least two classes, got only 0"),
        ([None, 1], {}, "integers or strings, got dtype object"),
        ([0, 1], {"imbalance_factor": -1}, "at least 1, got -1"),
        ([0, 1], {"imbalance_factor": 0.02}, "looks like the reciprocal; use 50"),
        ([0, 1], {"seed": -1}, "seed must be an integer >= 0, got -1"),
        ([0, 1], {"seed": 2**32}, r"seed must be an integer in \[0, 2\*\*32\)"),
        ([0, 1], {"n_max": 0}, "n_max must be an integer >= 1, got 0"),
        ([0, 1], {"protocol": "cao"}, "did you mean 'cao2019'"),
        ([0, 1], {"order": "sizes"}, "did you mean 'size'"),
        ([0, 1], {"kind": "linear"}, "kind must be one of"),
        ([0, 1], {"protocol": "cao2019", "n_max": 1}, "fixes n_max"),
        ([0, 1], {"protocol": "cao2019", "order": "size"}, "fixes n_max = N / K and the label order"),
        ([0, 1], {"protocol": "cao2019"}, "wants 0 samples of class 1, which has 1"),
        ([0, 1, 1, 1], {"protocol": "cao2019"}, "wants 2 samples of class 0, which has 1.*protocol='local'"),
        ([0, 1, 2] * 9, {"protocol": "cao2019", "kind": "step"}, "odd number of classes, got 3"),
    ],
)
def test_bad_input(targets, options, match):
    with pytest.raises(ValueError, match=match):
        long_tail_indices(targets, **{"imbalance_factor": 10, **options})


@pytest.mark.parametrize("seed", range(20))
def test_draws_and_positions_against_sorting(seed: int) -> None:
    draw = np.random.default_rng(seed)
    classes = 5 if seed % 2 else 70  # so many are grouped by sorting
    members = draw.integers(0, classes, int(draw.integers(5, 200)))
    wanted = [int(draw.integers(0, n + 1)) for n in np.bincount(members, minlength=classes)]
    expected = []
    for c, number in enumerate(wanted):
        own = np.flatnonzero(members == c)
        order = np.argsort(np.random.default_rng([seed, c, 1]).random(len(own)), kind="stable")
        expected += own[order[:number]].tolist()
    found = draw_by_class(members, wanted, seed, 1)
    assert found.tolist() == sorted(expected)
    assert others(found, len(members)).tolist() == sorted(set(range(len(members))) - set(expected))
    for labels in (members, members - 3, members * 10**12, members.astype(str)):
        np.testing.assert_array_equal(class_positions(labels), np.unique(labels, return_inverse=True)[1])
