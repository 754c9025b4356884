"""Vector scaling as a method: its loss on learned and fixed heads, bare logits at test time."""

import torch

from equiangular.losses import vector_scaling_loss
from equiangular.training.methods import Context, get_method


def test_both_methods_use_the_loss_and_predict_from_bare_logits():
    counts = torch.tensor([90.0, 9.0, 1.0])
    x, y = torch.randn(12, 16, generator=torch.Generator().manual_seed(0)), torch.arange(12) % 3
    for name, kind in (("linear-vs", "learned"), ("recommended-vs", "fixed")):
        method = get_method(name)
        assert (method.balances, method.corrected) == (True, False)
        head = method.build_head(16, 3, seed=0).eval()
        assert head.kind == kind
        losses = method.criterion(head(x, pre_logits=True), y, head, Context(counts))
        torch.testing.assert_close(losses, vector_scaling_loss(head(x), y, counts, gamma=0.15, reduction="none"))
