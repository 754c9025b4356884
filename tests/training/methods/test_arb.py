"""The ARB methods: counts of the batch, over all processes."""

import pytest
import torch
from torch import distributed

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
    loss = task(x, y, Context(toy.counts))["loss"]
    torch.testing.assert_close(loss, arb_loss(task(x)["logits"], y, [2, 3, 0, 1]))


def test_counts_are_summed_over_the_processes(monkeypatch, toy):
    """Two processes that hold the same half of a batch: as if the counts were doubled."""
    monkeypatch.setattr(distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(distributed, "all_reduce", lambda counts: counts.add_(torch.tensor([0.0, 0.0, 4.0, 1.0])))
    counts = arb.global_batch_counts(torch.tensor([0, 0, 1]), 4)
    assert counts.tolist() == [2, 1, 4, 1]
    task = toy.task(arb.METHODS[0])
    y = torch.tensor([0, 0, 1])
    loss = task(toy.inputs[:3], y, Context(toy.counts))["loss"]
    torch.testing.assert_close(loss, arb_loss(task(toy.inputs[:3])["logits"], y, [2, 1, 4, 1]))
