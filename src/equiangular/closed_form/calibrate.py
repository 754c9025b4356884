"""The one scale, and the one strength of the class sizes, that turn left-out scores into log posteriors."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from equiangular.posthoc.calibration import LOG_SCALE_STD, STRENGTH_STD, starting_log_scale


class Calibrated(NamedTuple):
    """Scale and strength, whether the samples had a say in them, and their mean loss."""

    scale: float
    strength: float
    by_samples: bool
    loss: float

    def bias(self, counts: Tensor) -> Tensor:
        """What the strength adds to the logits of classes of these sizes (K,), divided by the scale."""
        return _sizes(counts) * (-self.strength / self.scale)


_STEPS, _LARGEST_STEP = 100, 3.0


def left_out_calibration(
    logits: Tensor,
    labels: Tensor,
    weights: Tensor,
    counts: Tensor,
    *,
    start: float | None = None,
    near: Calibrated | None = None,
    tolerance: float = 1e-9,
) -> Calibrated:
    """Scale s and strength t of left-out logits.

    Minimises sum_i w_i CE(s z_i - t log n + log m, y_i) + (log s - log s_0)^2 / (2 0.5^2) + t^2 / (2 0.5^2), with n_k
    the size of class k and m_k the summed weights of its left-out samples.

    s z - t log n are the logits for equally frequent classes; the shift by log m brings them to the frequencies of
    these samples, so every sample counts alike. The strength is there because shrinkage is hard on small classes: the
    scores of a sample whose class has few others are low, also where every class has the same weight. The last two
    terms are weak priors. Where no sample is classified wrong, the likelihood has no optimum: it is s_0 and 0 then.

    Args:
        logits: (M, K) float64.
        labels: (M,) int64.
        weights: (M,) float64, above 0.
        counts: (K,) float64, above 0: n.
        start: s_0; by default that at which the median sample's top class has probability 0.95.
        near: where to begin: what was found for a similar classifier.
        tolerance: the last step is smaller. What is left is about its square, and its fourth power in the loss.

    Sources: Guo et al., "On calibration of modern neural networks", ICML 2017, section 4.2 (scale); Menon et al.,
    "Long-tail learning via logit adjustment", ICLR 2021, section 4.1 (strength).
    """
    many = logits.shape[1] > 1
    origin = math.log(start) if start else (starting_log_scale(logits) if many and len(logits) else 0.0)
    if not many or not len(logits):
        return Calibrated(math.exp(origin), 0.0, False, math.nan)
    mass = torch.zeros(logits.shape[1], dtype=torch.float64, device=logits.device).index_add_(0, labels, weights)
    present = mass > 0
    z, shift, size = logits[:, present], mass[present].log(), _sizes(counts.to(logits))[present]
    target = (present.cumsum(0) - 1)[labels][:, None]
    z_y, size_y = z.gather(1, target)[:, 0], size[target[:, 0]]
    sizes = torch.stack([torch.ones_like(size), size, size.square()], 1)  # (C, 3)

    def objective(log_scale: float, strength: float) -> tuple[float, float, Tensor]:
        """The objective, the mean loss, and the probabilities."""
        scores = (shift - strength * size).add(z, alpha=math.exp(log_scale))
        scores -= scores.amax(1, keepdim=True)
        own = scores.gather(1, target)[:, 0]
        p = scores.exp_()
        total = p.sum(1, keepdim=True)
        loss = float(weights @ (total[:, 0].log() - own))
        penalty = ((log_scale - origin) / LOG_SCALE_STD) ** 2 + (strength / STRENGTH_STD) ** 2
        return loss + penalty / 2, loss / float(weights.sum()), p.div_(total)

    wrong = bool((logits.argmax(1) != labels).any())
    t, strength = (math.log(near.scale), near.strength) if wrong and near is not None else (origin, 0.0)
    value, loss, p = objective(t, strength)
    for _ in range(_STEPS if wrong else 0):  # Newton's method with halved steps
        s, pz = math.exp(t), p * z
        mean_size, mean_square = (p @ sizes[:, 1:]).T
        mean_z, mean_product = (pz @ sizes[:, :2]).T
        by_scale = s * float(weights @ (mean_z - z_y))
        first = by_scale + (t - origin) / LOG_SCALE_STD**2
        second = float(weights @ (size_y - mean_size)) + strength / STRENGTH_STD**2
        tt = s * s * float(weights @ (pz.mul_(z).sum(1) - mean_z.square())) + 1 / LOG_SCALE_STD**2
        ts = -s * float(weights @ (mean_product - mean_z * mean_size))
        ss = float(weights @ (mean_square - mean_size.square())) + 1 / STRENGTH_STD**2
        if (tt + by_scale) * ss > ts**2:  # else what is left is positive definite
            tt += by_scale
        determinant = tt * ss - ts * ts
        step = (ss * first - ts * second) / determinant, (tt * second - ts * first) / determinant
        far = max(abs(step[0]), abs(step[1]))
        length = min(1.0, _LARGEST_STEP / far) if far else 1.0
        decrease = 1e-4 * (first * step[0] + second * step[1])
        for _ in range(_STEPS):  # where rounding hides every decrease, the last and shortest step is taken
            point = t - length * step[0], strength - length * step[1]
            new = objective(*point)
            # Of the last steps, whose decrease is lost in rounding, each is better than the one before.
            if new[0] <= value - length * decrease or far < 1e-4:
                break
            length /= 2
        (t, strength), (value, loss, p) = point, new
        if far < tolerance:
            break
    return Calibrated(math.exp(t), strength, wrong, loss)


def _sizes(counts: Tensor) -> Tensor:
    """log n less its mean."""
    sizes = counts.log()
    return sizes - sizes.mean()
