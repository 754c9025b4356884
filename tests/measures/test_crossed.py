from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from equiangular.measures import paired_comparison
from equiangular.measures.crossed import CrossedDifference, crossed_difference

LONG_TAIL = (200, 116, 68, 39, 23, 13, 8, 5, 3, 2)
GAP = 0.4  # by which method a is ahead of b, in units of the latent score


def draw(sizes, runs, seed, *, run=0.0, sample=0.0, noise=0.0, gap=GAP):
    """Hits of two methods: right where class + method + sample (shared) + method x (run, sample, both) is above 0."""
    rng = np.random.default_rng(seed)
    classes = np.repeat(np.arange(len(sizes)), sizes)
    level = np.linspace(2.5, 0, len(sizes))[classes]
    shared = rng.normal(size=len(classes))
    pair = []
    for ahead in (gap, 0):
        of_run = run * rng.normal(size=(runs, len(sizes)))[:, classes]
        of_sample = sample * rng.normal(size=len(classes))
        pair.append(level + ahead + shared + of_run + of_sample + noise * rng.normal(size=(runs, len(classes))) > 0)
    return *pair, classes


def truth(sizes, *, run=0.0, sample=0.0, noise=0.0, gap=GAP):
    """Expected difference over runs and samples, from the normal distribution of the latent score."""
    scale = math.sqrt(1 + run**2 + sample**2 + noise**2)
    level = np.linspace(2.5, 0, len(sizes))
    return 100 * float(np.mean(stats.norm.cdf((level + gap) / scale) - stats.norm.cdf(level / scale)))


def coverage(sizes, runs, trials=800, **effects):
    """Shares of trials in which the wider interval and the one over runs alone hold the truth."""
    target = truth(sizes, **effects)
    results = [crossed_difference(*draw(sizes, runs, seed, **effects)) for seed in range(trials)]
    wide = np.mean([r.low <= target <= r.high for r in results])
    return wide, np.mean([r.run_low <= target <= r.run_high for r in results])


@pytest.mark.parametrize("sizes", [LONG_TAIL, (5,) * 10, (100,) * 9 + (3,)], ids=["long tail", "five each", "one rare"])
def test_the_wide_interval_covers_under_crossed_effects(sizes):
    wide, over_runs = coverage(sizes, 5, run=0.5, sample=0.7, noise=0.5)
    assert wide >= 0.93
    assert over_runs < wide


def test_both_intervals_cover_under_run_noise():
    wide, over_runs = coverage((200,) * 10, 5, run=0.7)
    assert wide >= 0.93
    assert over_runs >= 0.93


@pytest.mark.parametrize("sizes", [LONG_TAIL, (60,) * 8], ids=["long tail", "equal"])
def test_over_runs_alone_falls_short_under_sample_noise(sizes):
    wide, over_runs = coverage(sizes, 5, sample=0.7)
    assert wide >= 0.93
    assert over_runs < 0.2


def test_rare_classes_are_not_taken_to_be_like_the_frequent_one():
    wide, _ = coverage((1000, 2, 1), 5, trials=400, sample=0.7)  # pooled over all classes alone: 0.79
    assert wide >= 0.93


def test_few_disagreements_do_not_make_it_overconfident():
    rng, rate, hits = np.random.default_rng(0), 0.03, 0
    for _ in range(1000):
        b = np.ones((3, 60))
        a = b - np.where(rng.random(60) < rate, 1, 0)  # a fails on 3 % of the samples, the same in every run
        result = crossed_difference(a, b, np.repeat([0, 1, 2], 20))
        hits += result.low <= -100 * rate <= result.high
    assert hits >= 930  # with the sample variance alone: P(no failure) = 16 % of intervals are [0, 0]


def test_no_false_alarm_without_a_difference():
    results = [crossed_difference(*draw(LONG_TAIL, 5, seed, run=0.5, sample=0.7, gap=0)) for seed in range(800)]
    assert np.mean([r.p_value < 0.05 for r in results]) <= 0.07


