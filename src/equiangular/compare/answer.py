"""The answer of a comparison: one contrast, one of four verdicts, one sentence that claims no more. Pure."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from equiangular.compare.verdict import verdict
from equiangular.compare.wording import DIGITS, effect_sentence, statistics_sentence, tied_sentence
from equiangular.measures.crossed import CrossedDifference, crossed_difference
from equiangular.measures.significance import holm
from equiangular.records import Answer, Contrast, Needed, Verdict

_MOST = 10**6  # runs or test samples; what needs more is not worth planning
# The two sides of an answer: the kinds of heads on each.
SIDES = {"fixed": ("fixed", "computed"), "learned": ("learned",)}
EXAMPLE = {"fixed": "etf-la", "learned": "linear-la"}
ON_FEATURES = {"fixed": "ridge", "learned": "logistic"}
# Two significant digits: 1, 2, ..., 99, 100, 110, ..., 990, 1000, 1100, ...
_COUNTS = np.array([*range(1, 100), *(n * 10**e for e in range(1, 6) for n in range(10, 100)), _MOST])


def needed(comparison: CrossedDifference, margin: float) -> Needed:
    """How many runs, or how many test samples, would settle the question if the estimate D is as found.

    The interval has to leave out 0 or to fit into the margin: half-width h* = max(|D|, margin - |D|). More runs shrink
    what comes from the runs, more test samples what comes from them (``CrossedDifference.half_width``). The smallest
    number of two significant digits, above the present one, that gets below h*.

    Args:
        comparison: as found.
        margin: in points.

    Returns:
        Width, runs, samples.
    """
    if comparison.n_runs == 1:
        return Needed(None, None, None)
    target = max(abs(comparison.mean_difference), margin - abs(comparison.mean_difference))
    runs, samples = (_COUNTS[present < _COUNTS] for present in (comparison.n_runs, comparison.n_samples))
    return Needed(
        width=comparison.high - comparison.low,
        runs=_first(runs, comparison.half_width(runs=runs) < target),
        samples=_first(samples, comparison.half_width(samples=samples) < target),
    )


def _first(counts: np.ndarray, enough: np.ndarray) -> int | None:
    return int(counts[np.argmax(enough)]) if enough.any() else None


def choose(validation: Mapping[str, float], kinds: Mapping[str, str], kind: str) -> str | None:
    """The head of a side with the best validation score, the first of equals; None if the side has no score.

    A choice made on test scores would favour the side with more heads. NaN, as of a run that diverged, is no score.

    Args:
        validation: validation score of each head, higher is better.
        kinds: ``"fixed"``, ``"computed"``, ``"mapped"`` or ``"learned"`` for each head.
        kind: the side to choose from: ``"fixed"``, computed heads among them, or ``"learned"``.

    Example:
        >>> choose({"etf-la": 81.0, "etf-dr": 83.0, "linear-la": 84.0}, {"etf-la": "fixed", "etf-dr": "fixed"}, "fixed")
        'etf-dr'
    """
    heads = [name for name, score in validation.items() if kinds.get(name) in SIDES[kind] and not math.isnan(score)]
    return max(heads, key=lambda name: validation[name], default=None)


def choose_pair(
    validation: Mapping[str, float], kinds: Mapping[str, str], named: Collection[str] = ()
) -> tuple[str | None, str | None]:
    """The best head of each side: both are given the class names, or neither is.

    Names are worth more than any classifier where samples are few, so a head with names against one without would
    measure the names. Of the two pairs, with names and without, the one with the higher mean validation score counts.
    Where there is no such pair the best of each side stand.

    Example:
        >>> scores = {"kernel-names": 83.0, "kernel": 74.0, "logistic": 79.0, "logistic-names": 82.0}
        >>> kinds = {name: "computed" if name.startswith("k") else "learned" for name in scores}
        >>> choose_pair(scores, kinds, named={"kernel-names", "logistic-names"})
        ('kernel-names', 'logistic-names')
    """
    pairs = []
    for with_names in (True, False):  # the first of equals: names cost nothing
        alike = {name: score for name, score in validation.items() if (name in named) == with_names}
        pairs.append([choose(alike, kinds, kind) for kind in EXAMPLE])
    fair = [(first, second) for first, second in pairs if first is not None and second is not None]
    if fair:
        return max(fair, key=lambda pair: validation[pair[0]] + validation[pair[1]])
    return choose(validation, kinds, "fixed"), choose(validation, kinds, "learned")


def tied(
    validation: Mapping[str, float], kinds: Mapping[str, str], named: Collection[str], head: str, kind: str
) -> list[str]:
    """The heads of a side between which validation data do not choose, the one that was taken first.

    Example:
        >>> tied({"a": 100.0, "b": 100.0, "c": 99.0}, dict.fromkeys("abc", "learned"), (), "a", "learned")
        ['a', 'b']
    """
    alike = (name for name in validation if kinds.get(name) in SIDES[kind] and (name in named) == (head in named))
    equal = [name for name in alike if math.isclose(validation[name], validation[head], rel_tol=0, abs_tol=1e-9)]
    return [head, *(name for name in equal if name != head)]


def answer(
    correct: Mapping[str, Any],
    labels: Any,
    *,
    kinds: Mapping[str, str],
    validation: Mapping[str, float],
    data: str,
    names: Mapping[str, str] | None = None,
    margin: float = 1.0,
    confidence: float = 0.95,
    blind: int = 0,
    named: Collection[str] = (),
) -> Answer:
    """Best fixed or computed against best learned head, both chosen on validation data; the other fixed heads beside.

    The primary contrast is one test that no test score selected, so nothing corrects it. Where validation scores of a
    side are equal, every pair of such heads is looked at: unless all have one verdict, it is "cannot tell". The m
    secondary ones, each other fixed head against the same learned head, have Holm's p-values and Bonferroni's
    intervals; they never decide.

    Args:
        correct: (R, M) booleans for each head: run r is right on test sample i; the same runs and samples for all.
        labels: (M,) integer classes of the test samples.
        kinds: kind of each head; ``"fixed"`` and ``"computed"`` are one side, ``"learned"`` the other.
        validation: validation score of each head, higher is better.
        data: what the sentence calls the data set.
        names: what the sentence calls each head; its key where missing.
        margin: largest difference that does not matter, in points.
        confidence: level of the primary interval.
        blind: number of classes that the validation scores have no sample of; said in the answer.
        named: the heads that are given the class names, see :func:`choose_pair`.

    Raises:
        ValueError: runs or test samples that are not the same for all heads, a margin or level out of range.
        ImportError: SciPy is missing.
    """
    fixed, learned = choose_pair(validation, kinds, named)
    if fixed is None or learned is None:
        example = ON_FEATURES if "computed" in kinds.values() else EXAMPLE
        lacking = [kind for kind, head in zip(EXAMPLE, (fixed, learned), strict=True) if head is None]
        effect = (
            f"On {data} there is no {' and no '.join(lacking)} head with a validation score to compare: add one, for "
            f"example --methods {','.join(example.values())}."
        )
        return Answer("none", "No answer", effect, "", fixed, learned, None, [], None, margin)
    if absent := [name for name in (fixed, learned) if name not in correct]:
        raise ValueError(f"no test results for {absent}, the best on validation data; got results for {list(correct)}.")
    found = crossed_difference(correct[fixed], correct[learned], labels, confidence=confidence)
    primary = _contrast(fixed, learned, found, margin, m=None)
    equals = [
        [name for name in tied(validation, kinds, named, head, side) if name in correct]
        for side, head in (("fixed", fixed), ("learned", learned))
    ]
    pairs = [
        _contrast(a, b, crossed_difference(correct[a], correct[b], labels, confidence=confidence), margin, m=None)
        for a, b in itertools.product(*equals)
        if (a, b) != (fixed, learned)
    ]
    # Where validation data leave open which head stands for its side, the verdict must not hang on the order of names.
    undecided = [other for other in pairs if other.verdict != primary.verdict]
    given = {side: name in named for side, name in (("fixed", fixed), ("learned", learned))}
    # Beside a pair that is alike, those that are like it: a difference that names make is none of the classifiers.
    others = [
        name
        for name in correct
        if kinds.get(name) in SIDES["fixed"]
        and name != fixed
        and (len(set(given.values())) > 1 or (name in named) == given["fixed"])
    ]
    level = 1 - (1 - confidence) / max(len(others), 1)
    beside = [crossed_difference(correct[name], correct[learned], labels, confidence=level) for name in others]
    adjusted = holm([d.p_value for d in beside]) if found.n_runs > 1 else [math.nan] * len(beside)
    secondary = [
        _contrast(name, learned, difference, margin, m=len(others), p_holm=p)
        for name, difference, p in zip(others, beside, adjusted, strict=True)
    ]
    missing = needed(found, margin) if primary.verdict == "cannot tell" else None
    shown = {name: (names or {}).get(name, name) for name in correct}
    said: Verdict = "cannot tell" if undecided else primary.verdict
    words = {"fixed": kinds[fixed], "learned": "learned"}
    choice = [words[side] for side, of in SIDES.items() if sum(kinds.get(name) in of for name in validation) > 1]
    have = [words[side] for side in SIDES if given[side]]
    effect = effect_sentence(primary, missing, margin, data, words["fixed"], have)
    if undecided:
        effect = tied_sentence([primary, *pairs], equals, margin, data, shown, have)
    return Answer(
        verdict=said,
        word=said.capitalize(),
        effect=effect,
        statistics=statistics_sentence(primary, margin, shown, choice, blind),
        fixed=fixed,
        learned=learned,
        contrast=primary,
        secondary=secondary,
        needed=missing,
        margin=margin,
    )


def _contrast(
    fixed: str, learned: str, found: CrossedDifference, margin: float, m: int | None, p_holm: float = math.nan
) -> Contrast:
    """A contrast as JSON holds it; bounds are rounded outward before they are judged, so that they can be printed."""
    scale = 10**DIGITS
    low, run_low = (math.floor(v * scale) / scale if v == v else math.nan for v in (found.low, found.run_low))
    high, run_high = (math.ceil(v * scale) / scale if v == v else math.nan for v in (found.high, found.run_high))
    difference = round(found.mean_difference, DIGITS)
    figures = {"low": low, "high": high, "run_low": run_low, "run_high": run_high}
    figures |= {"p_value": found.p_value, "p_holm": p_holm}
    return Contrast(
        fixed=fixed,
        learned=learned,
        role="primary" if m is None else "secondary",
        correction="none" if m is None else f"Holm and Bonferroni over {m}",
        fixed_mean=found.mean_a,
        learned_mean=found.mean_b,
        difference=difference,
        **{key: None if math.isnan(value) else value for key, value in figures.items()},
        confidence=found.confidence,
        runs=found.n_runs,
        samples=found.n_samples,
        verdict=verdict(difference, low, high, margin),
    )
