"""Four classes in three dimensions, watched: features that collapse onto a tetrahedron during training, or do not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from equiangular._random import make_generator
from equiangular.frames import simplex_etf
from equiangular.theory.layer_peeled import project_frobenius, project_rows

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
