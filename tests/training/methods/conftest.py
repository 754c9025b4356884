"""A long-tailed toy problem, and the two steps of training that every method is put through."""

import pytest
import torch
from torch import nn

from equiangular._random import isolated_rng
from equiangular.heads import HEADS
from equiangular.heads.etf import RotatedETFHead
from equiangular.training import Context, Task

SIZES = (40, 20, 8, 3)
WIDTH = 12


class ToyProblem:
    """Four Gaussian classes of 40 to 3 samples in 6 dimensions, and a one-layer backbone."""

    def __init__(self, per_class=SIZES, seed=0):
        generator = torch.Generator().manual_seed(seed)
        centres = 2 * torch.randn(4, 6, generator=torch.Generator().manual_seed(7))
        self.labels = torch.repeat_interleave(torch.arange(4), torch.tensor(per_class))
        self.inputs = centres[self.labels] + torch.randn(len(self.labels), 6, generator=generator)
        self.counts = torch.tensor(SIZES, dtype=torch.float32)

    def task(self, method):
        with isolated_rng(0):
            backbone = nn.Sequential(nn.Linear(6, WIDTH), nn.Tanh())
        return Task(backbone, method.build_head(WIDTH, 4, seed=0), method)

    @staticmethod
    def loss(task, inputs, target, context):
        """The loss of a batch."""
        task.context = context
        return task(inputs, target)["losses"].mean()

    def train(self, method, *, steps=2, learning_rate=0.1, target=None, epoch=0, epochs=10):
        """Losses before each step and after the last one, and the trained task."""
        task = self.task(method)
        optimizer = torch.optim.SGD([p for p in task.parameters() if p.requires_grad], lr=learning_rate)
        target = self.labels if target is None else target
        context = Context(self.counts, epoch, epochs)
        losses = []
        for _ in range(steps):
            loss = self.loss(task, self.inputs, target, context)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
        with torch.no_grad():
            losses.append(float(self.loss(task, self.inputs, target, context)))
        return losses, task


@pytest.fixture
def toy(monkeypatch):
    """The toy problem, with every kind of head at hand."""
    monkeypatch.setitem(HEADS, "rotated-etf", RotatedETFHead)
    return ToyProblem()


@pytest.fixture
def held_out():
    """Other samples of the same classes."""
    return ToyProblem(per_class=(20, 10, 6, 5), seed=1)


@pytest.fixture
def check_learns(toy):
    """Two steps lower the loss of a method, and do so in the same way twice, for hard and mixup targets."""

    def check(method, **options):
        for target in (toy.labels, (toy.labels, toy.labels.flip(0), 0.75)):
            losses, task = toy.train(method, target=target, **options)
            again, twin = toy.train(method, target=target, **options)
            assert losses[2] < losses[1] < losses[0], method.name
            assert losses == again
            for value, other in zip(task.state_dict().values(), twin.state_dict().values(), strict=True):
                assert torch.equal(value, other)

    return check
