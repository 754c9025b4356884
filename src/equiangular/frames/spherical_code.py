"""Optimised spherical codes: K class vectors in d dimensions, any K, with annealed gradients on the sphere."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor
from torch.nn.functional import normalize

from equiangular._random import make_generator
from equiangular._validate import Device, Dtype, check_choice, check_int, check_num_classes, check_positive
from equiangular.frames.bounds import levenshtein_bound, rankin_bound
from equiangular.frames.code_objectives import CHUNK_SIZE, cosine_range, smooth_max_cosine, smooth_softmax_margin

Objective = Literal["max_cosine", "softmax"]
OBJECTIVES: tuple[Objective, ...] = get_args(Objective)
_LADDER = (1.0, 0.3, 0.1, 0.03, 0.01, 3e-3, 1e-3, 1e-4, 1e-5, 1e-6)  # temperatures of the quasi-Newton method
_STARTS = (0, 3, 4, 2)  # where on the ladder restart 0, 1, 2, 3, 4 = 0, ... begins: different basins are found
_LBFGS: dict[str, Any] = {"history_size": 20, "line_search_fn": "strong_wolfe"}
SMALL_PROBLEM = 10**8  # K^2 d up to which the quasi-Newton method in float64 is used
DENSE_WORK = 10**12  # operations of a step up to which it looks at every pair of classes

Progress = Callable[[int, int, float], None]


def spherical_code(
    num_classes: int,
    dim: int,
    *,
    objective: Objective = "max_cosine",
    steps: int | None = None,
    restarts: int = 1,
    seed: int = 0,
    chunk_size: int = CHUNK_SIZE,
    tolerance: float = 1e-7,
    progress: Progress | None = None,
    device: Device = None,
    dtype: Dtype = None,
) -> Tensor:
    """Optimise unit vectors (K, d) from random starts; the result is a local optimum, never a proof.

    ``objective="max_cosine"`` minimises max_{i != j} <w_i, w_j> (the Tammes problem), smoothed at a temperature that
    falls. ``objective="softmax"`` maximises the smallest distance of a vector from the convex hull of the others
    (the softmax code of Jiang et al. 2024), over the vectors and one direction per class together.

    Three methods, by size:

    - K^2 d <= 1e8: L-BFGS in float64 down a ladder of ten temperatures; restarts begin at different rungs.
    - K^2 (4d + 350) <= 1e12, at d = 512 up to K = 20,000: momentum on row-normalised Riemannian gradients in float32,
      the step size falling as a cosine and the temperature geometrically. Every pair counts in every step: O(K^2 d)
      time, O(K d + chunk_size^2) memory.
    - beyond: the same, but in every step the classes are split at random into groups of ``chunk_size`` and only
      pairs within a group count: O(K chunk_size d) time. Most pairs are looked at rarely or never, so that the result
      is an approximation whose largest cosine stays well above what a code of that size can have:
      :func:`equiangular.frames.spread_frame` has closed forms for such sizes.

    Measure what came out with :func:`equiangular.frames.frame_report` or :func:`equiangular.frames.explain_frame`.

    Args:
        num_classes, dim: K >= 2 and d >= 1.
        objective: ``"max_cosine"`` or ``"softmax"``.
        steps: L-BFGS iterations at each temperature (600 if None), a third of it at the low ones; for the other two
            methods gradient steps in all (200 and 50 if None).
        restarts: random starts; the best is returned.
        seed: seed of the starts. Same seed, same device, same result; the starts are the same on every device.
        chunk_size: rows of a tile of the Gram matrix, and the size of a group in the stochastic method.
        tolerance: no further restart when the result is this close to a lower bound (``max_cosine`` only).
        progress: called as progress(done, total, value) with the steps or stages done and the largest cosine, or
            minus the smallest margin, reached so far.
        device: where to compute, and device of the result.
        dtype: dtype of the result, torch's default if None.

    Raises:
        ValueError: an impossible size, an unknown objective or a non-positive setting.

    Example:
        >>> weight = spherical_code(12, 3, dtype=torch.float64)  # finds the icosahedron
        >>> round(cosine_range(weight)[1], 5)
        0.44721

    Source: Tammes 1930; Cohn, "Small spherical codes" (energy minimisation with rising exponents); Jiang et al.,
    "Generalized neural collapse for a large number of classes", ICML 2024, section 3.
    """
    k = check_num_classes(num_classes)
    d = check_int(dim, "dim", minimum=1, hint="A class vector needs at least one coordinate.")
    if d == 1 and k > 2:
        raise ValueError(f"one dimension has two unit vectors, got num_classes={k}. Use at least 2 dimensions.")
    check_choice(objective, OBJECTIVES, "objective")
    small = k * k * d <= SMALL_PROBLEM
    dense = work_of_a_step(k, d) <= DENSE_WORK
    if steps is None:
        steps = 600 if small else 200 if dense else 50
    check_int(steps, "steps", minimum=1)
    check_int(restarts, "restarts", minimum=1)
    check_int(chunk_size, "chunk_size", minimum=2)
    check_positive(tolerance, "tolerance")
    device = torch.device(device or "cpu")
    compute = torch.float64 if small and device.type != "mps" else torch.float32
    generator = make_generator(seed)
    total = restarts * (len(_LADDER) if small else steps)
    best: Tensor
    best_value, done = math.inf, 0
    for restart in range(restarts):
        drawn = torch.randn(k, d, generator=generator, dtype=torch.float64, device="cpu")
        start = normalize(drawn, dim=1).to(device, compute)
        x = start[None] if objective == "max_cosine" else torch.stack([start, start])
        if small:
            stages = _quasi_newton(x, _LADDER[_STARTS[restart % len(_STARTS)] :], steps, chunk_size)
        else:
            stages = _momentum(x, steps, chunk_size, None if dense else generator)
        for after, value in stages:
            x, done = after, done + 1
            if progress is not None:
                progress(done, total, min(value, best_value))
        if restarts == 1:
            best = x[0]
            break
        value = _measure(x, chunk_size)
        if restart == 0 or value < best_value:
            best, best_value = x[0], value
        if objective == "max_cosine" and best_value <= max(levenshtein_bound(k, d), rankin_bound(k, d)) + tolerance:
            break
    return best.to(dtype or torch.get_default_dtype())


def _evaluate(x: Tensor, temperature: float, chunk_size: int) -> tuple[float, float, Tensor]:
    """Smoothed objective, exact value and Euclidean gradient of (1, K, d) vectors or (2, K, d) with directions."""
    if len(x) == 1:
        value, exact, gradient = smooth_max_cosine(x[0], temperature, chunk_size=chunk_size)
        return value, exact, gradient[None]
    value, exact, to_weight, to_directions = smooth_softmax_margin(x[0], x[1], temperature, chunk_size=chunk_size)
    return value, exact, torch.stack([to_weight, to_directions])


def _measure(x: Tensor, chunk_size: int) -> float:
    return cosine_range(x[0], chunk_size=chunk_size)[1] if len(x) == 1 else _evaluate(x, 1.0, chunk_size)[1]


def _tangent(gradient: Tensor, x: Tensor) -> Tensor:
    """The part of the gradient along the sphere: g - <g, x> x, row by row."""
    return gradient - (gradient * x).sum(-1, keepdim=True) * x


def _quasi_newton(
    x: Tensor, temperatures: tuple[float, ...], steps: int, chunk_size: int
) -> Iterator[tuple[Tensor, float]]:
    """L-BFGS over free vectors v, w = v / ||v||, one temperature after the other; yields (x, exact value)."""
    for temperature in temperatures:
        free = x.clone().requires_grad_(True)
        most = steps if temperature >= 0.01 else max(1, steps // 3)
        optimizer = torch.optim.LBFGS([free], max_iter=most, tolerance_grad=1e-12, tolerance_change=1e-14, **_LBFGS)

        def closure(free: Tensor = free, temperature: float = temperature) -> float:
            length = torch.linalg.vector_norm(free.detach(), dim=-1, keepdim=True)
            unit = free.detach() / length
            value, _, gradient = _evaluate(unit, temperature, chunk_size)
            free.grad = _tangent(gradient, unit) / length
            return value

        optimizer.step(closure)
        after = normalize(free.detach(), dim=-1)
        x = after if bool(torch.isfinite(after).all()) else x
        yield x, _measure(x, chunk_size)


def _momentum(
    x: Tensor, steps: int, chunk_size: int, generator: torch.Generator | None
) -> Iterator[tuple[Tensor, float]]:
    """Momentum with annealing; yields (x, exact value over the pairs that were looked at).

    With a generator only pairs within random groups of ``chunk_size`` classes are looked at.
    """
    _, k, d = x.shape
    scale = min(1 / math.sqrt(d), 1 - levenshtein_bound(k, d))  # spread of the cosines that matter
    reach = min(1.0, math.sqrt(2 * (1 - levenshtein_bound(k, d))))  # distance to the nearest neighbour
    coldest = 1 / 30 if generator is None else 1 / 10  # unseen pairs need some warmth to be kept apart on average
    velocity = torch.zeros_like(x)
    for i in range(steps):
        progress = i / max(1, steps - 1)
        temperature = 0.35 * scale * coldest**progress
        size = 0.25 * reach * (1 + math.cos(math.pi * progress))
        exact = -math.inf
        groups: Sequence[slice | Tensor] = [slice(None)]
        if generator is not None:
            groups = torch.randperm(k, generator=generator, device="cpu").to(x.device).split(chunk_size)
        for group in groups:
            part = x[:, group]
            _, value, gradient = _evaluate(part, temperature, chunk_size)
            exact = max(exact, value)
            gradient = normalize(_tangent(gradient, part), dim=-1)
            velocity[:, group] = 0.9 * _tangent(velocity[:, group], part) + 0.1 * gradient
            x[:, group] = normalize(part - size * velocity[:, group], dim=-1)
        yield x, exact


def work_of_a_step(num_classes: int, dim: int) -> int:
    """Floating-point operations of one dense gradient, the exponentials and passes over the Gram matrix included."""
    return num_classes**2 * (4 * dim + 350)
