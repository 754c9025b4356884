"""An ETF behind a linear map, nothing in between, is a learned linear classifier in other coordinates."""

from __future__ import annotations

import pytest
import torch

import equiangular as eq
from equiangular.losses import logit_adjusted_cross_entropy

CASES = [(2, 1.0, 0.0, 0.0), (7, 1.0, 0.9, 1e-2), (30, 2.0, 0.9, 0.0)]


@pytest.mark.parametrize(("classes", "scale", "momentum", "decay"), CASES)
def test_sgd_takes_both_the_same_way(classes, scale, momentum, decay):
    """W = s M P with M^T M = K/(K-1) I, and the gradients of cross-entropy with respect to the logits sum to 0 over the
    classes, so a step of P is a step of W at the learning rate eta s^2 K/(K-1), the weight decay divided by as much."""
    dim, generator = 5, torch.Generator().manual_seed(0)
    x = torch.randn(64, dim, generator=generator, dtype=torch.float64)
    labels = torch.arange(64) % classes
    counts = torch.arange(1, classes + 1)
    options = {"norm": "none", "normalize": False, "dtype": torch.float64}
    fixed = eq.ETFHead(dim, classes, projection="linear", scale=scale, **options)
    learned = eq.LinearHead(dim, classes, **options)
    with torch.no_grad():
        learned.weight.copy_(scale * fixed.weight @ fixed.projection.weight)
        learned.bias.copy_(scale * fixed.weight @ fixed.projection.bias)
    factor = scale**2 * classes / (classes - 1)
    runs = [(fixed, 0.1, decay), (learned, 0.1 * factor, decay / factor)]
    logits = []
    for head, rate, weight_decay in runs:
        optimiser = torch.optim.SGD(
            head.parameters(), lr=rate, momentum=momentum, nesterov=momentum > 0, weight_decay=weight_decay
        )
        before = head(x).detach()
        for _ in range(50):
            optimiser.zero_grad()
            logit_adjusted_cross_entropy(head(x), labels, counts).backward()
            optimiser.step()
        logits.append(head(x).detach())
        assert (logits[-1] - before).abs().max() > 0.1  # they have moved
    torch.testing.assert_close(logits[0], logits[1], rtol=1e-9, atol=1e-9)
