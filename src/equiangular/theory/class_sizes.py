"""The layer-peeled model for class sizes of one's own: learned and fixed classifier, each with CE and with DR."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from equiangular._validate import check_class_counts, check_int
from equiangular.frames import etf_distance, simplex_etf
from equiangular.measures.collapse import equiangular
from equiangular.theory.layer_peeled import LOSSES, solve_layer_peeled


def compare_classifiers(
    class_counts: Sequence[float],
    dim: int | None = None,
    *,
    e_h: float = 5.0,
    seed: int = 0,
    max_steps: int = 20_000,
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
            whole = bool((solved.features.norm(dim=1) > 0).all())
            rows.append(
                {
                    "loss": loss,
                    "classifier": name,
                    "objective": solved.loss,
                    "features_cosine": float(equiangular(solved.features)["max_cosine"]),
                    "weight_cosine": float(equiangular(solved.weight)["max_cosine"]),
                    "etf_distance": float(etf_distance(solved.features)) if whole else math.nan,
                    "residual": solved.residual,
                    "steps": solved.steps,
                }
            )
    return rows
