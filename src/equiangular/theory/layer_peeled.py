"""The layer-peeled model: the last layer's features as free variables, solved to the optimum in float64."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from equiangular._defaults import usual_defaults
from equiangular._random import make_generator
from equiangular._validate import check_choice, check_class_counts, check_features, check_int, check_positive
from equiangular.frames import simplex_etf

LOSSES = ("ce", "dr")


@dataclass(frozen=True)
class PeeledModel:
    """A solved layer-peeled model.

    Attributes:
        features: H (K, d), one feature for each class.
        weight: W (K, d), classifier vectors.
        loss: value of the objective.
        residual: norm of the projected-gradient step: 0 exactly at a point that satisfies the optimality conditions.
        steps: gradient steps taken.
        history: (step, objective, residual) at logarithmically spaced steps, the last one included.
    """

    features: Tensor
    weight: Tensor
    loss: float
    residual: float
    steps: int
    history: tuple[tuple[int, float, float], ...]


@usual_defaults()
def solve_layer_peeled(
    class_counts: Sequence[int],
    dim: int,
    *,
    loss: str = "ce",
    weight: Tensor | None = None,
    e_h: float = 5.0,
    e_w: float = 1.0,
    seed: int = 0,
    max_steps: int = 50_000,
    tolerance: float = 1e-12,
) -> PeeledModel:
    """Minimise the loss over features, and over the classifier too unless it is given.

    min over H, W:  sum_k (n_k / N) L(h_k, W)  with  ||h_k||^2 <= E_H  and  (1 / K) sum_k ||w_k||^2 <= E_W.

    One feature stands for all samples of a class: the losses are convex in h and so is the ball, so replacing the
    features of a class by their mean cannot raise the objective. CE is -log softmax(W h)_k; DR is
    (w_k . h - sqrt(E_W E_H))^2 / (2 sqrt(E_W E_H)).

    Solved by projected gradient descent, features first, with each class's gradient divided by n_k/N (the constraint
    holds for every class by itself, so this only rescales its step).

    Args:
        class_counts: n (K,), samples of each class.
        dim: d.
        loss: ``"ce"`` or ``"dr"``.
        weight: (K, d) fixed classifier, such as sqrt(E_W) times a simplex ETF; None learns it.
        e_h: bound on the squared norm of a feature.
        e_w: bound on the mean squared norm of the classifier vectors; for a given classifier E_W is the one it has.
        seed: seed of the starting point.
        max_steps: steps at most.
        tolerance: stop where the residual is below it.

    Raises:
        ValueError: an argument out of range, or a classifier of another shape or with a zero row.

    Example:
        >>> from equiangular import simplex_etf
        >>> frame = simplex_etf(4, 3, dtype=torch.float64)
        >>> solved = solve_layer_peeled([100, 100, 1, 1], 3, weight=frame)
        >>> bool((torch.nn.functional.normalize(solved.features) - frame).abs().max() < 1e-8)
        True

    Sources: Fang, He, Long and Su 2021, PNAS 118(43) (learnable classifier); Yang et al. 2022 (fixed ETF, DR).
    """
    counts = check_class_counts(class_counts)
    check_choice(loss, LOSSES, "loss")
    k, d = len(counts), check_int(dim, "dim", minimum=1)
    e_h, e_w = check_positive(e_h, "e_h"), check_positive(e_w, "e_w")
    check_int(max_steps, "max_steps", minimum=1)
    if weight is not None:
        check_features(weight, name="weight", allow_zero=False)
        if tuple(weight.shape) != (k, d):
            raise ValueError(f"weight must have shape (K, d) = ({k}, {d}), got {tuple(weight.shape)}.")
    share = (counts / counts.sum())[:, None]
    generator = make_generator(seed)
    h = project_rows(torch.randn(k, d, generator=generator, dtype=torch.float64), e_h)
    w = torch.randn(k, d, generator=generator, dtype=torch.float64) if weight is None else weight.double()
    learn = weight is None
    if learn:
        w = project_frobenius(w, k * e_w)
    target = math.sqrt(e_h * (e_w if learn else float(w.square().sum()) / k))
    # Step sizes below the reciprocal of the gradients' Lipschitz constants (the features' and the classifier's). DR
    # divides by its target, so where that is below 1 its gradient changes faster.
    slower = min(1.0, target) if loss == "dr" else 1.0
    step_h = slower / (k * e_w if learn else float(torch.linalg.matrix_norm(w, 2)) ** 2)
    step_w = slower / (k * e_h)
    residual, steps, history = math.inf, 0, []
    while residual >= tolerance and steps < max_steps:
        steps += 1
        gradient_h, gradient_w = gradients(h, w, share, loss, target)
        moved = project_rows(h - step_h * gradient_h / share, e_h)
        residual = float((moved - h).norm()) / step_h
        h = moved
        if learn:
            moved = project_frobenius(w - step_w * k * gradient_w, k * e_w)
            residual += float((moved - w).norm()) / step_w
            w = moved
        if not history or steps >= 1.25 * history[-1][0]:
            history.append((steps, float(objective(h, w, share, loss, target)), residual))
    value = float(objective(h, w, share, loss, target))
    if history[-1][0] != steps:
        history.append((steps, value, residual))
    return PeeledModel(h, w, value, residual, steps, tuple(history))


def objective(h: Tensor, w: Tensor, share: Tensor, loss: str, target: float) -> Tensor:
    """sum_k share_k L(h_k, W): h (K, d), w (K, d), share (K, 1)."""
    if loss == "ce":
        return -(share[:, 0] * (h @ w.T).log_softmax(1).diagonal()).sum()
    return (share[:, 0] * ((h * w).sum(1) - target).square()).sum() / (2 * target)


def gradients(h: Tensor, w: Tensor, share: Tensor, loss: str, target: float) -> tuple[Tensor, Tensor]:
    """Gradients of :func:`objective` with respect to h and w, by formula.

    CE: share_k (p_k - e_k) W and sum_k share_k (p_k - e_k) h_k^T. DR: share_k (w_k . h_k / target - 1) w_k, and the
    same with h_k.
    """
    if loss == "ce":
        error = share * ((h @ w.T).softmax(1) - torch.eye(len(h), dtype=h.dtype))
        return error @ w, error.T @ h
    slack = share * ((h * w).sum(1, keepdim=True) / target - 1)
    return slack * w, slack * h


def project_rows(h: Tensor, square: float) -> Tensor:
    """Rows scaled back into the ball ||h||^2 <= square."""
    norms = torch.linalg.vector_norm(h, dim=1, keepdim=True)
    return h * (math.sqrt(square) / norms.clamp(min=math.sqrt(square)))


def project_frobenius(w: Tensor, square: float) -> Tensor:
    """The matrix scaled back into the ball ||W||_F^2 <= square."""
    return w * (math.sqrt(square) / w.norm().clamp(min=math.sqrt(square)))


@usual_defaults()
def common_optimum(
    *, num_classes: int = 10, dim: int = 16, ratio: float = 100, seed: int = 0, max_steps: int = 20_000
) -> dict[str, Any]:
    """With the classifier fixed to an ETF, CE and DR have one optimum, whatever the class sizes: h_k = sqrt(E_H) m_k.

    Certified in two ways, with E_H = E_W = 1. At the vertices themselves: the objective is convex in H and so is the
    ball, so a point that does not move under a projected gradient step is a global minimum (``vertex_residual``). And
    from a random start: the solver, which knows nothing of the vertices, ends there.

    Args:
        num_classes, dim: K, and d >= K-1.
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
