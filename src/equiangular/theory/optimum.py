"""The common global optimum of cross-entropy and dot-regression where the classifier is fixed to an ETF."""

from __future__ import annotations

from typing import Any

import torch

from equiangular.frames import simplex_etf
from equiangular.theory.layer_peeled import LOSSES, gradients, objective, project_rows, solve_layer_peeled


def common_optimum(
    *, num_classes: int = 10, dim: int = 16, ratio: float = 100, seed: int = 0, max_steps: int = 20_000
) -> dict[str, Any]:
    """With the classifier fixed to an ETF, CE and DR have one optimum, whatever the class sizes: h_k = sqrt(E_H) m_k.

    Certified in two ways, with E_H = E_W = 1. At the vertices themselves: the objective is convex in H and so is the
    ball, so a point that does not move under a projected gradient step is a global minimum (``vertex_residual``). And
    from a random start: the solver, which knows nothing of the vertices, ends there.

    Args:
        num_classes: K.
        dim: d >= K-1.
        ratio: imbalance ratio R of the imbalanced case: half of the classes have R samples for one of the others.
        seed: seed of the frame and of the starting point.
        max_steps: gradient steps at most.

    Returns:
        For each loss and each of balanced and imbalanced class sizes: ``vertex_residual``, the length of the projected
        gradient step at the vertices; ``excess`` of the objective found over its value there; ``deviation``, the
        largest one of an entry of H from the vertices; ``residual`` of the optimality conditions and ``steps``. DR
        converges sub-linearly: its deviation is still falling as 1/sqrt(steps) where its excess is below 1e-9.

    Example:
        >>> rows = common_optimum(num_classes=4, dim=3)
        >>> max(row["vertex_residual"] for row in rows.values()) < 1e-14
        True

    Source: Yang et al. 2022, theorem 1 and its extension to DR.
    """
    frame = simplex_etf(num_classes, dim, seed=seed, dtype=torch.float64)
    half = num_classes // 2
    sizes = {"balanced": [1.0] * num_classes, f"imbalance {ratio:g}": [ratio] * half + [1.0] * (num_classes - half)}
    results = {}
    for loss in LOSSES:
        for name, counts in sizes.items():
            solved = solve_layer_peeled(counts, dim, loss=loss, weight=frame, e_h=1.0, seed=seed, max_steps=max_steps)
            share = torch.tensor(counts, dtype=torch.float64)[:, None] / sum(counts)
            at_vertices, _ = gradients(frame, frame, share, loss, 1.0)
            results[f"{loss}, {name}"] = {
                "vertex_residual": float((project_rows(frame - at_vertices / share, 1.0) - frame).norm()),
                "excess": solved.loss - float(objective(frame, frame, share, loss, 1.0)),
                "deviation": float((solved.features - frame).abs().max()),
                "residual": solved.residual,
                "steps": solved.steps,
            }
    return results
