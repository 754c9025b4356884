"""The focal-loss method."""

import pytest
import torch

from equiangular.losses.focal import focal_loss
from equiangular.training import Context
from equiangular.training.methods import focal


@pytest.mark.parametrize("method", focal.METHODS, ids=lambda m: m.name)
def test_it_learns(check_learns, method):
    check_learns(method)


def test_criterion_is_the_focal_loss_of_the_logits(toy):
    (method,) = focal.METHODS
    assert (method.name, method.head) == ("linear-focal", "linear")
    task = toy.task(method)
    logits = task(toy.inputs)["logits"]
    loss = toy.loss(task, toy.inputs, toy.labels, Context(toy.counts))
    torch.testing.assert_close(loss, focal_loss(logits, toy.labels, gamma=2.0))
