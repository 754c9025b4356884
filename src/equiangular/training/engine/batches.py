"""The batches of a training run. Every draw is a pure function of (seed, epoch, step) over the whole batch.

So a run can be taken up at any step, and what it sees does not depend on the number of processes: each draws for the
whole batch and computes its own part.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import KW_ONLY, dataclass
from typing import Any

import torch
from torch import Tensor

from equiangular.data.split import stream_batches
from equiangular.longtail.labels import ClassMembers
from equiangular.training.augment import Augmentation, Mixing, take_draws
from equiangular.training.config.budget import Budget, sampler_alpha
from equiangular.training.config.draws import batch_bounds, derived_seed, even_parts
from equiangular.training.engine.sampling import class_balanced_order, uniform_order


@dataclass
class Batch:
    """What one process computes of one optimiser step."""

    step: int  # within the epoch
    size: int  # samples of the whole batch, over all processes and parts
    target: Any  # of the whole batch, on the device
    parts: list[tuple[Tensor, Any]]  # inputs and target of this process, for each part of gradient accumulation


@dataclass
class _Plan:
    """The draws for one whole batch, and the positions in it that this process computes, ``own``, and needs for it.

    ``index`` has the batch in the training data and then what it is mixed with from outside of it.
    """

    step: int
    index: Tensor
    labels: Tensor
    partner_labels: Tensor | None
    augmentation: Any
    mixing: Any
    own: list[slice]
    needed: list[slice] | list[Tensor]


@dataclass(eq=False)
class Batches:
    """All batches of a run, for process ``rank`` of ``world_size``; arguments as for :class:`Training`.

    ``prepare`` is given a batch of inputs augmented and on the device; ``accumulate`` is the number of parts of
    gradient accumulation, ``workers`` that of processes that decode.
    """

    inputs: Any
    labels: Tensor
    budget: Budget
    _: KW_ONLY
    seed: int
    prepare: Callable[[Tensor], Tensor]
    device: torch.device
    rank: int = 0
    world_size: int = 1
    accumulate: int = 1
    workers: int = 0

    def __post_init__(self) -> None:
        self.bounds = batch_bounds(len(self.labels), self.budget.batch_size)
        self.augmentation, self.mixing = parse_augmentation(self.budget, self.inputs)
        self.members = ClassMembers(self.labels) if self.mixing is not None and self.mixing.from_all_data else None

    @property
    def as_they_are(self) -> bool:
        """Whether a batch is rows of a tensor and their labels: nothing drawn, nothing parted, nothing decoded."""
        undrawn = self.augmentation is None and self.mixing is None
        return undrawn and self.accumulate == self.world_size == 1 and isinstance(self.inputs, Tensor)

    def __len__(self) -> int:
        """Steps of an epoch."""
        return len(self.bounds)

    def epoch(self, epoch: int, *, start: int = 0) -> Iterator[Batch]:
        """The batches of one epoch from step ``start`` on."""
        order = self._order(epoch)
        if self.as_they_are:
            inputs, labels, here = self.inputs, self.labels, self.device
            in_place = order.device == inputs.device == labels.device == here
            for step in range(start, len(self.bounds)):
                index = order[slice(*self.bounds[step])]
                if in_place:
                    x, target = self.prepare(inputs.index_select(0, index)), labels.index_select(0, index)
                else:
                    x = self.prepare(inputs.index_select(0, index.to(inputs.device)).to(here, non_blocking=True))
                    target = labels[index].to(here, non_blocking=True)
                yield Batch(step, len(index), target, [(x, target)])
            return
        plans: deque[_Plan] = deque()

        def wanted() -> Iterator[Tensor]:
            for step in range(start, len(self.bounds)):
                plan = self._plan(epoch, step, order[slice(*self.bounds[step])])
                plans.append(plan)
                yield from (plan.index[needed] for needed in plan.needed)

        loaded = stream_batches(self.inputs, wanted(), self.workers)
        for first in loaded:
            plan = plans.popleft()
            yield self._batch(plan, [first, *(next(loaded) for _ in plan.needed[1:])])

    def _order(self, epoch: int) -> Tensor:
        alpha = sampler_alpha(self.budget.sampler)
        if alpha:
            return class_balanced_order(self.labels, self.seed, epoch, alpha)
        return uniform_order(len(self.labels), self.seed, epoch)

    def _plan(self, epoch: int, step: int, index: Tensor) -> _Plan:
        num, shape, labels = len(index), tuple(self.inputs.shape[1:]), self.labels[index]
        draws = mixed = None
        if self.augmentation is not None or self.mixing is not None:
            generator = torch.Generator().manual_seed(derived_seed(self.seed, epoch, step, 1))
            if self.augmentation is not None:
                draws = self.augmentation.draw(num if self.members is None else 2 * num, shape, generator)
            if self.mixing is not None:
                mixed = self.mixing.draw(num, shape, generator, labels=labels, members=self.members)
        # A part has two samples at least, for the sake of BatchNorm.
        parts = even_parts(0, num, min(self.accumulate, max(1, num // 2)))
        own = [slice(*even_parts(*part, self.world_size)[self.rank]) for part in parts]
        needed: Any = own
        partner_labels = None
        if mixed is not None:
            index = index if mixed.extra is None else torch.cat([index, mixed.extra])
            partner_labels = self.labels[index[mixed.partner]]
            needed = [torch.cat([torch.arange(o.start, o.stop), mixed.partner[o]]).unique() for o in own]
        return _Plan(step, index, labels, partner_labels, draws, mixed, own, needed)

    def _batch(self, plan: _Plan, inputs: list[Tensor]) -> Batch:
        target = self._target(plan, slice(None))
        parts = []
        for x, own, needed in zip(inputs, plan.own, plan.needed, strict=True):
            x = x.to(self.device, non_blocking=True)
            if plan.augmentation is not None:
                x = self.augmentation.apply(x, take_draws(plan.augmentation, needed))  # moved where used
            x = self.prepare(x)
            if plan.mixing is not None:
                both = torch.arange(own.start, own.stop), plan.mixing.partner[own]
                mine, theirs = (torch.searchsorted(needed, i).to(self.device) for i in both)
                x = self.mixing.apply(x[mine], x[theirs], plan.mixing.rows(own))
            whole = own == slice(0, len(plan.labels))
            parts.append((x, target if whole else self._target(plan, own)))
        return Batch(plan.step, len(plan.labels), target, parts)

    def _target(self, plan: _Plan, rows: slice) -> Any:
        labels = plan.labels[rows].to(self.device, non_blocking=True)
        if plan.mixing is None:
            return labels
        lam = plan.mixing.rows(rows).lam
        lam = lam.to(self.device, non_blocking=True) if isinstance(lam, Tensor) else lam
        return labels, plan.partner_labels[rows].to(self.device, non_blocking=True), lam


def parse_augmentation(budget: Budget, inputs: Any) -> tuple[Any, Any]:
    """The augmentation and the mixing that a budget asks for; None for none."""
    if budget.augment != "none" and len(inputs.shape) != 4:
        raise ValueError(
            f"augment={budget.augment!r} is for images, the inputs have shape {tuple(inputs.shape)}. "
            "Use augment='none'; mix='mixup:0.2' works on tables too."
        )
    kinds = (Augmentation, budget.augment), (Mixing, budget.mix)
    augmentation, mixing = (None if text == "none" else kind.parse(text) for kind, text in kinds)
    return augmentation, mixing
