"""A simplex ETF that grows with the classes, after ProNC (arXiv 2505.24254), for the question of arriving classes.

Formulas as the paper's public code has them: the ETF nearest to the class means after the base session, from then on
orthonormal vectors added by Gram and Schmidt, and in every session features pulled to their vertices and held to where
they were. Here the backbone is frozen and the projection of the head is what moves.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from equiangular.frames import nearest_simplex_etf
from equiangular.heads import Head

# Against the pull to the vertices. 9 is that of the authors' commands (170 to 18, 165 to 20) and holds so tightly here
# that no new class is learned; 0.1 was the best of 9, 1 and 0.1 on left-out training data of the first tuning run.
DISTILLATION = 0.1


def vertices(basis: Tensor) -> Tensor:
    """The simplex ETF (K, d) of orthonormal rows (K, d): sqrt(K / (K - 1)) times the rows less their mean."""
    k = len(basis)
    return (k / (k - 1)) ** 0.5 * (basis - basis.mean(0))


def basis_near(means: Tensor) -> Tensor:
    """Orthonormal rows (K, d) whose simplex is the one nearest to class means of unit norm about their mean.

    Source: Wang et al., "Rethinking continual learning with progressive neural collapse", ICLR 2026, arXiv 2505.24254:
    the nearest orthogonal matrix to what the centred means ask for. A simplex of K vertices leaves one direction of it
    open, which is taken at random.
    """
    k, d = means.shape
    etf = nearest_simplex_etf(F.normalize(means - means.mean(0)))
    free = torch.randn(d, generator=torch.Generator().manual_seed(0), dtype=etf.dtype)
    free = F.normalize(free - torch.linalg.pinv(etf) @ (etf @ free), dim=0)
    return ((k - 1) / k) ** 0.5 * etf + free / k**0.5


def grown(basis: Tensor, count: int) -> Tensor:
    """The same rows and ``count`` others at right angles to all, by Gram and Schmidt on random vectors (ProNC)."""
    more = torch.randn(count, basis.shape[1], generator=torch.Generator().manual_seed(len(basis)), dtype=basis.dtype)
    return torch.cat([basis, torch.linalg.qr((more - more @ basis.T @ basis).T)[0].T])


def pull(head: Head, targets: Tensor, x: Tensor, y: Tensor, learning_rate: float, steps: int) -> None:
    """Features to their vertices, held to where they were: 1 - cos of both, classes averaged alike."""
    optimizer = torch.optim.SGD(head.projection.parameters(), learning_rate, momentum=0.9, nesterov=True)
    before = head(x, pre_logits=True).detach()
    weight = 1 / y.bincount()[y]
    for _ in range(steps):
        optimizer.zero_grad(set_to_none=True)
        h = head(x, pre_logits=True)
        terms = (1 - F.cosine_similarity(h, targets[y])) + DISTILLATION * (1 - F.cosine_similarity(h, before))
        ((weight * terms).sum() / weight.sum()).backward()
        optimizer.step()
