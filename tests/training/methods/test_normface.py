"""Cross-entropy on a learnable cosine head."""

import torch
from torch.nn import functional as F

from equiangular.training import Context
from equiangular.training.methods import normface


def test_it_learns_and_is_cross_entropy_of_scaled_cosines(toy, check_learns):
    (method,) = normface.METHODS
    assert (method.name, method.head, method.fixed) == ("cosine-ce", "cosine", False)
    check_learns(method)
    task = toy.task(method).eval()
    features = task(toy.inputs)["features"]
    weight = task.head.weight / task.head.weight.norm(dim=1, keepdim=True)
    expected = F.cross_entropy(task.head.scale * features @ weight.T, toy.labels)
    torch.testing.assert_close(toy.loss(task, toy.inputs, toy.labels, Context(toy.counts)), expected)
