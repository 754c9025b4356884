"""Gradients in two parts, what pulls and what pushes, and how fast three losses bring features to their vertex."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from equiangular._defaults import usual_defaults
from equiangular._random import make_generator
from equiangular._validate import check_choice, check_class_counts, check_features, check_positive
from equiangular.frames import simplex_etf


def classifier_gradient(features: Tensor, weight: Tensor, class_counts: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Pull and push (K, d) of cross-entropy on each classifier vector; their sum is dL/dw_k.

    With share_j = n_j/N and p_j = softmax(W h_j): pull_k = -share_k (1 - p_{k,k}) h_k comes from the n_k samples of the
    class itself, push_k = sum_{j != k} share_j p_{j,k} h_j from those of all others. For a rare class the push has the
    larger weight, and rare classes are pushed alike: their vectors merge.

    Args:
        features, weight: H (K, d), one feature for each class, and W (K, d).
        class_counts: n (K,).

    Source: Yang et al. 2022, section 3; Fang et al. 2021.
    """
    share, p = _shares_and_probabilities(features, weight, class_counts)
    own = p.diagonal()[:, None]
    pull = -share * (1 - own) * features
    push = (share * p).T @ features - share * own * features
    return pull, push


def feature_gradient(features: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Pull and push (K, d) of cross-entropy on each class's feature h_k (K, d); their sum is dL/dh_k of one sample.

    pull_k = -(1 - p_{k,k}) w_k and push_k = sum_{j != k} p_{k,j} w_j, with p as in :func:`classifier_gradient`.

    Source: Yang et al. 2022, section 3.
    """
    _, p = _shares_and_probabilities(features, weight, torch.ones(len(features)))
    own = p.diagonal()[:, None]
    return -(1 - own) * weight, p @ weight - own * weight


def dot_regression_feature_gradient(features: Tensor, weight: Tensor) -> Tensor:
    """Dot-regression on unit vectors has a pull alone: dL/dh_k = -(1 - w_k . h_k) w_k, H and W (K, d) with unit rows.

    Source: Yang et al. 2022, section 3.
    """
    check_features(features, dim=weight.shape[1])
    return -(1 - (features * weight).sum(1, keepdim=True)) * weight


def dot_regression_classifier_gradient(features: Tensor, weight: Tensor, class_counts: Sequence[int]) -> Tensor:
    """On classifier vectors, too, dot-regression has a pull alone: dL/dw_k = -share_k (1 - w_k . h_k) h_k, (K, d).

    No class pushes another away, so with a learnable classifier nothing keeps the classes apart: dot-regression needs
    the fixed frame. H and W (K, d) have unit rows; share_k = n_k/N.

    Source: from the loss of Yang et al. 2022, section 3, with weight and feature exchanged.
    """
    share, _ = _shares_and_probabilities(features, weight, class_counts)
    return -share * (1 - (features * weight).sum(1, keepdim=True)) * features


@usual_defaults()
def gradient_parts(*, num_classes: int = 10, dim: int = 16, ratio: float = 100, seed: int = 0) -> dict[str, Any]:
    """Norms of pull and push at random features and classifier vectors of norm 1, for each class.

    Args:
        num_classes, dim: K and d.
        ratio: imbalance ratio R: the first half of the classes has R samples for one of the others.
        seed: seed of features and classifier vectors.

    Returns:
        ``counts`` and lists over classes: ``classifier_pull``, ``classifier_push`` (CE on w_k: the push outweighs the
        pull for rare classes), ``feature_pull``, ``feature_push`` (CE on h_k of one sample), and DR's pulls, which are
        its whole gradient: ``dr_classifier_pull``, ``dr_feature_pull``.

    Example:
        >>> parts = gradient_parts(ratio=100)
        >>> parts["classifier_push"][-1] > 10 * parts["classifier_pull"][-1]
        True
    """
    half = num_classes // 2
    counts = [ratio] * half + [1.0] * (num_classes - half)
    draw = torch.randn(2, num_classes, dim, generator=make_generator(seed), dtype=torch.float64)
    features, weight = torch.nn.functional.normalize(draw, dim=2)
    parts = {
        **dict(zip(("classifier_pull", "classifier_push"), classifier_gradient(features, weight, counts), strict=True)),
        **dict(zip(("feature_pull", "feature_push"), feature_gradient(features, weight), strict=True)),
        "dr_classifier_pull": dot_regression_classifier_gradient(features, weight, counts),
        "dr_feature_pull": dot_regression_feature_gradient(features, weight),
    }
    return {"counts": counts, **{name: part.norm(dim=1).tolist() for name, part in parts.items()}}


def _shares_and_probabilities(features: Tensor, weight: Tensor, sizes: Sequence[int]) -> tuple[Tensor, Tensor]:
    check_features(features, dim=weight.shape[1])
    counts = check_class_counts(sizes, len(weight)).to(features)
    return (counts / counts.sum())[:, None], (features @ weight.T).softmax(1)


LOSSES = ("dr", "dot", "ce")


@usual_defaults()
def descend(
    loss: str, start: Tensor, frame: Tensor, *, learning_rate: float = 0.5, steps: int = 2000, scale: float = 1.0
) -> Tensor:
    """Gradient descent of one unit-norm feature a class, each step followed by normalisation.

    Gradients by formula, with respect to the feature: DR -(1 - cos) w, dot -w, CE scale (sum_j p_j w_j - w) with
    p = softmax(scale W h).

    Args:
        loss: ``"dr"``, ``"dot"`` or ``"ce"``.
        start, frame: H and W (K, d), unit rows; the feature in row k belongs to class k.
        learning_rate: step size, the same for all losses.
        steps, scale: number of steps, and scale of the logits of CE.

    Returns:
        (steps + 1, K) angles in radians between each feature and its vertex, the start included. Angles are taken from
        the difference of unit vectors, 2 arcsin(||h - w|| / 2), which 1 - cos could not resolve below 1e-8.

    Raises:
        ValueError: an unknown loss, or a learning rate or scale that is not above 0.
    """
    check_choice(loss, LOSSES, "loss")
    check_positive(learning_rate, "learning_rate")
    check_positive(scale, "scale")
    h, angles = start.clone(), []
    for step in range(steps + 1):
        angles.append(2 * torch.asin(((h - frame).norm(dim=1) / 2).clamp(max=1)))
        if step == steps:
            break
        if loss == "ce":
            gradient = scale * ((scale * h @ frame.T).softmax(1) @ frame - frame)
        else:
            slack = (h - frame).square().sum(1, keepdim=True) / 2 if loss == "dr" else 1.0  # 1 - cos
            gradient = -slack * frame
        h = torch.nn.functional.normalize(h - learning_rate * gradient, dim=1)
    return torch.stack(angles)


@usual_defaults()
def random_start(num_classes: int, dim: int, *, seed: int = 0) -> Tensor:
    """(K, d) unit rows, uniform on the sphere: almost orthogonal to their vertices."""
    draw = torch.randn(num_classes, dim, generator=make_generator(seed), dtype=torch.float64)
    return torch.nn.functional.normalize(draw, dim=1)


@usual_defaults()
def convergence_study(
    *,
    num_classes: int = 100,
    dim: int = 128,
    learning_rates: Sequence[float] = (0.1, 0.5, 1.0),
    ce_scales: Sequence[float] = (1.0, 8.0, 32.0),
    steps: int = 2000,
    seed: int = 0,
) -> dict[str, Any]:
    """1 - cos over steps for each loss and learning rate, from random starts and from opposite ones.

    Returns:
        ``curves``: for each run its loss, scale, learning rate and start; mean 1 - cos at logarithmically spaced steps;
        the number of steps to reach 0.1, 0.01, 1e-3 and 1e-6 (None: not within ``steps``); and the exponent of the
        tail, the slope of log(1 - cos) against log(step) over the last decade of steps: -1 for a decay like 1/step,
        None where float64's limit is reached before. ``dr_ahead_of_dot``: for each start and learning rate the last
        step at which DR's mean 1 - cos is below the dot loss's, and that value; None where it never is. DR pulls harder
        than the dot loss only where cos < 0.
    """
    frame = simplex_etf(num_classes, dim, seed=seed, dtype=torch.float64)
    near = random_start(num_classes, dim, seed=seed)
    far = torch.nn.functional.normalize(0.05 * near - frame, dim=1)
    marks = sorted({round(10 ** (i / 8)) for i in range(64)} | {0, 100, 1000, 2000})
    marks = [m for m in marks if m <= steps]
    cases = [("dr", 1.0), ("dot", 1.0), *(("ce", s) for s in ce_scales)]
    curves: list[dict[str, Any]] = []
    gaps: dict[tuple[str, str, float], Tensor] = {}
    for where, start in (("random", near), ("opposite", far)):
        for loss, scale in cases:
            for rate in learning_rates:
                angles = descend(loss, start, frame, learning_rate=rate, steps=steps, scale=scale)
                gap = (2 * torch.sin(angles / 2).square()).mean(1)  # 1 - cos
                gaps[where, loss, rate] = gap
                curve = {"start": where, "loss": loss, "scale": scale, "learning_rate": rate, "steps": marks}
                curve["one_minus_cos"] = [float(gap[m]) for m in marks]
                curve["steps_to"] = {f"{level:g}": _first_below(gap, level) for level in (0.1, 0.01, 1e-3, 1e-6)}
                curves.append({**curve, "tail_exponent": _tail_exponent(gap)})
    leads = [
        {"start": where, "learning_rate": rate, **_lead(gaps[where, "dr", rate], gaps[where, "dot", rate])}
        for where in ("random", "opposite")
        for rate in learning_rates
    ]
    return {"num_classes": num_classes, "dim": dim, "seed": seed, "curves": curves, "dr_ahead_of_dot": leads}


def _first_below(gap: Tensor, level: float) -> int | None:
    below = (gap < level).nonzero()
    return int(below[0]) if len(below) else None


def _lead(gap: Tensor, other: Tensor) -> dict[str, float | None]:
    """The last step at which ``gap`` is the smaller one, and its value there."""
    ahead = (gap < other).nonzero()
    last = int(ahead[-1]) if len(ahead) else None
    return {"until_step": last, "one_minus_cos": None if last is None else float(gap[last])}


def _tail_exponent(gap: Tensor) -> float | None:
    """Slope on log-log axes over the last decade of steps; None where the limit of float64 is reached before it."""
    last = len(gap) - 1
    first = max(1, last // 10)
    if float(gap[last]) < 1e-28:
        return None
    return float((gap[last] / gap[first]).log() / torch.tensor(last / first).log())
