"""Heads on features that stay as they are: full-batch Adam, several learning rates and scales side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call, grad_and_value, stack_module_state, vmap

from equiangular.frames import spread_frame
from equiangular.heads import NamedHead
from equiangular.heads.linear import random_unit_vectors
from equiangular.losses import dot_regression_loss, logit_adjusted_cross_entropy
from experiments.pretrained.arms import PULLED, Arm

OPTIONS: dict[str, dict[str, Any]] = {
    "none": {"projection": None},
    "residual": {"projection": "residual"},
    "linear": {"projection": "linear"},
    "BatchNorm": {"projection": None, "norm": "batch"},
}


Names = dict[str, np.ndarray]


class Fit(NamedTuple):
    """Samples (N, d) float32 and labels (N,) to fit, rows (M, d) to give logits of, and a seed."""

    x: np.ndarray
    y: np.ndarray
    at: np.ndarray
    seed: int


@cache
def simplex(count: int, dim: int) -> Tensor:
    """A simplex ETF, or where there is none the widest spread of so many vectors: (K, d) float32."""
    return spread_frame(count, dim, seed=0)


def class_vectors(arm: Arm, x: np.ndarray, y: np.ndarray, names: dict[str, np.ndarray], seed: int) -> Tensor:
    """(K, d) float32: where the class vectors of an arm start, or are.

    Behind BatchNorm what lies among the features is moved with them. An exemplar is the first sample of its class.
    """
    count, dim = int(y.max()) + 1, x.shape[1]
    if arm.vectors == "random":
        return random_unit_vectors(count, dim, seed=seed).float()
    if arm.vectors == "simplex":
        return simplex(count, dim)
    if arm.vectors in names:
        rows = names[arm.vectors]
    elif arm.vectors == "exemplar":
        rows = np.stack([x[np.flatnonzero(y == k)[0]] for k in range(count)])
    else:
        rows = np.stack([x[y == k].mean(0) for k in range(count)])
    if arm.map == "BatchNorm":
        deviation = x.std(0)
        rows = (rows - x.mean(0)) / np.where(deviation > 0, deviation, 1)
    # A lone zero row has no direction: a class whose mean is the mean of all.
    flat = np.linalg.norm(rows, axis=1) < 1e-6
    return torch.from_numpy(np.where(flat[:, None], 1.0, rows).astype("f4"))


def train(
    arm: Arm, names: Names, fits: Sequence[Fit], rates: Sequence[float], scales: Sequence[float], steps: Any
) -> Tensor:
    """Logits (F, O, S, M, K) of F x O heads after each of S numbers of steps.

    Fit f has its own samples, as many as all others; head o of it learning rate ``rates[o]`` and scale ``scales[o]``.
    Adam (Kingma and Ba, ICLR 2015) with the usual constants, no weight decay: how far it goes is what regularises.
    """
    options = len(rates)
    heads = [
        NamedHead(
            vectors.shape[1], len(vectors), class_vectors=vectors, learn_vectors=arm.learned, scale=scale,
            seed=fit.seed, **OPTIONS[arm.map],
        )
        for fit in fits for vectors in [class_vectors(arm, fit.x, fit.y, names, fit.seed)] for scale in scales
    ]  # fmt: skip
    base, (parameters, buffers) = heads[0], stack_module_state(heads)
    x, at = (
        torch.from_numpy(np.stack([getattr(fit, key) for fit in fits])).repeat_interleave(options, 0)
        for key in ("x", "at")
    )
    labels = torch.from_numpy(np.stack([fit.y for fit in fits])).repeat_interleave(options, 0)
    # Logit adjustment, as an offset of each fit: the loss itself takes the class sizes of one.
    offset = torch.stack([torch.bincount(own, minlength=base.num_classes) for own in labels]).log()
    rate_of = torch.tensor(list(rates) * len(fits))
    gradient = vmap(grad_and_value(loss_of(arm, base)))
    parameters = {name: value.detach().clone() for name, value in parameters.items()}
    first = {name: torch.zeros_like(value) for name, value in parameters.items()}
    second = {name: torch.zeros_like(value) for name, value in parameters.items()}
    found = []
    base.train()
    for step in range(1, max(steps) + 1):
        moved, _ = gradient(parameters, buffers, x, labels, offset)
        for name, own in moved.items():
            first[name].mul_(0.9).add_(own, alpha=0.1)
            second[name].mul_(0.999).addcmul_(own, own, value=0.001)
            size = (second[name] / (1 - 0.999**step)).sqrt_().add_(1e-8)
            rate = rate_of.view(-1, *[1] * (own.ndim - 1)) / (1 - 0.9**step)
            parameters[name] -= rate * first[name] / size
        if step in steps:
            base.eval()
            with torch.no_grad():
                logits = vmap(lambda p, b, rows: functional_call(base, (p, b), (rows,)))(parameters, buffers, at)
            found.append(logits.unflatten(0, (len(fits), options)))
            base.train()
    return torch.stack(found, 2)


def untrained(arm: Arm, vectors: Tensor, at: np.ndarray) -> Tensor:
    """Logits (M, K) of an arm that learns nothing."""
    with torch.no_grad():
        head = NamedHead(vectors.shape[1], len(vectors), class_vectors=vectors, **OPTIONS[arm.map])
        logits: Tensor = head.eval()(torch.from_numpy(at))
    return logits


def loss_of(arm: Arm, base: NamedHead) -> Callable[..., Tensor]:
    """The loss of one head's parameters and buffers, its samples (N, d), labels (N,) and log class sizes (K,)."""
    balance: Any = "batch" if arm.loss == PULLED[1] else "none"
    level = torch.ones(base.num_classes)

    def criterion(parameters: Any, buffers: Any, x: Tensor, labels: Tensor, offset: Tensor) -> Tensor:
        state = (parameters, buffers)
        if arm.loss in PULLED:
            h = functional_call(base, state, (x,), {"pre_logits": True})
            return dot_regression_loss(h, labels, buffers["weight"], balance=balance)
        logits = functional_call(base, state, (x,))
        return logit_adjusted_cross_entropy(logits + offset if arm.loss == "LA" else logits, labels, level)

    return criterion


