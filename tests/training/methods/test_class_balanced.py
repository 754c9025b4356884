"""The class-balanced methods."""

import pytest
import torch
from torch.nn import functional as F

from equiangular.losses.class_balanced import class_balanced_loss, class_balanced_weights
from equiangular.training import Context
from equiangular.training.methods import class_balanced


def test_names():
    assert [m.name for m in class_balanced.METHODS] == ["linear-cb-ce", "linear-cb-focal"]


@pytest.mark.parametrize("method", class_balanced.METHODS, ids=lambda m: m.name)
def test_it_learns(check_learns, method):
    check_learns(method)


def test_criteria_are_the_weighted_losses_of_the_logits(toy):
    ce, focal = class_balanced.METHODS
    task = toy.task(ce)
    logits, context = task(toy.inputs)["logits"], Context(toy.counts)
    weight = class_balanced_weights(toy.counts)[toy.labels].float()
    expected = (weight * F.cross_entropy(logits, toy.labels, reduction="none")).mean()
    torch.testing.assert_close(toy.loss(task, toy.inputs, toy.labels, context), expected)
    focal_task = toy.task(focal)
    expected = class_balanced_loss(logits, toy.labels, toy.counts, gamma=2.0)
    torch.testing.assert_close(toy.loss(focal_task, toy.inputs, toy.labels, context), expected)
