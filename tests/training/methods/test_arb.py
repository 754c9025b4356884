"""The ARB methods: counts of the batch, over all processes."""

import pytest
import torch

from equiangular.losses.arb import arb_loss
from equiangular.training import Context
from equiangular.training.methods import arb


def test_names():
    assert [(m.name, m.head) for m in arb.METHODS] == [("linear-arb", "linear"), ("etf-arb", "etf")]


@pytest.mark.parametrize("method", arb.METHODS, ids=lambda m: m.name)
def test_it_learns(check_learns, method):
    check_learns(method)


@pytest.mark.parametrize("method", arb.METHODS, ids=lambda m: m.name)
def test_criterion_counts_the_batch_and_not_the_training_set(toy, method):
    task = toy.task(method).eval()
    index = torch.tensor([0, 1, 45, 46, 47, 70])
    x, y = toy.inputs[index], toy.labels[index]
    loss = toy.loss(task, x, y, Context(toy.counts))
    torch.testing.assert_close(loss, arb_loss(task(x)["logits"], y, [2, 3, 0, 1]))


def test_a_part_of_a_batch_is_counted_by_the_whole(toy):
    task = toy.task(arb.METHODS[0])
    whole = torch.tensor([0, 0, 1, 2, 2, 2, 3])
    task.context = Context(toy.counts, batch_target=whole)
    losses = task(toy.inputs[:3], whole[:3])["losses"]
    expected = arb_loss(task(toy.inputs[:3])["logits"], whole[:3], [2, 1, 3, 1], reduction="none")
    torch.testing.assert_close(losses, expected)
