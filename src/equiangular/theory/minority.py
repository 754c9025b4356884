"""Minority collapse: a learnable classifier merges rare classes as the imbalance grows; a fixed one does not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from equiangular._validate import check_int
from equiangular.frames import etf_distance, simplex_etf
from equiangular.measures.collapse import mean_cosine
from equiangular.measures.collapse.means import directions
from equiangular.theory.layer_peeled import solve_layer_peeled

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
            norms = solved.features.norm(dim=1)
            row[f"{name}_etf_distance"] = float(etf_distance(solved.features)) if bool((norms > 0).all()) else math.nan
            row[f"{name}_residual"] = solved.residual
            row[f"{name}_steps"] = solved.steps
        rows.append(row)
    return rows
