"""The LDAM methods: margins on the cosines, and the switch to re-weighting at 80 % of the epochs."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from equiangular.losses.class_balanced import class_balanced_weights
from equiangular.training import Context
from equiangular.training.methods import ldam


def test_names():
    assert [(m.name, m.head) for m in ldam.METHODS] == [("cosine-ldam", "cosine"), ("cosine-ldam-drw", "cosine")]


@pytest.mark.parametrize("method", ldam.METHODS, ids=lambda m: m.name)
@pytest.mark.parametrize("epoch", [0, 9])
def test_it_learns(check_learns, method, epoch):
    check_learns(method, epoch=epoch, learning_rate=0.02)


def per_sample(toy, task, scale=30):
    """The losses from the head's own logits, with the margin taken off by hand."""
    logits = task(toy.inputs)["logits"]
    margins = 0.5 * (3 / toy.counts) ** 0.25
    off = scale * F.one_hot(toy.labels, 4) * margins[toy.labels, None]
    return F.cross_entropy(logits - off, toy.labels, reduction="none")


def test_criterion_takes_the_margin_off_the_scaled_cosines(toy):
    for method in ldam.METHODS:
        assert method.head_options["scale"] == 30
        for scale in (30.0, 10.0):
            task = toy.task(replace(method, head_options={**method.head_options, "scale": scale})).eval()
            loss = toy.loss(task, toy.inputs, toy.labels, Context(toy.counts, 0, 10))
            torch.testing.assert_close(loss, per_sample(toy, task, scale).mean())


def test_weights_before_and_after_the_switch(toy):
    plain, deferred = (toy.task(m).eval() for m in ldam.METHODS)
    weight = class_balanced_weights(toy.counts, average="samples").float()[toy.labels]
    assert float(weight.mean()) == pytest.approx(1)
    for epoch in range(10):
        context = Context(toy.counts, epoch, 10)
        losses = per_sample(toy, deferred)
        expected = losses.mean() if epoch < 8 else (weight * losses).mean()
        torch.testing.assert_close(toy.loss(deferred, toy.inputs, toy.labels, context), expected)
        torch.testing.assert_close(toy.loss(plain, toy.inputs, toy.labels, context), losses.mean())
    assert abs(float(((weight - 1) * losses).mean().detach())) > 0.1