def ridge(
    arm: Arm, vectors: Tensor, x: np.ndarray, y: np.ndarray, at: np.ndarray, strengths: Sequence[float]
) -> Tensor:
    """Logits (B, M, K) of the exact minimum over P and b, for each strength, of

        sum_i w_i |r_i + x_i P + b - v_(y_i)|^2 + strength |P|^2,    sum_i w_i = 1,

    with r = x behind a residual map and r = 0 behind a linear one; logits are inner products with the unit v_k.
    Weights w_i are alike, or ("balanced") those of classes alike. In float64.
    """
    unit = torch.nn.functional.normalize(vectors.double(), dim=1)
    rows, tested = torch.from_numpy(x).double(), torch.from_numpy(at).double()
    labels = torch.from_numpy(y)
    weight = 1 / torch.bincount(labels)[labels] if arm.loss == "ridge, balanced" else torch.ones(len(y))
    weight = (weight / weight.sum()).double()
    kept = 1.0 if arm.map == "residual" else 0.0
    wanted = unit[labels] - kept * rows
    mean, target = weight @ rows, weight @ wanted
    centred = rows - mean
    scatter = centred.T @ (weight[:, None] * centred)
    crossed = centred.T @ (weight[:, None] * (wanted - target))
    values, directions = torch.linalg.eigh(scatter)
    turned = directions.T @ crossed
    found = []
    for strength in strengths:
        P = directions @ (turned / (values.clamp(min=0) + strength)[:, None])
        found.append((kept * tested + (tested - mean) @ P + target) @ unit.T)
    return torch.stack(found).float()
