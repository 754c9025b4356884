"""Where minority classes collapse, over imbalance ratios, for sizes of one's own, watched; and all parts in one go."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from equiangular._defaults import usual_defaults
from equiangular._provenance import provenance
from equiangular._random import make_generator
from equiangular._validate import check_class_counts, check_int
from equiangular.frames import etf_distance, simplex_etf
from equiangular.measures.collapse import equiangular, mean_cosine
from equiangular.measures.collapse.moments import directions
from equiangular.theory.dynamics import convergence_study, gradient_parts
from equiangular.theory.layer_peeled import LOSSES, common_optimum, project_frobenius, project_rows, solve_layer_peeled


@usual_defaults()
def compare_classifiers(
    class_counts: Sequence[float], dim: int | None = None, *, e_h: float = 5.0, seed: int = 0, max_steps: int = 20_000
) -> list[dict[str, Any]]:
    """Solve the layer-peeled model for given class sizes, with each loss, learned and fixed classifier.

    Args:
        class_counts: n (K,), samples of each class, K >= 2.
        dim: d >= K-1; K-1 by default.
        e_h: bound on the squared norm of a feature; E_W is 1.
        seed: seed of the starting points and of the frame.
        max_steps: gradient steps for each solution at most.

    Returns:
        For each loss and classifier: ``loss``, ``classifier``, ``objective``, the largest cosine of two classes'
        features and classifier vectors (``features_cosine``, ``weight_cosine``: -1/(K-1) for an ETF, 1 where two
        classes have merged), ``etf_distance`` of the features (NaN where one is zero), ``residual`` and ``steps``.
        DR with a learned classifier has no push and a minimum wherever each class's own vector and feature agree: what
        is found there depends on the start.

    Raises:
        ValueError: fewer than two classes, a class without samples, or d < K-1.

    Example:
        >>> rows = compare_classifiers([100, 100, 1, 1])
        >>> [(r["loss"], r["classifier"], round(r["weight_cosine"], 2)) for r in rows[:2]]
        [('ce', 'learned', 0.95), ('ce', 'fixed', -0.33)]

    Sources: Fang, He, Long and Su 2021, PNAS 118(43); Yang et al. 2022.
    """
    counts = check_class_counts(class_counts)
    k = check_int(len(counts), "the number of classes", minimum=2)
    d = k - 1 if dim is None else check_int(dim, "dim", minimum=1)
    frame = simplex_etf(k, d, seed=seed, dtype=torch.float64)
    rows = []
    for loss in LOSSES:
        for name, weight in (("learned", None), ("fixed", frame)):
            solved = solve_layer_peeled(counts, d, loss=loss, weight=weight, e_h=e_h, seed=seed, max_steps=max_steps)
            of = {"features": solved.features, "weight": solved.weight}
            rows.append(
                {"loss": loss, "classifier": name, "objective": solved.loss}
                | {f"{part}_cosine": float(equiangular(vectors)["max_cosine"]) for part, vectors in of.items()}
                | {"etf_distance": _distance(solved.features), "residual": solved.residual, "steps": solved.steps}
            )
    return rows


RATIOS = (1, 3, 10, 30, 100, 300, 1000, 3000)


@usual_defaults()
def minority_collapse(
    ratios: Sequence[float] = RATIOS, *, num_classes: int = 10, dim: int = 16, seed: int = 0, max_steps: int = 20_000
) -> list[dict[str, Any]]:
    """Solve the layer-peeled model with CE for each imbalance ratio R, learnable and fixed.

    The first half of the classes has R samples for each sample of a class of the second half.

    Args:
        ratios: imbalance ratios R >= 1.
        num_classes: K, even.
        dim, seed, max_steps: as for :func:`compare_classifiers`.

    Returns:
        For each R a dictionary: mean cosine of the minority's and the majority's classifier vectors and features,
        learnable and fixed, distance of the features to an ETF, and the solver's residuals.

    Raises:
        ValueError: an odd K or d < K-1.

    Source: Fang, He, Long and Su 2021, PNAS 118(43).
    """
    k = check_int(num_classes, "num_classes", minimum=4)
    if k % 2:
        raise ValueError(f"num_classes must be even, got {k}: half of the classes is the majority.")
    frame = simplex_etf(k, dim, seed=seed, dtype=torch.float64)
    rows = []
    for ratio in ratios:
        counts = [float(ratio)] * (k // 2) + [1.0] * (k // 2)
        row: dict[str, Any] = {"ratio": ratio, "etf_cosine": -1 / (k - 1)}
        for name, weight in (("learnable", None), ("fixed", frame)):
            solved = solve_layer_peeled(counts, dim, weight=weight, seed=seed, max_steps=max_steps)
            for part, vectors in (("weight", solved.weight), ("features", solved.features)):
                unit = directions(vectors)
                row[f"{name}_{part}_minority_cosine"] = float(mean_cosine(unit[k // 2 :]))
                row[f"{name}_{part}_majority_cosine"] = float(mean_cosine(unit[: k // 2]))
            measured = {"etf_distance": _distance(solved.features), "residual": solved.residual, "steps": solved.steps}
            row |= {f"{name}_{key}": value for key, value in measured.items()}
        rows.append(row)
    return rows


def _distance(features: Tensor) -> float:
    """Distance of the features to an ETF; NaN where one is zero."""
    return float(etf_distance(features)) if bool((features.norm(dim=1) > 0).all()) else math.nan


BALANCED, IMBALANCED = (1.0, 1.0, 1.0, 1.0), (300.0, 300.0, 1.0, 1.0)


@usual_defaults()
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
        moved = project_rows(h - 0.05 * (error @ w), e_h)
        if learnable:
            w = project_frobenius(w - 0.1 * (sample * error).T @ h, 4.0)
        h = moved
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
    """Compute all ``PARTS``, JSON-plain; with them come ``own`` (with ``class_counts``) and ``provenance``.

    Args:
        seed: seed of starting points and frames.
        quick: fewer ratios, steps and learning rates: seconds instead of half a minute.
        class_counts, dim: of one's own, to solve the layer-peeled model for as well, see :func:`compare_classifiers`.
        progress: called with a description before each part.

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
