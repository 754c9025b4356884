"""A task's outputs for a whole part of a data set: evaluation mode, no augmentation, shared among the processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

import torch
from torch import Tensor, distributed

from equiangular._defaults import usual_defaults
from equiangular.data.split import as_float, stream_batches
from equiangular.training.config.draws import even_parts
from equiangular.training.model.task import Task

Prepare = Callable[[Tensor], Tensor]


@torch.no_grad()
def predict_parts(task: Task, inputs: Any, *, fabric: Any = None, **options: Any) -> Iterator[tuple[slice, Tensor]]:
    """Batch by batch which rows of the inputs, and their logits (B, K) on the task's device; none is kept.

    In a distributed run the rows are those of this process. Arguments as for :func:`backbone_features`.
    """
    start = _parts(inputs, fabric)[0 if fabric is None else fabric.global_rank][0]
    for x in _chunks(task, inputs, fabric, **options):
        yield slice(start, start + len(x)), task(x)["logits"]
        start += len(x)


@torch.no_grad()
@usual_defaults()
def predict(task: Task, inputs: Any, *, fabric: Any = None, **options: Any) -> tuple[Tensor, Tensor]:
    """Features (N, d) and logits (N, K) of a task, on the CPU; arguments as for :func:`backbone_features`."""
    outputs = [task(x) for x in _chunks(task, inputs, fabric, **options)]
    return tuple(_together([o[name] for o in outputs], inputs, fabric) for name in ("features", "logits"))


@torch.no_grad()
@usual_defaults()
def backbone_features(task: Task, inputs: Any, *, fabric: Any = None, **options: Any) -> Tensor:
    """What the backbone makes of the inputs, (N, num_features), on the CPU. The head takes these.

    Args:
        task: backbone and head; put into evaluation mode.
        inputs: (N, ...) images of bytes or floats.
        fabric: of a distributed run: each process computes a part, and all get the whole.
        options: ``prepare``, which turns a batch of inputs into what the network takes; ``batch_size``, 1024 by
            default; ``workers``, processes that decode images which are not in memory, 0 by default.
    """
    outputs = [task.backbone(x) for x in _chunks(task, inputs, fabric, **options)]
    return _together(outputs, inputs, fabric)


def _chunks(
    task: Task, inputs: Any, fabric: Any, *, prepare: Prepare = as_float, batch_size: int = 1024, workers: int = 0
) -> Iterator[Tensor]:
    """Batches of this process's part. Every process has the same number of them, as a sharded model needs."""
    task.eval()
    like = next(chain(task.parameters(), task.buffers()))  # a fixed head on inputs as they are has no parameters
    parts = _parts(inputs, fabric)
    number = -(-max(1, *(stop - start for start, stop in parts)) // batch_size)
    bounds = even_parts(*parts[0 if fabric is None else fabric.global_rank], number)
    for x in stream_batches(inputs, (torch.arange(*b) for b in bounds), workers):
        yield prepare(x.to(like.device)).to(like.dtype)


def _parts(inputs: Any, fabric: Any) -> list[tuple[int, int]]:
    return even_parts(0, inputs.shape[0], 1 if fabric is None else fabric.world_size)


def _together(outputs: list[Tensor], inputs: Any, fabric: Any) -> Tensor:
    """The outputs of all processes in the order of the inputs, on the CPU."""
    own = torch.cat(outputs)
    if fabric is None or fabric.world_size == 1:
        return own.cpu()
    sizes = [stop - start for start, stop in _parts(inputs, fabric)]
    padded = own.new_zeros(max(sizes), *own.shape[1:])
    padded[: len(own)] = own
    gathered = [torch.empty_like(padded) for _ in sizes]
    distributed.all_gather(gathered, padded)
    return torch.cat([part[:size] for part, size in zip(gathered, sizes, strict=True)]).cpu()
