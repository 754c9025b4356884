"""The order in which an epoch takes its samples: every sample once, or classes in balance; also as a torch sampler."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor
from torch.utils.data import DistributedSampler

from equiangular._validate import check_int
from equiangular.longtail.labels import ClassMembers
from equiangular.training.config.draws import epoch_generator

_STREAM = 3  # apart from the streams of subsets, hold-outs and test splits


def uniform_order(num_samples: int, seed: int, epoch: int) -> Tensor:
    """Every sample once, in a random order (N,) int64 that depends on (seed, epoch) alone.

    Example:
        >>> sorted(uniform_order(4, seed=0, epoch=1).tolist())
        [0, 1, 2, 3]
    """
    return torch.randperm(num_samples, generator=epoch_generator(seed, epoch))


def class_balanced_order(
    labels: Any, seed: int, epoch: int, alpha: float = 1.0, *, num_samples: int | None = None
) -> Tensor:
    """Draw samples with replacement, first a class, then one of its samples.

    Class c, of n_c samples, is drawn with probability n_c^(1 - alpha) / sum_j n_j^(1 - alpha): 0 draws every sample,
    1 every class equally often, 1/2 in proportion to the square root. In the publication's letters q = 1 - alpha.

    The k-th draw does not depend on how many follow it. Returns (num_samples,) int64 positions on the CPU.

    Args:
        labels: (N,) integers or strings; classes without samples do not exist.
        seed: training seed.
        epoch: number of the epoch, from 0.
        alpha: how far to balance, in [0, 1].
        num_samples: how many to draw; N by default.

    Raises:
        ValueError: no labels, or alpha out of range.

    Example:
        >>> labels = torch.tensor([0] * 98 + [1] * 2)
        >>> drawn = class_balanced_order(labels, seed=0, epoch=0, num_samples=1000)
        >>> 450 < int(labels[drawn].sum()) < 550
        True

    Source: Kang et al., Decoupling representation and classifier for long-tailed recognition, ICLR 2020, section 3.
    """
    return _draw(ClassMembers(labels), _check_alpha(alpha), seed, epoch, num_samples)


class ClassBalancedSampler(DistributedSampler[int]):
    """A sampler that balances classes, for a :class:`torch.utils.data.DataLoader` in one process or in many.

    An epoch is the draw of :func:`class_balanced_order`, dealt out to the processes in turn: process r of R takes draws
    r, r + R, r + 2R, ... So the batches of all processes together are those of a single process with R times the batch
    size, up to R - 1 further draws at the end that make the shares equal. Call :meth:`set_epoch` before each epoch.
    Trainers that know torch's ``DistributedSampler`` (Lightning, for one) leave it as it is.

    Args:
        labels: (N,) integers or strings: one for each sample of the data set. They are read once; no sample is loaded.
        alpha: 1 draws every class equally often, 0 every sample, see :func:`class_balanced_order`.
        num_samples: draws of one epoch over all processes; N by default.
        seed: training seed, the same in every process.
        num_replicas: number of processes R; by default that of ``torch.distributed``, or 1.
        rank: number of this process; by default that of ``torch.distributed``, or 0.

    Raises:
        ValueError: an argument out of range.

    Example:
        >>> sampler = ClassBalancedSampler([0, 0, 0, 1], num_samples=6, num_replicas=2, rank=0)
        >>> len(sampler), len(list(sampler))
        (3, 3)

    Source: Kang et al., Decoupling representation and classifier for long-tailed recognition, ICLR 2020, section 3.
    """

    def __init__(
        self,
        labels: Any,
        *,
        alpha: float = 1.0,
        num_samples: int | None = None,
        seed: int = 0,
        num_replicas: int | None = None,
        rank: int | None = None,
    ) -> None:
        running = dist.is_available() and dist.is_initialized()
        if num_replicas is None:
            num_replicas = dist.get_world_size() if running else 1
        if rank is None:
            rank = dist.get_rank() if running else 0
        check_int(num_replicas, "num_replicas", minimum=1)
        check_int(rank, "rank", minimum=0)
        if rank >= num_replicas:
            raise ValueError(f"rank must lie in [0, {num_replicas - 1}] for {num_replicas} processes, got {rank}.")
        check_int(seed, "seed", minimum=0)
        self._alpha, self._members = _check_alpha(alpha), ClassMembers(labels)
        total = len(self._members) if num_samples is None else check_int(num_samples, "num_samples", minimum=1)
        super().__init__(self._members, num_replicas=num_replicas, rank=rank, seed=seed)  # type: ignore[arg-type]
        self.num_samples = math.ceil(total / num_replicas)
        self.total_size = self.num_samples * num_replicas

    def __iter__(self) -> Iterator[int]:
        drawn = _draw(self._members, self._alpha, self.seed, self.epoch, self.total_size)
        return iter(drawn[self.rank :: self.num_replicas].tolist())


def _check_alpha(alpha: Any) -> float:
    if isinstance(alpha, (bool, str)) or not 0 <= alpha <= 1:
        raise ValueError(f"alpha must lie in [0, 1], got {alpha!r}: 0 draws every sample equally often, 1 every class.")
    return alpha


def _draw(members: ClassMembers, alpha: float, seed: int, epoch: int, num_samples: int | None) -> Tensor:
    check_int(epoch, "epoch", minimum=0)
    number = len(members) if num_samples is None else num_samples
    uniform = np.random.default_rng([seed, epoch, _STREAM]).random((number, 2))
    return torch.from_numpy(members.draw(uniform, power=1 - alpha))
