"""How fast dot-regression, dot and cross-entropy bring unit-norm features to their vertex, from one start."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from equiangular._random import make_generator
from equiangular._validate import check_choice, check_positive
from equiangular.frames import simplex_etf

LOSSES = ("dr", "dot", "ce")


def descend(
    loss: str, start: Tensor, frame: Tensor, *, learning_rate: float = 0.5, steps: int = 2000, scale: float = 1.0
) -> Tensor:
    """Gradient descent of one unit-norm feature a class, each step followed by normalisation.

    Gradients by formula, with respect to the feature: DR -(1 - cos) w, dot -w, CE scale (sum_j p_j w_j - w) with
    p = softmax(scale W h).

    Args:
        loss: ``"dr"``, ``"dot"`` or ``"ce"``.
        start: (K, d) unit rows.
        frame: W (K, d) unit rows; the feature in row k belongs to class k.
        learning_rate: step size, the same for all losses.
        steps: number of steps.
        scale: scale of the logits of CE.

    Returns:
        (steps + 1, K) angles in radians between each feature and its vertex, the start included. Angles are taken from
        the difference of unit vectors, 2 arcsin(||h - w|| / 2), which 1 - cos could not resolve below 1e-8.

    Raises:
        ValueError: an unknown loss, or a learning rate or scale that is not above 0.
    """
    check_choice(loss, LOSSES, "loss")
    check_positive(learning_rate, "learning_rate")
    check_positive(scale, "scale")
    h, angles = start.clone(), []
    for step in range(steps + 1):
        angles.append(2 * torch.asin(((h - frame).norm(dim=1) / 2).clamp(max=1)))
        if step == steps:
            break
        if loss == "ce":
            gradient = scale * ((scale * h @ frame.T).softmax(1) @ frame - frame)
        else:
            slack = (h - frame).square().sum(1, keepdim=True) / 2 if loss == "dr" else 1.0  # 1 - cos
            gradient = -slack * frame
        h = torch.nn.functional.normalize(h - learning_rate * gradient, dim=1)
    return torch.stack(angles)


def random_start(num_classes: int, dim: int, *, seed: int = 0) -> Tensor:
    """(K, d) unit rows, uniform on the sphere: almost orthogonal to their vertices."""
    draw = torch.randn(num_classes, dim, generator=make_generator(seed), dtype=torch.float64)
    return torch.nn.functional.normalize(draw, dim=1)


def convergence_study(
    *,
    num_classes: int = 100,
    dim: int = 128,
    learning_rates: Sequence[float] = (0.1, 0.5, 1.0),
    ce_scales: Sequence[float] = (1.0, 8.0, 32.0),
    steps: int = 2000,
    seed: int = 0,
) -> dict[str, Any]:
    """1 - cos over steps for each loss and learning rate, from random starts and from opposite ones.

    Returns:
        ``curves``: for each run its loss, scale, learning rate and start; mean 1 - cos at logarithmically spaced steps;
        the number of steps to reach 0.1, 0.01, 1e-3 and 1e-6 (None: not within ``steps``); and the exponent of the
        tail, the slope of log(1 - cos) against log(step) over the last decade of steps: -1 for a decay like 1/step,
        None where float64's limit is reached before. ``dr_ahead_of_dot``: for each start and learning rate the last
        step at which DR's mean 1 - cos is below the dot loss's, and that value; None where it never is. DR pulls harder
        than the dot loss only where cos < 0.
    """
    frame = simplex_etf(num_classes, dim, seed=seed, dtype=torch.float64)
    near = random_start(num_classes, dim, seed=seed)
    far = torch.nn.functional.normalize(0.05 * near - frame, dim=1)
    marks = sorted({round(10 ** (i / 8)) for i in range(64)} | {0, 100, 1000, 2000})
    marks = [m for m in marks if m <= steps]
    cases = [("dr", 1.0), ("dot", 1.0), *(("ce", s) for s in ce_scales)]
    curves: list[dict[str, Any]] = []
    gaps: dict[tuple[str, str, float], Tensor] = {}
    for where, start in (("random", near), ("opposite", far)):
        for loss, scale in cases:
            for rate in learning_rates:
                angles = descend(loss, start, frame, learning_rate=rate, steps=steps, scale=scale)
                gap = (2 * torch.sin(angles / 2).square()).mean(1)  # 1 - cos
                gaps[where, loss, rate] = gap
                curve = {"start": where, "loss": loss, "scale": scale, "learning_rate": rate, "steps": marks}
                curve["one_minus_cos"] = [float(gap[m]) for m in marks]
                curve["steps_to"] = {f"{level:g}": _first_below(gap, level) for level in (0.1, 0.01, 1e-3, 1e-6)}
                curves.append({**curve, "tail_exponent": _tail_exponent(gap)})
    leads = [
        {"start": where, "learning_rate": rate, **_lead(gaps[where, "dr", rate], gaps[where, "dot", rate])}
        for where in ("random", "opposite")
        for rate in learning_rates
    ]
    return {"num_classes": num_classes, "dim": dim, "seed": seed, "curves": curves, "dr_ahead_of_dot": leads}


def _first_below(gap: Tensor, level: float) -> int | None:
    below = (gap < level).nonzero()
    return int(below[0]) if len(below) else None


def _lead(gap: Tensor, other: Tensor) -> dict[str, float | None]:
    """The last step at which ``gap`` is the smaller one, and its value there."""
    ahead = (gap < other).nonzero()
    last = int(ahead[-1]) if len(ahead) else None
    return {"until_step": last, "one_minus_cos": None if last is None else float(gap[last])}


def _tail_exponent(gap: Tensor) -> float | None:
    """Slope on log-log axes over the last decade of steps; None where the limit of float64 is reached before it."""
    last = len(gap) - 1
    first = max(1, last // 10)
    if float(gap[last]) < 1e-28:
        return None
    return float((gap[last] / gap[first]).log() / torch.tensor(last / first).log())
