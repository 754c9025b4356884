"""Weights spread over processes (FSDP2): how a task is sharded, and whole tensors from shards and back."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

# Smaller modules are kept with their parent: a gather of few numbers costs as much as one of many.
_SMALLEST_SHARD = 100_000


def shard(task: nn.Module, mesh: Any) -> nn.Module:
    """Spread the parameters of a task over the processes of ``mesh``, block by block.

    Args:
        task: the module, on the CPU or the device.
        mesh: a device mesh with a dimension ``"data_parallel"``.
    """
    try:
        from torch.distributed.fsdp import fully_shard
    except ImportError:  # torch 2.4 and 2.5
        from torch.distributed._composable.fsdp import fully_shard
    flat = mesh["data_parallel"]
    for module in list(task.backbone.modules())[1:]:
        if isinstance(module, (nn.ModuleList, nn.Sequential)):
            for block in module:
                if sum(p.numel() for p in block.parameters()) >= _SMALLEST_SHARD:
                    fully_shard(block, mesh=flat)
    fully_shard(task, mesh=flat)
    return task


def full_tensor(value: Tensor) -> Tensor:
    """A copy of a tensor, whole and contiguous, on the CPU; all processes call this together for a sharded one."""
    value = value.detach()
    if hasattr(value, "full_tensor"):
        value = value.full_tensor()
    return value.cpu().clone(memory_format=torch.contiguous_format)


@torch.no_grad()
def load_sharded(target: Tensor, value: Tensor) -> Tensor:
    """Copy a whole tensor into ``target``, or this process's shard of it.

    Raises:
        ValueError: another shape.
    """
    if target.shape != value.shape:
        raise ValueError(f"it has a tensor of shape {tuple(value.shape)} where {tuple(target.shape)} is needed")
    if hasattr(target, "full_tensor"):
        try:
            from torch.distributed.tensor import distribute_tensor
        except ImportError:  # torch 2.4
            from torch.distributed._tensor import distribute_tensor

        value = distribute_tensor(value.to(target.device), target.device_mesh, target.placements)
    return target.copy_(value)
