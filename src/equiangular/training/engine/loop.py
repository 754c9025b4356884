"""The training loop over Lightning Fabric: the same for every method, stoppable and resumable at every step."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from equiangular._defaults import usual_defaults
from equiangular._random import isolated_rng, seed_everything
from equiangular._validate import NonFiniteError
from equiangular.data.split import as_float
from equiangular.training.config.budget import Budget, learning_rate_factor
from equiangular.training.config.draws import derived_seed
from equiangular.training.config.options import Hardware
from equiangular.training.engine.batches import Batch, Batches
from equiangular.training.engine.fabric import adds_nothing, make_fabric
from equiangular.training.engine.muon import Muon
from equiangular.training.engine.sync_batch_norm import synchronise_batch_norm
from equiangular.training.methods import Context, TrainingDivergedError
from equiangular.training.model.task import Task

_SMALL_NETWORK = 2**20  # parameters up to which an update's calls cost as much as its sums


def make_optimizer(module: nn.Module, budget: Budget) -> torch.optim.Optimizer:
    """SGD with Nesterov momentum, AdamW, or Muon with SGD, over the parameters that learn.

    Example:
        >>> type(make_optimizer(nn.Linear(2, 2), Budget(optimizer="adamw", learning_rate=1e-3))).__name__
        'AdamW'
    """
    learned = [p for p in module.parameters() if p.requires_grad]
    common: dict[str, Any] = {"lr": budget.learning_rate, "weight_decay": budget.weight_decay}
    if all(p.is_cpu for p in learned) and sum(p.numel() for p in learned) <= _SMALL_NETWORK:
        common["foreach"] = True  # the same bits; it saves calls and takes memory for one more set of parameters
    if budget.optimizer == "adamw":
        return torch.optim.AdamW(learned, betas=(budget.momentum, 0.999), **common)
    if budget.optimizer == "muon":
        return Muon(learned, momentum=budget.momentum, **common)
    return torch.optim.SGD(learned, momentum=budget.momentum, nesterov=budget.momentum > 0, **common)


@dataclass(frozen=True)
class Fitted:
    """A trained task and what its training took.

    Attributes:
        task: the trained module, in evaluation mode, on the device it was trained on.
        losses: mean training loss of every epoch.
        seconds: wall-clock time of the epochs.
    """

    task: Task
    losses: list[float]
    seconds: float


class Training:
    """A task in training: what a checkpoint holds, and the step that changes it.

    Args:
        task: backbone, head and method; trained in place.
        inputs: (N, ...) images of bytes or floats.
        labels: (N,) int64 tensor in [0, K).
        budget: epochs, batch size, optimiser, schedule, sampler and augmentation.
        seed: training seed: order of the samples, augmentation, and every draw inside the network (dropout). Global
            generators are put back afterwards.
        prepare: turns a batch of inputs into what the network takes; by default bytes become floats in [0, 1].
        hardware: devices and precision; the default is one CPU process.
        fabric: a launched Fabric to use instead.

    Attributes:
        epoch: the current epoch, from 0; ``budget.epochs`` when training has ended.
        step: steps taken in this epoch.
        losses: mean training loss of every finished epoch.
        seconds: wall-clock time of the steps so far.
        peak_memory: bytes, see :class:`equiangular.training.engine.memory.PeakMemory`; NaN until the end.
    """

    def __init__(
        self,
        task: Task,
        inputs: Any,
        labels: Tensor,
        budget: Budget,
        *,
        seed: int,
        prepare: Callable[[Tensor], Tensor] = as_float,
        hardware: Hardware | None = None,
        fabric: Any = None,
    ) -> None:
        hardware = hardware or Hardware(accelerator="cpu")
        self.fabric = fabric or make_fabric(hardware)
        self.task, self.budget, self.seed = task, budget, seed
        if self.fabric.world_size > 1:
            synchronise_batch_norm(task)
        prepared = prepare
        if hardware.channels_last and len(inputs.shape) == 4:
            task.to(memory_format=torch.channels_last)
            prepared = lambda x: prepare(x).contiguous(memory_format=torch.channels_last)  # noqa: E731
        if hardware.compile:
            task.backbone.compile()
        self.module = self.fabric.setup_module(task)  # before the optimiser: sharding replaces the parameters
        self.optimizer = self.fabric.setup_optimizers(make_optimizer(task, budget))
        self.rank = int(self.fabric.global_rank)
        # Where they would add nothing but time, a step goes past Fabric's wrappers.
        self.direct = adds_nothing(self.fabric)
        self._last_share: tuple[int, Tensor] | None = None
        self.average = None
        if budget.ema:
            self.average = AveragedModel(task, multi_avg_fn=get_ema_multi_avg_fn(budget.ema), use_buffers=True)
        device = self.fabric.device
        self.batches = Batches(
            inputs,
            labels,
            budget,
            seed=seed,
            prepare=prepared,
            device=device,
            rank=self.fabric.global_rank,
            world_size=self.fabric.world_size,
            accumulate=hardware.accumulate,
            workers=hardware.workers,
        )
        counts = torch.bincount(labels, minlength=task.head.num_classes)
        self.class_counts = counts.to(device, torch.get_default_dtype())
        self.epoch, self.step = 0, 0
        self.losses: list[float] = []
        self.seconds = 0.0
        # The sum of the losses of this epoch on this process; Apple's GPUs have no float64.
        dtype = torch.float32 if device.type == "mps" else torch.float64
        self.total = torch.zeros((), dtype=dtype, device=device)

    peak_memory = math.nan

    @property
    def shown(self) -> Task:
        """The task to measure and to save: the average of the weights where one is kept."""
        return self.task if self.average is None else self.average.module

    @property
    def last_rate(self) -> float:
        """Learning rate of the last step; 0 before the first.

        It follows from the position: a training that goes on from the end of an epoch takes no step before it is asked.
        """
        taken = self.epoch * len(self.batches) + self.step
        return self._rate(taken - 1) if taken else 0.0

    def _rate(self, step: int) -> float:
        return self.budget.learning_rate * learning_rate_factor(step, len(self.batches), self.budget)

    def run(
        self, *, on_step: Callable[[Training], None] | None = None, on_epoch: Callable[[Training], None] | None = None
    ) -> None:
        """Train from the present position to the end.

        Args:
            on_step: called after every step.
            on_epoch: called after every epoch, with ``epoch`` already counted up.

        Raises:
            TrainingDivergedError: the loss became NaN or infinite, naming the epoch and the likely remedies.
        """
        with isolated_rng(self.seed):
            while self.epoch < self.budget.epochs:
                start = time.perf_counter()
                self.module.train()
                for batch in self.batches.epoch(self.epoch, start=self.step):
                    self._take_step(batch)
                    if on_step is not None:
                        self.seconds, start = self.seconds + time.perf_counter() - start, time.perf_counter()
                        on_step(self)
                self._end_epoch()
                self.seconds += time.perf_counter() - start
                if on_epoch is not None:
                    on_epoch(self)
        self.shown.eval()

    def _take_step(self, batch: Batch) -> None:
        seed_everything(derived_seed(self.seed, self.epoch, batch.step, 2, self.rank))
        rate = self._rate(self.epoch * len(self.batches) + batch.step)
        optimizer = self.optimizer.optimizer
        for group in optimizer.param_groups:
            group["lr"] = rate
        self.task.context = Context(self.class_counts, self.epoch, self.budget.epochs, batch.target)
        optimizer.zero_grad(set_to_none=True)
        for i, (x, target) in enumerate(batch.parts):
            if self.direct:
                summed = self._losses(x, target).sum()
                summed.backward(self._share(summed, batch.size))
                self.total.add_(summed.detach() / batch.size, alpha=batch.size)
            else:
                with self.fabric.no_backward_sync(self.module, enabled=i + 1 < len(batch.parts)):
                    loss = self._losses(x, target).sum() / batch.size
                    # Distributed wrappers average the gradients of the processes; the batch's loss is their sum.
                    world_size = self.fabric.world_size
                    self.fabric.backward(loss if world_size == 1 else loss * world_size)
                self.total.add_(loss.detach(), alpha=batch.size)
        if self.budget.clip_norm:
            self.fabric.clip_gradients(
                self.module, self.optimizer, max_norm=self.budget.clip_norm, error_if_nonfinite=False
            )
        (optimizer if self.direct else self.optimizer).step()
        if self.average is not None:
            self.average.update_parameters(self.task)
        self.step = batch.step + 1

    def _share(self, summed: Tensor, size: int) -> Tensor:
        """The gradient 1 / size of a mean with respect to its sum; a batch has mostly the size of the one before."""
        if self._last_share is None or self._last_share[0] != size or self._last_share[1].dtype != summed.dtype:
            self._last_share = size, torch.ones_like(summed) / size
        return self._last_share[1]

    def _losses(self, x: Tensor, target: Any) -> Tensor:
        """The losses of the samples; where the CPU's checks find NaN features in them, training has diverged."""
        try:
            losses: Tensor = (self.task if self.direct else self.module)(x, target)["losses"]
        except NonFiniteError as error:
            if torch.isfinite(x).all():
                raise self._diverged("infinite") from error
            raise
        return losses

    def _diverged(self, loss: str) -> TrainingDivergedError:
        return TrainingDivergedError(
            f"the loss of {self.task.method.label!r} became {loss} in epoch {self.epoch + 1}. "
            f"Lower the learning rate (now {self.budget.learning_rate}) or look for bad values in the input."
        )

    def _end_epoch(self) -> None:
        total = float(self.fabric.all_reduce(self.total, reduce_op="sum"))
        loss = total / self.batches.bounds[-1][1]
        if not math.isfinite(loss):
            raise self._diverged(str(loss))
        self.losses.append(loss)
        self.total.zero_()
        self.epoch, self.step = self.epoch + 1, 0


@usual_defaults()
def fit(
    task: Task,
    inputs: Any,
    labels: Tensor,
    budget: Budget,
    *,
    on_epoch: Callable[[int, float], None] | None = None,
    **options: Any,
) -> Fitted:
    """Train ``task`` from beginning to end; arguments and errors are those of :class:`Training` and its ``run``.

    After every epoch ``on_epoch`` is called with (epoch, mean loss).
    """
    training = Training(task, inputs, labels, budget, **options)
    training.run(on_epoch=on_epoch and (lambda t: on_epoch(t.epoch - 1, t.losses[-1])))
    return Fitted(training.shown, training.losses, training.seconds)
