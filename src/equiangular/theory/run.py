"""Everything the theory says, computed in one go: JSON in, nothing drawn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from equiangular._provenance import provenance
from equiangular.frames import simplex_etf
from equiangular.theory.convergence import convergence_study
from equiangular.theory.layer_peeled import LOSSES, objective, solve_layer_peeled
from equiangular.theory.minority import RATIOS, minority_collapse
from equiangular.theory.pull_push import classifier_gradient, feature_gradient
from equiangular.theory.tetrahedron import BALANCED, IMBALANCED, watch_collapse

# What is computed, in order: key of the result and description of the step.
PARTS = (
    ("minority", "minority collapse over imbalance ratios"),
    ("optimum", "the common optimum of CE and DR"),
    ("gradients", "pull and push of the gradient"),
    ("convergence", "convergence of DR, dot and CE"),
    ("tetrahedron", "four classes in three dimensions"),
)


def compute_theory(
    *, seed: int = 0, quick: bool = False, progress: Callable[[str], None] | None = None
) -> dict[str, Any]:
    """Compute all parts.

    Args:
        seed: seed of starting points and frames.
        quick: fewer ratios, steps and moments: seconds instead of half a minute.
        progress: called with a description before each part.

    Returns:
        A JSON-plain dictionary with the keys of ``PARTS`` and ``provenance``.

    Example:
        >>> sorted(compute_theory(quick=True))
        ['convergence', 'gradients', 'minority', 'optimum', 'provenance', 'tetrahedron']
    """
    tasks: dict[str, Callable[[], Any]] = {
        "minority": lambda: minority_collapse(
            RATIOS[::3] if quick else RATIOS, seed=seed, max_steps=2_000 if quick else 30_000
        ),
        "optimum": lambda: common_optimum(seed=seed),
        "gradients": lambda: gradient_parts(seed=seed),
        "convergence": lambda: convergence_study(seed=seed, steps=200 if quick else 2000),
        "tetrahedron": lambda: {
            f"{head}, {name}": watch_collapse(
                counts, learnable=head == "learned", seed=seed, steps=500 if quick else 12_000
            )
            for name, counts in (("balanced", BALANCED), ("imbalance 300", IMBALANCED))
            for head in ("learned", "fixed")
        },
    }
    results: dict[str, Any] = {}
    for key, description in PARTS:
        if progress is not None:
            progress(description)
        results[key] = tasks[key]()
    return {**results, "provenance": provenance()}


def common_optimum(*, num_classes: int = 10, dim: int = 16, ratio: float = 100, seed: int = 0) -> dict[str, Any]:
    """With the classifier fixed to an ETF, CE and DR have one optimum, whatever the class sizes: h_k = sqrt(E_H) m_k.

    Returns:
        For each loss and each of balanced and imbalanced class sizes: the excess of the objective found over its value
        at the vertices, the largest deviation of a feature from its vertex, the residual of the optimality conditions.
        DR converges sub-linearly: its deviation is still falling as 1/sqrt(steps) where its excess is below 1e-9.

    Source: Yang et al. 2022, theorem 1 and its extension to DR.
    """
    frame = simplex_etf(num_classes, dim, seed=seed, dtype=torch.float64)
    half = num_classes // 2
    sizes = {"balanced": [1.0] * num_classes, f"imbalance {ratio:g}": [ratio] * half + [1.0] * (num_classes - half)}
    results = {}
    for loss in LOSSES:
        for name, counts in sizes.items():
            solved = solve_layer_peeled(counts, dim, loss=loss, weight=frame, e_h=1.0, seed=seed, max_steps=20_000)
            share = torch.tensor(counts, dtype=torch.float64)[:, None] / sum(counts)
            results[f"{loss}, {name}"] = {
                "excess": solved.loss - float(objective(frame, frame, share, loss, 1.0)),
                "deviation": float((solved.features - frame).abs().max()),
                "residual": solved.residual,
                "steps": solved.steps,
            }
    return results


def gradient_parts(*, num_classes: int = 10, dim: int = 16, ratio: float = 100, seed: int = 0) -> dict[str, Any]:
    """Norms of pull and push at random features and classifier vectors of norm 1, for each class.

    Returns:
        ``counts`` and lists over classes: ``classifier_pull``, ``classifier_push`` (CE on w_k: the push outweighs the
        pull for rare classes) and ``feature_pull``, ``feature_push`` (CE on h_k of one sample; DR has no push).
    """
    half = num_classes // 2
    counts = [ratio] * half + [1.0] * (num_classes - half)
    generator = torch.Generator().manual_seed(seed)
    draw = torch.randn(2, num_classes, dim, generator=generator, dtype=torch.float64)
    features, weight = torch.nn.functional.normalize(draw, dim=2)
    names = ("classifier_pull", "classifier_push", "feature_pull", "feature_push")
    parts = (*classifier_gradient(features, weight, counts), *feature_gradient(features, weight))
    norms = {name: part.norm(dim=1).tolist() for name, part in zip(names, parts, strict=True)}
    return {"counts": counts, **norms}