def test_variance_against_the_pigeonhole_bootstrap():
    sizes, runs = (40, 60, 30), 6
    a, b, classes = draw(sizes, runs, 1, run=0.4, sample=0.6, noise=0.6)
    result = crossed_difference(a, b, classes)
    rng, replicas = np.random.default_rng(2), 20000
    rows = rng.multinomial(runs, np.ones(runs) / runs, size=replicas) / runs
    columns = np.hstack([rng.multinomial(n, np.ones(n) / n, size=replicas) / (n * len(sizes)) for n in sizes])
    boot = (100 * np.einsum("br,ri,bi->b", rows, a.astype(float) - b, columns)).var()
    rows_only = result.se_run**2 * (runs - 1) / runs
    d = a.astype(float) - b
    means = [d[:, classes == c].mean(axis=0) for c in range(3)]
    columns_only = sum(1e4 * m.var() / (9 * n) for m, n in zip(means, sizes, strict=True))
    interaction = 0.0
    for c, n in enumerate(sizes):
        block = d[:, classes == c]
        rest = block - block.mean(axis=0) - block.mean(axis=1, keepdims=True) + block.mean()
        interaction += 1e4 * (rest**2).mean() / (9 * n * runs)
    assert boot == pytest.approx(rows_only + columns_only + interaction, rel=0.04)  # 4 standard errors
    ours = result.se_run**2 + result.se_samples**2
    assert result.se_both**2 == pytest.approx(interaction * runs / (runs - 1) * 1.024, rel=0.01)  # n / (n - 1), about
    assert columns_only + rows_only < ours < boot * runs / (runs - 1)  # counts the interaction less often


def by_hand(a, b, classes, floor_frequent):
    """SE_samples^2 of frequent classes, two-pass."""
    d = (np.asarray(a, float) - b).mean(axis=0)
    kinds = sorted(set(classes.tolist()))
    parts = []
    for c in kinds:
        values = d[classes == c]
        parts.append(max(stats.tvar(values), floor_frequent) / len(values))
    return 1e4 * sum(parts) / len(kinds) ** 2


def test_interval_over_runs_is_that_of_the_paired_comparison_and_parts_add_up():
    a, b, classes = draw((30, 20, 12), 5, 3, run=0.4, sample=0.5)
    result = crossed_difference(a, b, classes)
    per_run = [[100 * np.mean([m[r, classes == c].mean() for c in range(3)]) for r in range(5)] for m in (a, b)]
    paired = paired_comparison(*per_run)
    assert (result.run_low, result.run_high) == pytest.approx((paired.ci_low, paired.ci_high))
    assert result.mean_difference == pytest.approx(paired.mean_difference)
    assert (result.mean_a, result.mean_b) == pytest.approx((np.mean(per_run[0]), np.mean(per_run[1])))
    assert result.se_samples**2 == pytest.approx(by_hand(a, b, classes, 1 - 0.05 ** (1 / 62)))
    total = result.se_run**2 + result.se_samples**2
    df = total**2 / (result.se_run**4 / 4 + result.se_samples**4 / result.df_samples)
    assert result.crossed_high - result.mean_difference == pytest.approx(stats.t.ppf(0.975, df) * math.sqrt(total))
    assert result.high == max(result.run_high, result.crossed_high)
    assert result.half_width() == pytest.approx(result.high - result.mean_difference)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_p_value_agrees_with_the_wider_interval(seed, confidence):
    result = crossed_difference(*draw((30, 20, 12), 2 + seed, seed, run=0.2, sample=0.2), confidence=confidence)
    assert (result.p_value < 1 - confidence) == (result.low > 0 or result.high < 0)


def test_two_runs_that_agree_by_chance_keep_the_wider():
    a, b, classes = draw((100, 100), 2, 5, run=1.0)
    result = crossed_difference(a, b, classes)
    assert result.run_high - result.run_low > result.crossed_high - result.crossed_low  # 1 degree of freedom
    assert (result.low, result.high) == (result.run_low, result.run_high)


@pytest.mark.parametrize("sizes", [(5,), (5, 5), (1, 1, 1), (1,), (50, 2)])
@pytest.mark.parametrize("right", [(1, 1), (1, 0)], ids=["alike", "always apart"])
def test_no_variance_seen_is_not_no_variance(sizes, right):
    classes = np.repeat(np.arange(len(sizes)), sizes)
    a, b = (np.full((4, len(classes)), value) for value in right)
    result = crossed_difference(a, b, classes)
    assert result.mean_difference == 100 * (right[0] - right[1])
    assert result.run_high == result.run_low
    assert result.high - result.mean_difference >= 100 * 3 / (len(classes) + 3)  # rule of three
    assert 0 < result.p_value <= 1


