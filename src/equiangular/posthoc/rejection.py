"""A threshold for "none of these": the score above which at most a stated share of known samples lies."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

from torch import Tensor


def check_rate(rate: Any, name: str = "rate") -> float:
    """Return a rejection rate as a float strictly between 0 and 1."""
    number = float(rate) if isinstance(rate, Real) and not isinstance(rate, bool) else math.nan
    if not 0 < number < 1:
        raise ValueError(
            f"{name} must lie strictly between 0 and 1, got {rate!r}. 0.05 rejects one known sample in 20."
        )
    return number


def rejection_threshold(scores: Tensor, rate: float) -> float:
    """The threshold that rejects at most a share ``rate`` of the samples of known classes, calibrated on held-out ones.

    The m-th largest of n held-out scores with m = floor((n + 1) rate); what is *above* it is rejected. If a new sample
    of a known class and the held-out ones are exchangeable, its score is above the threshold with a probability of
    at most ``rate``, whatever the distribution, and of at least ``rate`` - 1 / (n + 1) where no scores tie. The
    probability is over draws of the held-out part too: the rate given one held-out part scatters by about
    sqrt(rate (1 - rate) / n) around it. Nothing is promised for unknown samples, or for known ones of another class
    prior. Held-out means held out: scores of samples that were trained on are too low.

    Args:
        scores: (n,) floating point, of held-out samples of known classes; the larger, the more unknown, as
            :func:`equiangular.measures.ood_score` gives them.
        rate: the share, in (0, 1).

    Raises:
        ValueError: scores of another shape or with NaN, a rate out of range, or n < 1 / rate - 1, from where on no
            finite threshold keeps the promise.

    Example:
        >>> import torch
        >>> rejection_threshold(torch.arange(1.0, 100.0), 0.05)  # of 1 to 99 the 96 to 99 are rejected
        95.0

    Sources: Vovk, Gammerman and Shafer, "Algorithmic learning in a random world", 2005; Papadopoulos et al.,
    "Inductive confidence machines for regression", ECML 2002 (split conformal prediction).
    """
    rate = check_rate(rate)
    if not isinstance(scores, Tensor) or scores.ndim != 1 or not scores.is_floating_point():
        received = f"{tuple(scores.shape)}, {scores.dtype}" if isinstance(scores, Tensor) else type(scores).__name__
        raise ValueError(f"scores must be a floating-point tensor of shape (n,), got {received}.")
    if bool(scores.isnan().any()):
        raise ValueError("scores must not be NaN; a model that gives NaN for known samples cannot reject by it.")
    allowed = math.floor((len(scores) + 1) * rate + 1e-9)  # 20 * 0.05 is to be 1, however it is rounded
    if not allowed:
        raise ValueError(
            f"{len(scores)} held-out samples are too few to reject at most {100 * rate:g} % of the known ones; "
            f"that takes at least {math.ceil(1 / rate - 1 - 1e-9)}. Hold out more, or allow a larger share."
        )
    return float(scores.topk(allowed).values[-1])
