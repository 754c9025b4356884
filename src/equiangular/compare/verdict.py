"""The verdict of a comparison, one rule, and the records that carry it. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["better", "worse", "level", "cannot tell"]


@dataclass(frozen=True)
class Needed:
    """What would settle an open question, if the estimate is as found.

    Attributes:
        width: width of the present interval in points; None for a single run.
        runs: number of runs that would do on the present test samples; None if no number up to a million does.
        samples: number of test samples that would do with the present runs; None likewise.
    """

    width: float | None
    runs: int | None
    samples: int | None


@dataclass(frozen=True)
class Contrast:
    """One fixed head against one learned head, in points of balanced accuracy, as JSON holds it.

    Attributes:
        fixed: name of the fixed head.
        learned: name of the learned head.
        role: ``"primary"``, both heads chosen on validation data, or ``"secondary"``, another fixed head.
        correction: what makes up for the number of contrasts, ``"none"`` or ``"Holm and Bonferroni over m"``.
        fixed_mean: balanced accuracy of the fixed head in %, mean of the runs.
        learned_mean: that of the learned head.
        difference: fixed less learned.
        low: lower end of the wider interval, over runs or over runs and test samples; None for a single run.
        high: its upper end.
        run_low: lower end of the interval over runs alone.
        run_high: its upper end.
        confidence: level of the intervals, Bonferroni's 1 - (1 - level) / m for secondary ones.
        p_value: two-sided, of no difference; None for a single run.
        p_holm: the same after Holm's correction over the secondary contrasts; None for the primary one.
        runs: number of paired runs.
        samples: number of test samples.
        verdict: what the interval says against the margin.
    """

    fixed: str
    learned: str
    role: Literal["primary", "secondary"]
    correction: str
    fixed_mean: float
    learned_mean: float
    difference: float
    low: float | None
    high: float | None
    run_low: float | None
    run_high: float | None
    confidence: float
    p_value: float | None
    p_holm: float | None
    runs: int
    samples: int
    verdict: Verdict


@dataclass(frozen=True)
class Answer:
    """The answer: a word, the effect, the statistics, and what they rest on.

    Attributes:
        verdict: one of the four, of the primary contrast; ``"none"`` if a kind of head is missing.
        word: the verdict as the sentence opens.
        effect: sentence of the difference and its interval, and of what would settle an open question.
        statistics: sentence in brackets: both means, runs, test samples, p-value; empty if there is no contrast.
        fixed: name of the fixed head that stands for its kind.
        learned: name of the learned head that stands for its kind.
        contrast: the one between the two; None if there is none.
        secondary: the other fixed heads against the same learned one.
        needed: what would settle it; None unless the verdict is ``"cannot tell"``.
        margin: half-width of the range of differences that count as level, in points.
    """

    verdict: Verdict | Literal["none"]
    word: str
    effect: str
    statistics: str
    fixed: str | None
    learned: str | None
    contrast: Contrast | None
    secondary: tuple[Contrast, ...]
    needed: Needed | None
    margin: float

    @property
    def sentence(self) -> str:
        """Word, effect and statistics in one line."""
        return " ".join(part for part in (f"{self.word}.", self.effect, self.statistics) if part)


def verdict(difference: float, low: float, high: float, margin: float) -> Verdict:
    """What an interval of a difference says: the one rule of every answer.

    * ``"level"``: the whole interval inside [-margin, margin], an equivalence test. It comes first: a difference that
      is surely not 0 and surely smaller than the margin is level.
    * ``"better"``: low > 0. ``"worse"``: high < 0.
    * ``"cannot tell"``: anything else, and whatever holds a NaN.

    Args:
        difference: estimate, in points.
        low: lower end of its interval.
        high: upper end.
        margin: largest difference that does not matter, in points, >= 0.

    Raises:
        ValueError: a negative or infinite margin, or an estimate outside its interval.

    Example:
        >>> [verdict(d, d - 1, d + 1, margin=1.5) for d in (0.2, 3.0, -3.0, 0.8)]
        ['level', 'better', 'worse', 'cannot tell']

    Source: Schuirmann, A comparison of the two one-sided tests procedure and the power approach, J. Pharmacokinet.
    Biopharm. 15, 1987 (here with the 95 % interval, the stricter form).
    """
    if not 0 <= margin < math.inf:
        raise ValueError(f"margin must be a number of points >= 0, got {margin!r}; 1 is usual.")
    if math.isnan(difference + low + high):
        return "cannot tell"
    if not low <= difference <= high:
        raise ValueError(f"the difference must lie in its interval, got {difference} and [{low}, {high}].")
    if -margin <= low and high <= margin:
        return "level"
    return "better" if low > 0 else "worse" if high < 0 else "cannot tell"
