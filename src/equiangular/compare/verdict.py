"""The verdict of a comparison: one rule. Pure."""

from __future__ import annotations

import math

from equiangular.records import Verdict


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
