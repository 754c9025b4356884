"""Gaussian classes on the vertices of a simplex: the Bayes posterior is known in closed form."""

import torch
from torch import Tensor

from equiangular.frames import simplex_etf

K, D, SEPARATION = 10, 9, 2.5
SCALE = 6.0
COUNTS = torch.tensor([500, 300, 180, 108, 65, 39, 23, 14, 8, 5])


def draw(prior: Tensor, number: int, *, seed: int, strength: float = 1.0) -> tuple[Tensor, Tensor]:
    """Logits of a classifier and labels drawn under ``prior``.

    log p(x | y=k) = SEPARATION <m_k, x> up to a constant. The classifier's logits are that plus ``strength`` times the
    training log prior, all divided by SCALE: the right correction is (SCALE, strength).
    """
    generator = torch.Generator().manual_seed(seed)
    means = SEPARATION * simplex_etf(K, D, seed=0, dtype=torch.float64)
    labels = torch.multinomial(prior.double(), number, replacement=True, generator=generator)
    x = means[labels] + torch.randn(number, D, generator=generator, dtype=torch.float64)
    log_prior = (COUNTS.double() / COUNTS.sum()).log()
    return (x @ means.T + strength * log_prior) / SCALE, labels


def balanced_accuracy(logits: Tensor, labels: Tensor) -> float:
    hits = logits.argmax(1) == labels
    return float(torch.stack([hits[labels == k].double().mean() for k in range(K)]).mean())
