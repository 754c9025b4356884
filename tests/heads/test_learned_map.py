"""An ETF behind a linear map, nothing in between, is a learned linear classifier in other coordinates.

So is one behind BatchNorm and a linear map, in this order.
"""

from __future__ import annotations

import pytest
import torch

import equiangular as eq
from equiangular.losses import logit_adjusted_cross_entropy

CASES = [(2, 1.0, 0.0, 0.0), (7, 1.0, 0.9, 1e-2), (30, 2.0, 0.9, 0.0)]


@pytest.mark.parametrize("norms", [("none", "none"), ("batch-first", "batch")], ids=["bare", "BatchNorm"])
@pytest.mark.parametrize(("classes", "scale", "momentum", "decay"), CASES)
def test_sgd_takes_both_the_same_way(classes, scale, momentum, decay, norms):
    """W = s M P with M^T M = K/(K-1) I, and the gradients of cross-entropy with respect to the logits sum to 0 over the
    classes, so a step of P is a step of W at the learning rate eta s^2 K/(K-1), the weight decay divided by as much."""
    dim, generator = 5, torch.Generator().manual_seed(0)
    x = torch.randn(64, dim, generator=generator, dtype=torch.float64)
    labels = torch.arange(64) % classes
    counts = torch.arange(1, classes + 1)
    options = {"normalize": False, "dtype": torch.float64}
    fixed = eq.ETFHead(dim, classes, projection="linear", scale=scale, norm=norms[0], **options)
    learned = eq.LinearHead(dim, classes, norm=norms[1], **options)
    with torch.no_grad():
        learned.weight.copy_(scale * fixed.weight @ fixed.projection.weight)
        learned.bias.copy_(scale * fixed.weight @ fixed.projection.bias)
    factor = scale**2 * classes / (classes - 1)
    runs = [(fixed, 0.1, decay), (learned, 0.1 * factor, decay / factor)]
    logits = []
    for head, rate, weight_decay in runs:
        ours = [p for name, p in head.named_parameters() if not name.startswith("norm.")]
        groups = [
            {"params": ours, "lr": rate, "weight_decay": weight_decay},
            {"params": list(head.norm.parameters()), "lr": 0.1, "weight_decay": decay},  # the same one in both
        ]
        groups = [group for group in groups if group["params"]]
        optimiser = torch.optim.SGD(groups, lr=0.1, momentum=momentum, nesterov=momentum > 0)
        before = head(x).detach()
        for _ in range(50):
            optimiser.zero_grad()
            logit_adjusted_cross_entropy(head(x), labels, counts).backward()
            optimiser.step()
        logits.append(head(x).detach())
        assert (logits[-1] - before).abs().max() > 0.1  # they have moved
    torch.testing.assert_close(logits[0], logits[1], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("projection", [None, "linear"])
def test_batch_first_is_batchnorm_of_the_incoming_features(projection):
    head = eq.ETFHead(5, 4, norm="batch-first", projection=projection, normalize=False, dtype=torch.float64).eval()
    head.norm.running_mean.normal_(generator=torch.Generator().manual_seed(1))
    x = torch.randn(7, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    normalised = (x - head.norm.running_mean) / (head.norm.running_var + head.norm.eps).sqrt()
    assert head.norm.num_features == 5
    torch.testing.assert_close(head(x, pre_logits=True), head.projection(normalised))
    assert head.head_parameters() == 10 + (0 if projection is None else 6 * 3)
    head.reset(9 if projection else 3)
    assert head(x).shape == (7, 9 if projection else 3)


def test_the_order_makes_no_difference_without_a_projection():
    x = torch.randn(8, 5, generator=torch.Generator().manual_seed(0))
    first, after = (eq.ETFHead(5, 4, norm=norm) for norm in ("batch-first", "batch"))
    assert torch.equal(first(x), after(x))
