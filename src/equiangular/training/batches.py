"""Mini-batches of arrays held in memory. The order of an epoch depends on (seed, epoch) alone, so it can be resumed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor


def epoch_generator(seed: int, epoch: int) -> torch.Generator:
    """The generator of one epoch: a pure function of the training seed and the epoch's number."""
    state = np.random.SeedSequence([seed, epoch]).generate_state(2, np.uint32)
    return torch.Generator().manual_seed(int(state[0]) << 31 | int(state[1]) >> 1)


def batch_bounds(num_samples: int, batch_size: int) -> list[tuple[int, int]]:
    """Slices that cover every sample once; a last batch of one sample joins the batch before it.

    A single sample has no batch statistics, so BatchNorm could not train on it.

    Example:
        >>> batch_bounds(5, 2)
        [(0, 2), (2, 5)]
    """
    starts = list(range(0, num_samples, batch_size))
    if len(starts) > 1 and num_samples - starts[-1] == 1:
        starts.pop()
    return list(zip(starts, [*starts[1:], num_samples], strict=True))


def training_batches(
    inputs: Tensor, labels: Tensor, batch_size: int, *, seed: int, epoch: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Shuffled mini-batches of one epoch.

    Args:
        inputs: (N, ...) tensor of any dtype.
        labels: (N,) int64 tensor.
        batch_size: samples per batch.
        seed: training seed.
        epoch: number of the epoch, from 0.

    Yields:
        Pairs of inputs (B, ...) and labels (B,).
    """
    order = torch.randperm(labels.shape[0], generator=epoch_generator(seed, epoch))
    for start, stop in batch_bounds(labels.shape[0], batch_size):
        index = order[start:stop]
        yield inputs[index], labels[index]