def test_a_single_run_has_no_interval_and_says_so():
    a, b, classes = draw((30, 20), 1, 0, sample=0.5)
    result = crossed_difference(a, b, classes)
    bounds = (result.low, result.high, result.run_low, result.run_high, result.crossed_low, result.crossed_high)
    assert all(map(math.isnan, (*bounds, result.se_run, result.p_value)))
    assert result.se_samples > 0
    assert np.isnan(result.half_width(runs=np.array([2, 5]))).all()


def test_swapping_sides_and_renaming_classes():
    a, b, classes = draw(LONG_TAIL, 4, 7, run=0.4, sample=0.4)
    one, other = crossed_difference(a, b, classes), crossed_difference(b, a, 17 - 3 * classes)
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low))
    assert one.p_value == pytest.approx(other.p_value)


@pytest.mark.parametrize(("run", "sample", "noise"), [(0.5, 0.7, 0), (0, 0.2, 1), (0.3, 0.5, 0.5)])
def test_half_width_is_what_more_runs_and_samples_give(run, sample, noise):
    effects = {"run": run, "sample": sample, "noise": noise}
    small = [crossed_difference(*draw((60,) * 4, 5, seed, **effects)) for seed in range(60)]
    more_runs = [crossed_difference(*draw((60,) * 4, 20, seed, **effects)) for seed in range(60)]
    more_samples = [crossed_difference(*draw((240,) * 4, 5, seed, **effects)) for seed in range(60)]
    for grown, count in ((more_runs, {"runs": 20}), (more_samples, {"samples": 960})):
        predicted = np.mean([float(r.half_width(**count)) for r in small])
        measured = np.mean([r.high - r.mean_difference for r in grown])
        # Without an effect of runs, four degrees of freedom show one none the less: too wide, never too narrow.
        assert 0.9 * measured < predicted < (1.15 if run else 1.25) * measured
    one = small[0]
    left = math.sqrt(one.se_samples**2 - one.se_both**2)  # what more runs cannot take away
    assert float(one.half_width(runs=10**6)) == pytest.approx(stats.t.ppf(0.975, one.df_samples) * left, rel=0.01)


def test_neither_part_holds_more_of_the_interaction_than_it_has():
    """Runs that contradict each other sample by sample: all is interaction, of which either part may show less."""
    first = np.arange(100) < 60
    for a in ([first, ~first], [first, first], np.resize([[1, 0], [0, 1]], (2, 100))):
        found = crossed_difference(a, np.logical_not(a), np.zeros(100, int))
        assert found.se_both <= min(found.se_run, found.se_samples) + 1e-12


@pytest.mark.parametrize(
    ("a", "b", "labels", "message"),
    [
        ([1, 0], [1, 0], [0, 1], r"correct_a must have shape \(runs, test samples\).*\(2,\)"),
        (np.ones((0, 3)), np.ones((0, 3)), [0, 1, 1], "none of them 0"),
        ([[1, 2]], [[1, 0]], [0, 1], "correct_a must hold 0 and 1"),
        ([[1, 0]], [[1, math.nan]], [0, 1], "correct_b must hold 0 and 1"),
        ([[1, 0]], [[1, 0], [1, 1]], [0, 1], r"must be paired, .*got \(1, 2\) and \(2, 2\)"),
        ([[1, 0]], [[1, 0]], [0, 1, 1], "labels must be 2 integers"),
        ([[1, 0]], [[1, 0]], [0.0, 1.0], "labels must be 2 integers.*float64"),
    ],
)
def test_refused(a, b, labels, message):
    with pytest.raises(ValueError, match=message):
        crossed_difference(a, b, labels)


def test_a_level_out_of_range_is_refused():
    with pytest.raises(ValueError, match="confidence must lie strictly between 0 and 1, got 95"):
        crossed_difference([[1, 0]], [[1, 0]], [0, 1], confidence=95)


def test_frozen():
    result: CrossedDifference = crossed_difference([[1, 0], [1, 1]], [[1, 0], [1, 0]], [0, 1])
    with pytest.raises(AttributeError):
        result.low = 0.0
