"""The training loop over Lightning Fabric: one function, the same for every method."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from equiangular._extras import require
from equiangular._random import isolated_rng
from equiangular.models import make_backbone
from equiangular.training.batches import training_batches
from equiangular.training.config import Budget
from equiangular.training.methods import Context, Method
from equiangular.training.schedule import learning_rate_factor
from equiangular.training.task import Task


@dataclass(frozen=True)
class Fitted:
    """A trained task and what its training took.

    Attributes:
        task: the trained module, in evaluation mode, on the CPU's side of the loop.
        losses: mean training loss of every epoch.
        seconds: wall-clock time of the epochs.
    """

    task: Task
    losses: list[float]
    seconds: float


def build_task(method: Method, backbone: str, input_shape: tuple[int, ...], num_classes: int, *, seed: int) -> Task:
    """Backbone and head initialised from ``seed`` alone: every method starts from the same backbone weights."""
    network = make_backbone(backbone, input_shape, seed=seed)
    return Task(network, method.build_head(network.num_features, num_classes, seed=seed), method)


def make_optimizer(task: nn.Module, budget: Budget) -> torch.optim.SGD:
    """SGD with Nesterov momentum over the parameters that learn."""
    return torch.optim.SGD(
        [p for p in task.parameters() if p.requires_grad],
        lr=budget.learning_rate,
        momentum=budget.momentum,
        weight_decay=budget.weight_decay,
        nesterov=budget.momentum > 0,
    )


def fit(
    task: Task,
    inputs: Tensor,
    labels: Tensor,
    budget: Budget,
    *,
    seed: int,
    accelerator: str = "cpu",
    on_epoch: Callable[[int, float], None] | None = None,
) -> Fitted:
    """Train ``task`` on arrays in memory.

    Args:
        task: backbone, head and method.
        inputs: (N, ...) float tensor.
        labels: (N,) int64 tensor in [0, K).
        budget: epochs, batch size, optimiser and schedule.
        seed: training seed: order of the samples and every draw inside the network (dropout). Global generators are
            put back afterwards.
        accelerator: Fabric's name of the device, ``"cpu"``, ``"cuda"`` or ``"auto"``.
        on_epoch: called with (epoch, mean loss) after every epoch.

    Raises:
        ValueError: the loss became NaN or infinite, naming the epoch and the likely remedies.
    """
    fabric_module = require("lightning_fabric", extra="train", purpose="Training")
    fabric = fabric_module.Fabric(accelerator=accelerator, devices=1)
    counts = torch.bincount(labels, minlength=task.head.num_classes)
    counts = fabric.to_device(counts.to(torch.get_default_dtype()))
    losses: list[float] = []
    start = time.perf_counter()
    with isolated_rng(seed):
        module, optimizer = fabric.setup(task, make_optimizer(task, budget))
        module.train()
        steps_per_epoch = sum(1 for _ in training_batches(labels, labels, budget.batch_size, seed=seed, epoch=0))
        step = 0
        for epoch in range(budget.epochs):
            context = Context(counts, epoch, budget.epochs)
            total, seen = 0.0, 0
            for x, y in training_batches(inputs, labels, budget.batch_size, seed=seed, epoch=epoch):
                for group in optimizer.param_groups:
                    group["lr"] = budget.learning_rate * learning_rate_factor(step, steps_per_epoch, budget)
                x, y = fabric.to_device((x, y))
                loss = module(x, y, context)["loss"]
                optimizer.zero_grad(set_to_none=True)
                fabric.backward(loss)
                optimizer.step()
                total, seen, step = total + float(loss.detach()) * len(y), seen + len(y), step + 1
            losses.append(total / seen)
            if not torch.isfinite(torch.tensor(losses[-1])):
                raise ValueError(
                    f"the loss of {task.method.label!r} became {losses[-1]} in epoch {epoch}. "
                    f"Lower the learning rate (now {budget.learning_rate}) or look for bad values in the input."
                )
            if on_epoch is not None:
                on_epoch(epoch, losses[-1])
    return Fitted(task.eval(), losses, time.perf_counter() - start)


@torch.no_grad()
def predict(task: Task, inputs: Tensor, *, batch_size: int = 1024) -> tuple[Tensor, Tensor]:
    """Features (N, d) and logits (N, K) of a task in evaluation mode, on the CPU."""
    task.eval()
    device = next(task.parameters()).device
    outputs = [task(chunk.to(device)) for chunk in inputs.split(batch_size)]
    return torch.cat([o["features"] for o in outputs]).cpu(), torch.cat([o["logits"] for o in outputs]).cpu()


@torch.no_grad()
def backbone_features(task: Task, inputs: Tensor, *, batch_size: int = 1024) -> Tensor:
    """What the backbone makes of the inputs, (N, num_features): evaluation mode, on the CPU. The head takes these."""
    task.eval()
    device = next(task.parameters()).device
    return torch.cat([task.backbone(chunk.to(device)).cpu() for chunk in inputs.split(batch_size)])
