"""The one scale that turns left-out scores into log posteriors."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from equiangular.posthoc.calibration import LOG_SCALE_STD, starting_log_scale


class Calibrated(NamedTuple):
    """The scale, whether the samples had a say in it, and their mean loss at it."""

    scale: float
    by_samples: bool
    loss: float


_STEPS, _RANGE = 100, 9.0


def left_out_scale(logits: Tensor, labels: Tensor, weights: Tensor, *, start: float | None = None) -> Calibrated:
    """The scale s of left-out logits.

    Minimises sum_i w_i CE(s z_i + log m, y_i) + (log s - log s_0)^2 / (2 0.5^2), m_k the summed weights of class k.
    The shift brings logits that stand for equally frequent classes to the frequencies of these samples, so every
    sample counts alike. The second term is a weak prior. Where no sample is classified wrong, the likelihood has no
    optimum: s_0 it is then.

    Args:
        logits: (M, K) float64.
        labels: (M,) int64.
        weights: (M,) float64, above 0.
        start: s_0; by default that at which the median sample's top class has probability 0.95.

    Source: Guo et al., "On calibration of modern neural networks", ICML 2017, section 4.2.
    """
    many = logits.shape[1] > 1
    origin = math.log(start) if start else (starting_log_scale(logits) if many and len(logits) else 0.0)
    if not many or not len(logits):
        return Calibrated(math.exp(origin), False, math.nan)
    size = torch.zeros(logits.shape[1], dtype=torch.float64, device=logits.device).index_add_(0, labels, weights)
    present = size > 0
    z, shift = logits[:, present], size[present].log()
    target = z.gather(1, (present.cumsum(0) - 1)[labels][:, None])[:, 0]
    wrong = bool((logits.argmax(1) != labels).any())
    low, high, t = origin - _RANGE, origin + _RANGE, origin
    for _ in range(
        _STEPS if wrong else 0
    ):  # Newton's method on log s, kept between points where the slope has opposite signs
        s = math.exp(t)
        p = (s * z + shift).softmax(1)
        mean = (p * z).sum(1)
        variance = (p * (z - mean[:, None]).square()).sum(1)
        first = s * float((weights * (mean - target)).sum())
        second = s * s * float((weights * variance).sum()) + first + 1 / LOG_SCALE_STD**2
        slope = first + (t - origin) / LOG_SCALE_STD**2
        low, high = (low, t) if slope > 0 else (t, high)
        step = t - slope / second if second > 0 else math.nan
        new = step if low < step < high else (low + high) / 2
        if abs(new - t) < 1e-13 * max(1.0, abs(t)):
            break
        t = new
    losses = (math.exp(t) * z + shift).logsumexp(1) - math.exp(t) * target - shift[(present.cumsum(0) - 1)[labels]]
    return Calibrated(math.exp(t), wrong, float((weights * losses).sum() / weights.sum()))
