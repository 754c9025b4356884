from __future__ import annotations

import json
import math
import re
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from equiangular.compare.answer import Contrast, answer, choose, needed, verdict
from equiangular.compare.wording import effect_sentence, statistics_sentence
from equiangular.measures import holm
from equiangular.measures.crossed import crossed_difference

NAN, INF = math.nan, math.inf
points = st.floats(-100, 100, allow_nan=False)
margins = st.sampled_from([0.0, 0.25, 0.5, 1.0, 2.0, 5.0]) | st.floats(0, 10).map(lambda m: round(m, 3))

# difference, low, high, margin, verdict
CASES = [
    # From the reports of wrong answers.
    (-3.0, -4.0, -2.0, 1, "worse"),  # whatever another, noisy head does
    (-8.0, -20.0, 4.0, 1, "cannot tell"),  # that noisy head
    (-5.4, -25.9, 15.2, 1, "cannot tell"),  # two runs; was "level"
    (0.1, -20.0, 20.0, 1, "cannot tell"),  # was "at least as good"
    (3.3, 1.9, 4.7, 1, "better"),
    (3.3, -9.0, 15.6, 1, "cannot tell"),  # the same over 66 test samples
    # Equivalence.
    (0.1, -0.5, 0.7, 1, "level"),
    (0.1, -0.5, 0.7, 0.5, "cannot tell"),
    (0.0, -1.0, 1.0, 1, "level"),  # the margin belongs to it
    (0.0, -1.0, 1.0001, 1, "cannot tell"),
    (0.0, -1.0001, 1.0, 1, "cannot tell"),
    (0.0, -1.0, 1.0, 0.999, "cannot tell"),
    # Surely not 0 and surely small: level.
    (0.5, 0.2, 0.8, 1, "level"),
    (-0.5, -0.8, -0.2, 1, "level"),
    (0.5, 0.2, 0.8, 0.5, "better"),
    (-0.5, -0.8, -0.2, 0.5, "worse"),
    # Surely not 0, size open.
    (1.0, 0.1, 1.9, 1, "better"),
    (-1.0, -1.9, -0.1, 1, "worse"),
    # 0 itself on the edge.
    (2.0, 0.0, 4.0, 1, "cannot tell"),
    (-2.0, -4.0, 0.0, 1, "cannot tell"),
    (2.0, 1e-9, 4.0, 1, "better"),
    # No margin, no width.
    (0.0, 0.0, 0.0, 0, "level"),
    (1.0, 1.0, 1.0, 0, "better"),
    (1.0, 1.0, 1.0, 1, "level"),
    (-1.5, -1.5, -1.5, 1, "worse"),
    # Nothing known.
    (3.0, NAN, NAN, 1, "cannot tell"),
    (NAN, NAN, NAN, 1, "cannot tell"),
    (3.0, 2.0, NAN, 1, "cannot tell"),
    (3.0, -INF, INF, 1, "cannot tell"),
]


@pytest.mark.parametrize(("difference", "low", "high", "margin", "expected"), CASES)
def test_verdict(difference, low, high, margin, expected):
    assert verdict(difference, low, high, margin) == expected


@given(points, points, points, margins)
def test_verdict_is_symmetric(x, y, z, margin):
    low, difference, high = sorted((x, y, z))
    mirrored = {"better": "worse", "worse": "better"}
    ours, theirs = verdict(difference, low, high, margin), verdict(-difference, -high, -low, margin)
    assert theirs == mirrored.get(ours, ours)


@given(points, points, points, margins, margins)
def test_verdict_is_monotone_in_the_margin(x, y, z, one, other):
    low, difference, high = sorted((x, y, z))
    small, large = sorted((one, other))
    before, after = verdict(difference, low, high, small), verdict(difference, low, high, large)
    assert after in (before, "level")  # a wider margin only ever makes level


@given(points, points, points, points, points, margins)
def test_a_narrower_interval_never_contradicts_the_wider(a, b, c, d, e, margin):
    outer_low, low, difference, high, outer_high = sorted((a, b, c, d, e))
    wide, narrow = verdict(difference, outer_low, outer_high, margin), verdict(difference, low, high, margin)
    if wide != "cannot tell":
        assert narrow in (wide, "level")


@pytest.mark.parametrize("margin", [-1, NAN, INF])
def test_margin_refused(margin):
    with pytest.raises(ValueError, match="margin must be a number of points >= 0"):
        verdict(0.0, -1.0, 1.0, margin)


