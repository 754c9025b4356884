"""The layer-peeled model over imbalance ratios and for class sizes of one's own: where minority classes collapse."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from equiangular._validate import check_class_counts, check_int
from equiangular.frames import etf_distance, simplex_etf
from equiangular.measures.collapse import equiangular, mean_cosine
from equiangular.measures.collapse.moments import directions
from equiangular.theory.layer_peeled import LOSSES, PeeledModel, solve_layer_peeled


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
                | {"etf_distance": _distance(solved), "residual": solved.residual, "steps": solved.steps}
            )
    return rows


RATIOS = (1, 3, 10, 30, 100, 300, 1000, 3000)


def minority_collapse(
    ratios: Sequence[float] = RATIOS, *, num_classes: int = 10, dim: int = 16, seed: int = 0, max_steps: int = 20_000
) -> list[dict[str, Any]]:
    """Solve the layer-peeled model with CE for each imbalance ratio R, learnable and fixed.

    The first half of the classes has R samples for each sample of a class of the second half.

    Args:
        ratios: imbalance ratios R >= 1.
        num_classes: K, even.
        dim: d >= K-1.
        seed: seed of the starting point and of the frame.
        max_steps: gradient steps for each solution at most.

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
            row[f"{name}_etf_distance"] = _distance(solved)
            row[f"{name}_residual"] = solved.residual
            row[f"{name}_steps"] = solved.steps
        rows.append(row)
    return rows


def _distance(solved: PeeledModel) -> float:
    """Distance of the features to an ETF; NaN where one is zero."""
    whole = bool((solved.features.norm(dim=1) > 0).all())
    return float(etf_distance(solved.features)) if whole else math.nan
