"""The criteria of the methods: the loss of the head's own logits, counts of the batch or of the training data."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from equiangular.heads import ETFHead
from equiangular.losses import vector_scaling_loss
from equiangular.losses.class_balanced import class_balanced_loss, class_balanced_weights, focal_loss
from equiangular.losses.label_aware_smoothing import arb_loss, label_aware_smoothing_loss
from equiangular.training import Context
from equiangular.training.methods import get_method

LDAM = (get_method("cosine-ldam"), get_method("cosine-ldam-drw"))
ARB = (get_method("linear-arb"), get_method("etf-arb"))
CHANGED = ("cosine-ce", "linear-focal", "linear-cb-ce", "linear-cb-focal", "linear-las", "linear-arb", "etf-arb")


@pytest.mark.parametrize("name", CHANGED)
def test_they_learn(check_learns, name):
    check_learns(get_method(name))


@pytest.mark.parametrize("method", LDAM, ids=lambda m: m.name)
@pytest.mark.parametrize("epoch", [0, 9])
def test_ldam_learns(check_learns, method, epoch):
    check_learns(method, epoch=epoch, learning_rate=0.02)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("linear-focal", lambda z, toy: focal_loss(z, toy.labels, gamma=2.0)),
        ("linear-las", lambda z, toy: label_aware_smoothing_loss(z, toy.labels, toy.counts)),
    ],
)
def test_criterion_is_the_loss_of_the_logits(toy, name, expected):
    task = toy.task(get_method(name))
    loss = toy.loss(task, toy.inputs, toy.labels, Context(toy.counts))
    torch.testing.assert_close(loss, expected(task(toy.inputs)["logits"], toy))


def test_cross_entropy_of_scaled_cosines(toy):
    task = toy.task(get_method("cosine-ce")).eval()
    assert task.head.kind == "learned"
    features = task(toy.inputs)["features"]
    weight = task.head.weight / task.head.weight.norm(dim=1, keepdim=True)
    expected = F.cross_entropy(task.head.scale * features @ weight.T, toy.labels)
    torch.testing.assert_close(toy.loss(task, toy.inputs, toy.labels, Context(toy.counts)), expected)


def test_criteria_are_the_weighted_losses_of_the_logits(toy):
    ce, focal = (get_method("linear-cb-ce"), get_method("linear-cb-focal"))
    task = toy.task(ce)
    logits, context = task(toy.inputs)["logits"], Context(toy.counts)
    weight = class_balanced_weights(toy.counts)[toy.labels].float()
    expected = (weight * F.cross_entropy(logits, toy.labels, reduction="none")).mean()
    torch.testing.assert_close(toy.loss(task, toy.inputs, toy.labels, context), expected)
    focal_task = toy.task(focal)
    expected = class_balanced_loss(logits, toy.labels, toy.counts, gamma=2.0)
    torch.testing.assert_close(toy.loss(focal_task, toy.inputs, toy.labels, context), expected)


def test_vector_scaling_is_the_loss_of_the_bare_logits():
    counts = torch.tensor([90.0, 9.0, 1.0])
    x, y = torch.randn(12, 16, generator=torch.Generator().manual_seed(0)), torch.arange(12) % 3
    for name, kind in (("linear-vs", "learned"), ("recommended-vs", "fixed")):
        method = get_method(name)
        assert (method.balances, method.corrected) == (True, False)
        head = method.build_head(16, 3, seed=0).eval()
        assert head.kind == kind
        losses = method.criterion(head(x, pre_logits=True), y, head, Context(counts))
        torch.testing.assert_close(losses, vector_scaling_loss(head(x), y, counts, gamma=0.15, reduction="none"))


def test_logit_adjustment_writes_into_logits_that_nobody_else_has():
    head, counts, y = ETFHead(512, 512, basis="canonical"), torch.arange(1.0, 513.0), torch.tensor([0, 511])
    assert head.structure is not None
    h = torch.randn(2, 512, generator=torch.Generator().manual_seed(0)).requires_grad_()
    losses = get_method("etf-la").criterion(h, y, head, Context(counts))
    expected = F.cross_entropy(head.logits_from_features(h) + (counts / counts.sum()).log(), y, reduction="none")
    torch.testing.assert_close(losses, expected)
    (ours,), (theirs,) = (torch.autograd.grad(loss.sum(), h) for loss in (losses, expected))
    torch.testing.assert_close(ours, theirs)


def per_sample(toy, task, scale=30):
    """The losses from the head's own logits, with the margin taken off by hand."""
    logits = task(toy.inputs)["logits"]
    margins = 0.5 * (3 / toy.counts) ** 0.25
    off = scale * F.one_hot(toy.labels, 4) * margins[toy.labels, None]
    return F.cross_entropy(logits - off, toy.labels, reduction="none")


def test_criterion_takes_the_margin_off_the_scaled_cosines(toy):
    for method in LDAM:
        assert method.head_options["scale"] == 30
        for scale in (30.0, 10.0):
            task = toy.task(replace(method, head_options={**method.head_options, "scale": scale})).eval()
            loss = toy.loss(task, toy.inputs, toy.labels, Context(toy.counts, 0, 10))
            torch.testing.assert_close(loss, per_sample(toy, task, scale).mean())


def test_weights_before_and_after_the_switch(toy):
    plain, deferred = (toy.task(m).eval() for m in LDAM)
    weight = class_balanced_weights(toy.counts, average="samples").float()[toy.labels]
    assert float(weight.mean()) == pytest.approx(1)
    for epoch in range(10):
        context = Context(toy.counts, epoch, 10)
        losses = per_sample(toy, deferred)
        expected = losses.mean() if epoch < 8 else (weight * losses).mean()
        torch.testing.assert_close(toy.loss(deferred, toy.inputs, toy.labels, context), expected)
        torch.testing.assert_close(toy.loss(plain, toy.inputs, toy.labels, context), losses.mean())
    assert abs(float(((weight - 1) * losses).mean().detach())) > 0.1


@pytest.mark.parametrize("method", ARB, ids=lambda m: m.name)
def test_criterion_counts_the_batch_and_not_the_training_set(toy, method):
    task = toy.task(method).eval()
    index = torch.tensor([0, 1, 45, 46, 47, 70])
    x, y = toy.inputs[index], toy.labels[index]
    loss = toy.loss(task, x, y, Context(toy.counts))
    torch.testing.assert_close(loss, arb_loss(task(x)["logits"], y, [2, 3, 0, 1]))


def test_a_part_of_a_batch_is_counted_by_the_whole(toy):
    task = toy.task(ARB[0])
    whole = torch.tensor([0, 0, 1, 2, 2, 2, 3])
    task.context = Context(toy.counts, batch_target=whole)
    losses = task(toy.inputs[:3], whole[:3])["losses"]
    expected = arb_loss(task(toy.inputs[:3])["logits"], whole[:3], [2, 1, 3, 1], reduction="none")
    torch.testing.assert_close(losses, expected)