def test_an_estimate_outside_its_interval_is_refused():
    with pytest.raises(ValueError, match=r"must lie in its interval, got 3.0 and \[4.0, 5.0\]"):
        verdict(3.0, 4.0, 5.0, 1)


# What would settle it.


def hits(runs, per_class, classes, ahead, *, run=0.0, noise=0.4, seed=0):
    """Hits of heads in the order of ``ahead`` on the same samples; a larger number is more often right."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), per_class)
    hard = rng.normal(size=len(labels))
    each = [hard + run * rng.normal(size=(runs, 1)) + noise * rng.normal(size=(runs, len(labels))) < a for a in ahead]
    return each, labels


@pytest.mark.parametrize("seed", range(8))
def test_needed_is_the_first_count_of_two_digits_that_settles_it(seed):
    (a, b), labels = hits(5, 30, 6, (1.2, 1.3), seed=seed)
    found = crossed_difference(a, b, labels)
    result = needed(found, 1)
    assert result.width == found.high - found.low
    target = max(abs(found.mean_difference), 1 - abs(found.mean_difference))
    for count, key, present in ((result.runs, "runs", 5), (result.samples, "samples", 180)):
        if count is None:
            assert found.half_width(**{key: 10**6}) >= target
            continue
        assert count > present
        assert float(f"{count:.2g}") == count
        assert found.half_width(**{key: count}) < target
        one_less = count - 10 ** max(len(str(count - 1)) - 2, 0)
        assert one_less <= present or found.half_width(**{key: one_less}) >= target


def test_the_test_samples_that_were_needed_do_settle_it():
    draws = [hits(5, 10, 6, (1.2, 1.4), seed=seed) for seed in range(40)]
    found = [crossed_difference(a, b, labels) for (a, b), labels in draws]
    still_open = [f for f in found if verdict(f.mean_difference, f.low, f.high, 1) == "cannot tell"]
    usual = np.median([needed(f, 1).samples or np.inf for f in still_open])
    grown = [
        crossed_difference(*ab, labels)
        for ab, labels in (hits(5, int(usual) // 6, 6, (1.2, 1.4), seed=s) for s in range(40))
    ]
    settled = np.mean([verdict(g.mean_difference, g.low, g.high, 1) != "cannot tell" for g in grown])
    assert len(still_open) > 20
    assert settled >= 0.5 > 1 - len(still_open) / len(found)


def test_more_test_samples_cannot_mend_runs_that_vary_nor_more_runs_few_samples():
    found = crossed_difference(*hits(3, 4000, 2, (1.2, 1.3), run=0.5)[0], np.repeat([0, 1], 4000))
    assert needed(found, 1).samples is None
    assert needed(found, 1).runs > 3
    (a, b), labels = hits(40, 10, 3, (1.2, 1.3))
    found = crossed_difference(a, b, labels)
    assert needed(found, 1).runs is None
    assert needed(found, 1).samples > 30


def test_nothing_settles_what_is_exactly_nothing_without_a_margin():
    found = crossed_difference(np.ones((3, 20)), np.ones((3, 20)), np.repeat([0, 1], 10))
    result = needed(found, 0)
    assert (result.runs, result.samples) == (None, None)
    assert result.width > 0


def test_one_run_cannot_be_planned_from():
    (a, b), labels = hits(1, 10, 3, (1.2, 1.3))
    result = needed(crossed_difference(a, b, labels), 1)
    assert (result.width, result.runs, result.samples) == (None, None, None)


# Whom the answer is about.

KINDS = {"etf-la": "fixed", "etf-dr": "fixed", "map": "mapped", "linear-la": "learned", "cosine-la": "learned"}


@pytest.mark.parametrize(
    ("validation", "kind", "expected"),
    [
        ({"etf-la": 80, "etf-dr": 82, "linear-la": 90}, "fixed", "etf-dr"),
        ({"etf-la": 80, "etf-dr": 80}, "fixed", "etf-la"),
        ({"etf-dr": 80, "etf-la": 80}, "fixed", "etf-dr"),
        ({"etf-la": NAN, "etf-dr": 10}, "fixed", "etf-dr"),
        ({"etf-la": NAN, "linear-la": 10}, "fixed", None),
        ({"map": 99, "linear-la": 10}, "learned", "linear-la"),
        ({"map": 99, "unknown": 99}, "fixed", None),
        ({}, "learned", None),
    ],
)
def test_choose(validation, kind, expected):
    assert choose(validation, KINDS, kind) == expected


def make(ahead, validation, *, runs=5, per_class=300, classes=6, **options):
    each, labels = hits(runs, per_class, classes, ahead.values(), **options)
    correct = dict(zip(ahead, each, strict=True))
    return answer(correct, labels, kinds=KINDS, validation=validation, data="letter", names={"etf-la": "ETF + LA"})


def test_the_choice_is_made_on_validation_data_not_on_test_data():
    result = make({"etf-la": 1.0, "etf-dr": 2.0, "linear-la": 1.0, "cosine-la": 2.0}, dict.fromkeys(KINDS, 50.0))
    assert (result.fixed, result.learned) == ("etf-la", "linear-la")  # first of equals, both worse on test data
    assert result.statistics.endswith("both heads chosen on validation data.)")
    assert [c.fixed for c in result.secondary] == ["etf-dr"]


def test_a_noisy_second_head_does_not_touch_the_verdict():
    ahead, validation = {"etf-la": 1.0, "linear-la": 1.3}, {"etf-la": 60, "linear-la": 70}
    alone = make(ahead, validation)
    each, labels = hits(5, 300, 6, (1.0, 1.3))
    noise = np.random.default_rng(0).random((5, 1800)) < np.array([0.1, 0.5, 0.95, 0.99, 0.99])[:, None]
    correct = dict(zip(("etf-la", "linear-la", "etf-dr"), (*each, noise), strict=True))
    both = answer(correct, labels, kinds=KINDS, validation={**validation, "etf-dr": 50}, data="letter")
    assert alone.verdict == both.verdict == "worse"
    assert both.contrast.low == alone.contrast.low
    assert both.secondary[0].verdict == "cannot tell"


def test_secondary_contrasts_are_corrected_and_say_so():
    names = ["etf-la", "a", "b", "c", "linear-la"]
    kinds = dict.fromkeys(names, "fixed") | {"linear-la": "learned"}
    each, labels = hits(5, 100, 4, (1.2, 1.1, 1.15, 1.25, 1.2))
    correct = dict(zip(names, each, strict=True))
    validation = dict.fromkeys(names, 1.0)
    result = answer(correct, labels, kinds=kinds, validation=validation, data="x")
    assert (result.contrast.role, result.contrast.correction, result.contrast.p_holm) == ("primary", "none", None)
    assert result.contrast.confidence == 0.95
    expected = [crossed_difference(correct[n], correct["linear-la"], labels, confidence=1 - 0.05 / 3) for n in "abc"]
    assert [c.p_holm for c in result.secondary] == pytest.approx(holm([e.p_value for e in expected]))
    for contrast, other in zip(result.secondary, expected, strict=True):
        assert (contrast.role, contrast.correction) == ("secondary", "Holm and Bonferroni over 3")
        assert (contrast.low, contrast.high) == pytest.approx((other.low, other.high), abs=2e-6)
        assert contrast.low <= other.low
        assert other.high <= contrast.high


@pytest.mark.parametrize(
    ("validation", "lacking"),
    [
        ({"linear-la": 1}, "no fixed head"),
        ({"etf-la": 1, "map": 2}, "no learned head"),
        ({}, "no fixed and no learned"),
    ],
)
def test_a_kind_is_missing(validation, lacking):
    result = answer({}, [], kinds=KINDS, validation=validation, data="letter")
    assert result.verdict == "none"
    assert result.sentence.startswith("No answer. On letter there is ")
    assert lacking in result.sentence
    assert "--methods etf-la,linear-la" in result.sentence
    assert result.contrast is None
    assert result.secondary == []


def test_a_chosen_head_without_test_results_is_named():
    with pytest.raises(ValueError, match=r"no test results for \['etf-la'\]"):
        answer({"linear-la": [[1]]}, [0], kinds=KINDS, validation={"etf-la": 1, "linear-la": 1}, data="x")


# The words.

ONE_EACH = {"etf-la": 50.0, "linear-la": 60.0}
MADE = {
    "better": ({"etf-la": 1.5, "linear-la": 1.0}, {}),
    "worse": ({"etf-la": 1.0, "linear-la": 1.5}, {}),
    "level": ({"etf-la": 1.3, "linear-la": 1.3}, {"per_class": 3000, "noise": 0.2}),
    "cannot tell": ({"etf-la": 1.2, "linear-la": 1.3}, {"per_class": 10}),
}


@pytest.mark.parametrize("expected", MADE)
def test_sentence(expected):
    ahead, options = MADE[expected]
    result = make(ahead, ONE_EACH, **options)
    assert result.verdict == result.contrast.verdict == expected
    assert result.sentence == f"{expected.capitalize()}. {result.effect} {result.statistics}"
    assert result.effect.startswith("On letter ")
    claims = {
        "better": "a fixed classifier is better:",
        "worse": "a learned classifier is better:",
        "level": "a fixed classifier does as well as a learned one:",
        "cannot tell": "these runs do not decide between a fixed and a learned classifier:",
    }
    assert [key for key, claim in claims.items() if claim in result.effect] == [expected]
    if expected in ("level", "cannot tell"):
        assert not re.search("better|worse|least", result.sentence, flags=re.IGNORECASE)
    if expected == "level":
        assert "inside the margin of 1 point." in result.effect
    assert (result.needed is not None) == (expected == "cannot tell")
    assert "ETF + LA " in result.statistics
    assert "linear-la " in result.statistics
    assert result.statistics.endswith("margin 1 point; one head of either kind.)")
    json.dumps(asdict(result), allow_nan=False)


def test_what_would_settle_it_is_said():
    result = make({"etf-la": 1.2, "linear-la": 1.3}, ONE_EACH, per_class=10)
    assert re.search(r"the interval is [\d.]+ points wide\. If the difference is as found, about ", result.effect)
    counts = f"about {result.needed.runs} runs, or {result.needed.samples} test samples, would settle it."
    assert result.effect.endswith(counts)
    both = replace(result.needed, runs=40, samples=9000)
    text = effect_sentence(result.contrast, both, 1.0, "letter")
    assert text.endswith("If the difference is as found, about 40 runs, or 9,000 test samples, would settle it.")
    only = effect_sentence(result.contrast, replace(both, samples=None), 1.0, "letter")
    assert only.endswith("about 40 runs would settle it; more test samples alone would not.")
    other = effect_sentence(result.contrast, replace(both, runs=None), 1.0, "letter")
    assert other.endswith("about 9,000 test samples would settle it; more runs alone would not.")
    none = effect_sentence(result.contrast, replace(both, runs=None, samples=None), 1.0, "letter")
    assert "Neither more runs alone nor more test samples alone would settle it" in none


def test_one_run_claims_nothing():
    result = make({"etf-la": 0.5, "linear-la": 1.5, "etf-dr": 1.0}, {**ONE_EACH, "etf-dr": 1.0}, runs=1)
    assert result.verdict == "cannot tell"
    assert "one run of each head decides nothing" in result.sentence
    assert "p " not in result.statistics
    assert (result.contrast.low, result.contrast.p_value, result.secondary[0].p_holm) == (None, None, None)
    assert "the fixed head chosen on validation data" in result.statistics
    json.dumps(asdict(result), allow_nan=False)


def contrast_of(difference, low, high, margin, **changes):
    fields = {
        "fixed": "f", "learned": "l", "role": "primary", "correction": "none", "fixed_mean": 90 + difference,
        "learned_mean": 90.0, "difference": difference, "low": low, "high": high, "run_low": low, "run_high": high,
        "confidence": 0.95, "p_value": 0.5, "p_holm": None, "runs": 5, "samples": 4000,
        "verdict": verdict(difference, low, high, margin),
    }  # fmt: skip
    return Contrast(**{**fields, **changes})


def parsed(effect):
    number = r"([+−]?\d+\.\d+)"
    figures = re.search(rf"{number} points of balanced accuracy, 95 % CI \[{number}, {number}\]", effect).groups()
    return [float(text.replace("−", "-")) for text in figures]


near = st.floats(-2, 2, allow_nan=False) | points
kept = near.map(lambda v: round(v, 6)) | st.sampled_from([0.04, -0.04, 0.05, 1.0, -1.0, 1.04, 0.96, 1e-6, -1e-6, 0.0])


@settings(deadline=None, max_examples=500)
@given(kept, kept, kept, margins)
def test_printed_figures_bear_the_verdict_out(x, y, z, margin):
    low, difference, high = sorted((x, y, z))
    contrast = contrast_of(difference, low, high, margin)
    effect = effect_sentence(contrast, None, margin, "letter")
    shown = parsed(effect)
    assert verdict(*shown, margin) == contrast.verdict
    assert [math.copysign(bool(v), v) for v in shown[1:]] == [math.copysign(bool(v), v + 0.0) for v in (low, high)]
    if contrast.verdict == "level":
        printed = re.search(r"the margin of (\S+) point", effect)[1]
        assert float(printed) == margin
        assert ("inside the margin" in effect) == (low <= 0 <= high)
        assert ("above 0, by less than" in effect) == (low > 0)
        assert ("below 0, by less than" in effect) == (high < 0)


@settings(deadline=None, max_examples=300)
@given(st.floats(0, 100), st.floats(0, 100))
def test_printed_means_do_not_contradict_the_printed_difference(a, b):
    difference = round(a - b, 6)
    contrast = contrast_of(difference, difference - 5, difference + 5, 1.0, fixed_mean=a, learned_mean=b)
    text = statistics_sentence(contrast, 1.0, {"f": "ours", "l": "theirs"}, [])
    first, second = map(float, re.search(r"ours (\S+) %, theirs (\S+) %", text).groups())
    shown = parsed(effect_sentence(contrast, None, 1.0, "x"))[0]
    assert abs(first - second - shown) <= 0.06 + 1e-9  # the rounding of the difference, and a tenth of it for the means


@settings(deadline=None)
@given(st.floats(0, 1))
@example(0.0499447034897338)  # 1 - 0.95 is 0.05 and a little: it was printed as 0.05
def test_printed_p_value_is_on_its_side_of_the_level(p):
    assume(abs(p - 0.05) > 1e-7)
    text = statistics_sentence(contrast_of(1.0, -5.0, 5.0, 1.0, p_value=p), 1.0, {"f": "f", "l": "l"}, [])
    sign, value = re.search(r"p ([=<]) ([\d.e-]+)[,;]", text).groups()
    assert (float(value) < 0.05) == (p < 0.05)
    assert (sign == "<") == (p < 0.001)


@pytest.mark.parametrize(
    ("case", "shown"),
    [
        ((2.0, 0.04, 4.0), "+2.00 points of balanced accuracy, 95 % CI [+0.04, +4.00]"),  # never a bound of 0.0
        ((-0.51, -0.99, -0.03), "−0.51 points of balanced accuracy, 95 % CI [−0.99, −0.03], below 0, by less than"),
        (
            (0.02, -0.96, 1.04),
            "+0.02 points of balanced accuracy, 95 % CI [−0.96, +1.04]: the interval is 2 points wide",
        ),
        ((0.02, -0.5, 0.6), "0.0 points of balanced accuracy, 95 % CI [−0.5, +0.6], inside the margin of 1 point."),
        (
            (-5.4, -25.9, 15.2),
            "−5.4 points of balanced accuracy, 95 % CI [−25.9, +15.2]: the interval is 41 points wide.",
        ),
    ],
)
def test_digits(case, shown):
    assert shown in effect_sentence(contrast_of(*case, 1.0), None, 1.0, "letter")


def results_of(rates: dict[str, float], runs: int = 5, samples: int = 400) -> tuple[dict[str, np.ndarray], np.ndarray]:
    generator = np.random.default_rng(0)
    difficulty = generator.random(samples)
    noise = generator.normal(0, 0.05, (runs, samples))
    return {name: difficulty + noise < rate for name, rate in rates.items()}, np.arange(samples) % 4


def test_a_tie_of_validation_scores_decides_nothing_unless_all_pairs_agree() -> None:
    correct, labels = results_of({"means": 0.97, "ridge": 0.96, "logistic": 0.85, "balanced": 0.968})
    kinds = {"means": "computed", "ridge": "computed", "logistic": "learned", "balanced": "learned"}
    scores = dict.fromkeys(correct, 100.0)
    found = answer(correct, labels, kinds=kinds, validation=scores, data="n20")
    assert found.contrast.verdict == "better"  # of the first names in order
    assert (found.verdict, found.word) == ("cannot tell", "Cannot tell")
    assert "cannot choose between heads of equal score (means, ridge and logistic, balanced)" in found.effect
    assert "ridge against balanced" in found.effect
    assert "means against logistic" in found.effect
    # A score that chooses settles it, and so does another head that is as bad.
    assert answer(correct, labels, kinds=kinds, validation=scores | {"balanced": 99.0}, data="n20").verdict == "better"
    correct["balanced"] = correct["logistic"]
    found = answer(correct, labels, kinds=kinds, validation=scores, data="n20")
    assert found.verdict == "better"
    assert "equal score" not in found.effect
