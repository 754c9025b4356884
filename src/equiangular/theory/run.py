"""Everything the theory says, computed in one go, nothing drawn; four classes in three dimensions watched."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from equiangular._provenance import provenance
from equiangular._random import make_generator
from equiangular.frames import simplex_etf
from equiangular.theory.dynamics import convergence_study, gradient_parts
from equiangular.theory.layer_peeled import common_optimum, project_frobenius, project_rows
from equiangular.theory.minority import RATIOS, compare_classifiers, minority_collapse

BALANCED, IMBALANCED = (1.0, 1.0, 1.0, 1.0), (300.0, 300.0, 1.0, 1.0)


def watch_collapse(
    class_counts: Sequence[float],
    *,
    learnable: bool,
    per_class: int = 8,
    frames: int = 80,
    steps: int = 12_000,
    e_h: float = 5.0,
    seed: int = 0,
) -> dict[str, Any]:
    """Projected gradient descent with CE from random features, recorded at logarithmically spaced steps.

    Several features a class, each a free variable in the ball ||h||^2 <= E_H and weighted n_k / (N per_class).

    Args:
        class_counts: samples of each of the four classes.
        learnable: whether the classifier is learned ((1/K) sum ||w_k||^2 <= 1) or a fixed tetrahedron.
        per_class: features of each class.
        frames: recorded moments at most.
        steps: gradient steps.
        e_h: bound on the squared norm of a feature.
        seed: seed of the start.

    Returns:
        ``features``: per moment (4 per_class, 3) unit-ball coordinates h / sqrt(E_H), ``weight``: per moment (4, 3),
        ``labels``, ``steps`` and the mean cosine of the two last classes' classifier vectors, all lists.
    """
    share = torch.tensor(class_counts, dtype=torch.float64)
    labels = torch.arange(4).repeat_interleave(per_class)
    sample = (share / share.sum() / per_class)[labels][:, None]
    generator = make_generator(seed)
    h = project_rows(torch.randn(4 * per_class, 3, generator=generator, dtype=torch.float64), e_h)
    drawn = torch.randn(4, 3, generator=generator, dtype=torch.float64)
    w = project_frobenius(drawn, 4.0) if learnable else simplex_etf(4, 3, seed=seed, dtype=torch.float64)
    moments = {0, *(round(1.16**i) for i in range(200))}
    moments = set(sorted(m for m in moments if m <= steps)[-frames:]) | {0, steps}
    history: dict[str, list] = {"steps": [], "features": [], "weight": [], "tail_cosine": []}
    onehot = torch.nn.functional.one_hot(labels, 4).double()
    for step in range(steps + 1):
        if step in moments:
            unit = torch.nn.functional.normalize(w, dim=1)
            history["steps"].append(step)
            history["features"].append(_rounded(h / e_h**0.5))
            history["weight"].append(_rounded(unit))
            history["tail_cosine"].append(round(float(unit[2] @ unit[3]), 4))
        error = (h @ w.T).softmax(1) - onehot
        gradient = error @ w
        if learnable:
            w_next = project_frobenius(w - 0.1 * (sample * error).T @ h, 4.0)
        h = project_rows(h - 0.05 * gradient, e_h)
        w = w_next if learnable else w
    return {**history, "labels": labels.tolist()}


def _rounded(points: Tensor) -> list[list[float]]:
    return [[round(x, 3) for x in row] for row in points.tolist()]


# What is computed, in order: key of the result and description of the step.
PARTS = {
    "minority": "minority collapse over imbalance ratios",
    "optimum": "the common optimum of CE and DR",
    "gradients": "pull and push of the gradient",
    "convergence": "convergence of DR, dot and CE",
    "tetrahedron": "four classes in three dimensions",
}


def compute_theory(
    *,
    seed: int = 0,
    quick: bool = False,
    class_counts: Sequence[float] | None = None,
    dim: int | None = None,
    progress: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Compute all parts.

    Args:
        seed: seed of starting points and frames.
        quick: fewer ratios, steps and learning rates: seconds instead of half a minute.
        class_counts, dim: of one's own, to solve the layer-peeled model for as well, see :func:`compare_classifiers`.
        progress: called with a description before each part.

    Returns:
        A JSON-plain dictionary with the keys of ``PARTS``, ``own`` (with ``class_counts``) and ``provenance``.

    Example:
        >>> sorted(compute_theory(quick=True))
        ['convergence', 'gradients', 'minority', 'optimum', 'provenance', 'tetrahedron']
    """
    ratios, rates = (RATIOS[::3], (0.5,)) if quick else (RATIOS, (0.1, 0.5, 1.0))
    watched = 3_000 if quick else 12_000
    tasks: dict[str, Callable[[], Any]] = {
        "minority": lambda: minority_collapse(ratios, seed=seed, max_steps=2_000 if quick else 30_000),
        "optimum": lambda: common_optimum(seed=seed, max_steps=13_000 if quick else 20_000),
        "gradients": lambda: gradient_parts(seed=seed),
        "convergence": lambda: convergence_study(seed=seed, steps=200 if quick else 2000, learning_rates=rates),
        "tetrahedron": lambda: {
            f"{head}, {name}": watch_collapse(counts, learnable=head == "learned", seed=seed, steps=watched)
            for name, counts in (("balanced", BALANCED), ("imbalance 300", IMBALANCED))
            for head in ("learned", "fixed")
        },
    }
    parts = PARTS
    if class_counts is not None:
        solve = partial(compare_classifiers, class_counts, dim, seed=seed, max_steps=2_000 if quick else 20_000)
        tasks["own"] = lambda: {"class_counts": list(class_counts), "rows": solve()}
        parts = {"own": "the class sizes given", **parts}
    elif dim is not None:
        raise ValueError(f"dim is the dimension for class sizes of one's own, and there are none; got dim={dim}.")
    results: dict[str, Any] = {}
    for key, description in parts.items():
        if progress is not None:
            progress(description)
        results[key] = tasks[key]()
    return {**results, "provenance": provenance()}
