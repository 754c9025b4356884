"""Closed-form classifiers of several processes made one: what each has seen is gathered and merged."""

from __future__ import annotations

import copy

import torch

from equiangular.closed_form.classifier import ClosedForm
from equiangular.closed_form.files import closed_form_from_state, closed_form_state
from equiangular.closed_form.head import ClosedFormHead


def merge_across_processes(
    model: ClosedForm | ClosedFormHead, group: torch.distributed.ProcessGroup | None = None
) -> ClosedForm | ClosedFormHead:
    """Add what the classifiers of all processes have seen, in place; returns the model.

    For processes of torchrun or Lightning Fabric, each of which has seen its share of the samples. All get the same
    numbers, bit for bit: states are merged in the order of the ranks. Call it once after the last batch: what is
    merged is on every process from then on, and a second call would count it again. Outside of a process group it
    does nothing. Prior samples stay each process's own.

    Args:
        model: of the same kind and width on every process.
        group: the process group; all processes by default.

    Raises:
        ValueError: kinds or widths differ, or a head that has its class vectors from ``load_state_dict``.

    Example:
        >>> model = ClosedForm(2, 2).update(torch.eye(2), torch.tensor([0, 1]))
        >>> merge_across_processes(model).class_counts  # one process
        tensor([1., 1.], dtype=torch.float64)
    """
    if isinstance(model, ClosedFormHead):
        model._check_seen("merge_across_processes")
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return model
    mine = model.closed_form if isinstance(model, ClosedFormHead) else model
    alone = copy.copy(mine)
    alone.prior = None
    states: list[object] = [None] * torch.distributed.get_world_size(group)
    torch.distributed.all_gather_object(states, closed_form_state(alone), group=group)
    parts = [closed_form_from_state(*state) for state in states]  # type: ignore[misc]
    classes = max(part.num_classes for part in parts)
    mine.grow(classes)
    mine.seen = mine.nothing(classes)
    for part in parts:
        mine.merge(part.grow(classes))
    return model._changed()
