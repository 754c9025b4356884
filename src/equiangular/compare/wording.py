"""The answer in words. It prints figures so that the verdict on what is printed is the verdict on what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from equiangular._counted import counted
from equiangular.compare.verdict import verdict
from equiangular.records import Contrast, Needed

DIGITS = 6  # to which differences and bounds are kept; enough to print any of them as it was judged


def effect_sentence(
    contrast: Contrast, needed: Needed | None, margin: float, data: str, kind: str = "fixed", named: Sequence[str] = ()
) -> str:
    """The difference and its interval, in words and digits that the verdict on the printed figures bears out.

    ``kind`` says what the head is that is compared with a learned one: ``"fixed"`` or ``"computed"``; ``named`` which
    of the two kinds are given the class names, whose worth is not that of a classifier.
    """
    data, alone = _with_names(data, named)
    decimals = _decimals(contrast, margin)
    difference = f"{_signed(contrast.difference, decimals)} points of balanced accuracy"
    if contrast.low is None or contrast.high is None:
        return (
            f"On {data} one run of each head decides nothing: {difference}, without an interval. Repeat with more "
            f"seeds, five for example.{alone}"
        )
    low, high = (_signed(bound, decimals) for bound in (contrast.low, contrast.high))
    figures = f"{difference}, {100 * contrast.confidence:g} % CI [{low}, {high}]"
    if contrast.verdict == "level":
        apart = "above 0, by less than" if contrast.low > 0 else "below 0, by less than"
        side = "inside" if contrast.low <= 0 <= contrast.high else apart
        opening = (
            f"a {kind} classifier does as well as a learned one: {figures}, {side} the margin of {_points(margin)}"
        )
    elif contrast.verdict == "cannot tell":
        width = round(contrast.high, decimals) - round(contrast.low, decimals)
        opening = f"these runs do not decide between a {kind} and a learned classifier: {figures}: the interval is "
        opening += f"{_points(round(width, 0 if width >= 10 else decimals))} wide. {_settle(needed)}"
    else:
        opening = f"a {kind if contrast.verdict == 'better' else 'learned'} classifier is better: {figures}"
    return f"On {data} {opening}.{alone}"


def tied_sentence(
    contrasts: Sequence[Contrast],
    tied: Sequence[Sequence[str]],
    margin: float,
    data: str,
    names: Mapping[str, str],
    named: Sequence[str] = (),
) -> str:
    """That validation data leave open which of the ``tied`` heads of each side to take, and what hangs on it.

    ``contrasts`` are those of all their pairs, the one that was taken first; ``named`` as in :func:`effect_sentence`.
    """
    data, alone = _with_names(data, named)
    heads = " and ".join(
        f"{', '.join(names[n] for n in side[:3])}{f' and {len(side) - 3} more' if len(side) > 3 else ''}"
        for side in tied
        if len(side) > 1
    )
    least, most = (pick(contrasts, key=lambda c: c.difference) for pick in (min, max))
    told = [
        f"{_signed(c.difference, _decimals(c, margin))} ({c.verdict}: {names[c.fixed]} against {names[c.learned]})"
        for c in (least, most)
    ]
    return (
        f"On {data} validation data cannot choose between heads of equal score ({heads}), and the answer hangs on "
        f"which is taken: from {told[0]} to {told[1]} points of balanced accuracy. More samples held out would choose: "
        f"more data, or --validation.{alone}"
    )


def _with_names(data: str, named: Sequence[str]) -> tuple[str, str]:
    """What is said of the data where both sides are given the class names, and at the end where one is."""
    if len(named) == 1:
        return data, f" The class names are given to the {named[0]} one alone, so the difference may be theirs."
    return data + ", with the class names given to both," * (len(named) == 2), ""


def _settle(needed: Needed | None) -> str:
    runs, samples = (needed.runs, needed.samples) if needed else (None, None)
    counts = [counted(n, unit) for n, unit in ((runs, "run"), (samples, "test sample")) if n]
    if not counts:
        return "Neither more runs alone nor more test samples alone would settle it if the difference is as found"
    if len(counts) == 2:
        return f"If the difference is as found, about {counts[0]}, or {counts[1]}, would settle it"
    other = "runs" if samples else "test samples"
    return f"If the difference is as found, about {counts[0]} would settle it; more {other} alone would not"


def statistics_sentence(
    contrast: Contrast, margin: float, names: Mapping[str, str], choice: Sequence[str], blind: int = 0
) -> str:
    """Both means, runs, test samples, p-value and margin in brackets; the kinds of which a head was chosen, and how."""
    decimals = _decimals(contrast, margin)
    pair = (contrast.fixed_mean, contrast.learned_mean)
    first, second = (round(mean, decimals) for mean in pair)
    agree = round(first - second, decimals) == round(contrast.difference, decimals)
    means = (f"{mean:.{decimals + (not agree)}f} %" for mean in pair)
    heads = ", ".join(f"{names[n]} {mean}" for n, mean in zip((contrast.fixed, contrast.learned), means, strict=True))
    parts = [f"{counted(contrast.runs, 'paired run')}, {counted(contrast.samples, 'test sample')}"]
    if contrast.p_value is not None:
        parts.append(_p_text(contrast.p_value, round(1 - contrast.confidence, 12)))
    parts.append(f"margin {_points(margin)}")
    how = "chosen on validation data"
    if blind:
        how += f", which has no sample of {counted(blind, 'class')}"
    chosen = {0: "one head of either kind", 1: f"the {''.join(choice)} head {how}"}
    return f"({heads}; {', '.join(parts)}; {chosen.get(len(choice), f'both heads {how}')}.)"


def _decimals(contrast: Contrast, margin: float) -> int:
    """Fewest decimals that leave the signs of the bounds and the verdict as they are."""
    if contrast.low is None or contrast.high is None:
        return 1
    bounds = (contrast.low, contrast.high)
    for decimals in range(1, DIGITS):
        low, high = (round(bound, decimals) for bound in bounds)
        same = verdict(round(contrast.difference, decimals), low, high, margin) == contrast.verdict
        if same and np.array_equal(np.sign((low, high)), np.sign(bounds)):
            return decimals
    return DIGITS


def _signed(value: float, decimals: int) -> str:
    shown = round(value, decimals)
    return f"{shown:+.{decimals}f}".replace("-", "−") if shown else f"{0:.{decimals}f}"


def _points(value: float) -> str:
    text = f"{value:g}" if float(f"{value:g}") == value else repr(value)
    return f"{text} point{'s' * (value != 1)}"


def _p_text(p: float, level: float) -> str:
    """Two significant digits, more if they would move p across the level."""
    if p < 0.001:
        return "p < 0.001"
    digits = next((d for d in range(2, 9) if (float(f"{p:.{d}g}") < level) == (p < level)), 9)
    return f"p = {p:.{digits}g}"
