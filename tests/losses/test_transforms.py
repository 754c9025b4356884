"""Losses inside torch.func: gradients of single samples, as differential privacy and influence functions take them."""

import pytest
import torch
from torch.func import grad, vmap

from equiangular.heads import ETFHead
from equiangular.losses import (
    cosine_cross_entropy,
    dot_loss,
    dot_regression_loss,
    logit_adjusted_cross_entropy,
    vector_scaling_loss,
)

from .conftest import B, D, K, generator

HEAD = ETFHead(D, K, dtype=torch.float64)
LOSSES = {
    "dot-regression": lambda x, y: dot_regression_loss(HEAD(x, pre_logits=True), y, HEAD.weight, balance="batch"),
    "dot": lambda x, y: dot_loss(HEAD(x, pre_logits=True), y, HEAD.weight),
    "cosine": lambda x, y: cosine_cross_entropy(x, y, HEAD.weight, scale=8.0),
    "logit-adjusted": lambda x, y: logit_adjusted_cross_entropy(HEAD(x), y, range(1, K + 1)),
    "vector-scaling": lambda x, y: vector_scaling_loss(HEAD(x), y, range(1, K + 1)),
}


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_of_single_samples(name: str) -> None:
    loss = LOSSES[name]
    x = torch.randn(B, D, generator=generator(7), dtype=torch.float64)
    y = torch.arange(B) % K
    together = vmap(grad(lambda xi, yi: loss(xi[None], yi[None])))(x, y)
    for i in range(B):
        alone = x[i : i + 1].clone().requires_grad_()
        loss(alone, y[i : i + 1]).backward()
        torch.testing.assert_close(together[i], alone.grad[0])
