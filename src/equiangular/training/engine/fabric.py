"""The Lightning Fabric of a training: devices and processes, and weights spread over them (FSDP2)."""

from __future__ import annotations

import atexit
import gc
import inspect
import logging
import os
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from equiangular._extras import require
from equiangular._orphans import end_with_parent
from equiangular.training.config.options import Hardware

# Smaller modules are kept with their parent: a gather of few numbers costs as much as one of many.
_SMALLEST_SHARD = 100_000
_FIRST = "EQUIANGULAR_FIRST_PROCESS"  # the number of the process that starts the others


def launched_processes() -> tuple[int, int] | None:
    """Processes on each node and number of nodes, if ``torchrun`` or SLURM started this one; else None."""
    environment = os.environ
    if "TORCHELASTIC_RUN_ID" in environment or "GROUP_WORLD_SIZE" in environment:
        local = int(environment.get("LOCAL_WORLD_SIZE", 1))
        return local, int(environment.get("WORLD_SIZE", local)) // local
    if int(environment.get("SLURM_NTASKS", 1)) > 1 and "SLURM_PROCID" in environment:
        nodes = int(environment.get("SLURM_NNODES", 1))
        return int(environment["SLURM_NTASKS"]) // nodes, nodes
    return None


def make_fabric(hardware: Hardware) -> Any:
    """A launched ``lightning_fabric.Fabric``; for several devices it starts the other processes."""
    if find_spec("torchmetrics") is not None:  # Fabric asks for its version; the whole of it takes seconds
        require("torchmetrics.utilities", extra="measures", purpose="Training", part=True)
    fabric_module = require("lightning_fabric", extra="train", purpose="Training")
    devices, nodes = launched_processes() or (hardware.devices, hardware.num_nodes)
    if hardware.accelerator == "cuda" and not torch.cuda.is_available():
        raise ValueError("accelerator='cuda' needs an NVIDIA GPU that PyTorch can see; there is none. Use 'auto'.")
    if hardware.threads:
        torch.set_num_threads(hardware.threads)
    elif devices > 1:
        torch.set_num_threads(1)
    # It announces the precision it was told, for every training of a study anew.
    logging.getLogger("lightning_fabric.utilities.rank_zero").setLevel(logging.WARNING)
    fabric = fabric_module.Fabric(
        accelerator=hardware.accelerator,
        devices=devices,
        num_nodes=nodes,
        strategy=_strategy(hardware.strategy, devices * nodes),
        precision=hardware.precision,
    )
    if devices * nodes > 1:
        _end_with_the_first()
    fabric.launch()
    if fabric.world_size > 1:
        atexit.register(_close_process_group)
    return fabric


def _end_with_the_first() -> None:
    """Tell the processes that Fabric starts who has started them, or be one of them and end when that one has ended.

    Before Fabric connects them: a process that is left alone there waits for half an hour.
    """
    if launched_processes() is not None:
        return
    if os.environ.get("LOCAL_RANK", "0") == "0":
        os.environ[_FIRST] = str(os.getpid())
    else:  # on Windows an interpreter of an environment is started by another process
        first = os.environ.get(_FIRST) if os.name == "posix" else None
        end_with_parent(None if first is None else int(first))


def adds_nothing(fabric: Any) -> bool:
    """Whether Fabric's wrappers only pass on: one device, no precision but the tensors' own, no callbacks."""
    strategies = require("lightning_fabric.strategies", extra="train", purpose="Training")
    precision = require("lightning_fabric.plugins.precision", extra="train", purpose="Training").Precision
    strategy = fabric.strategy
    plain = type(strategy) is strategies.SingleDeviceStrategy and type(strategy.precision) is precision
    return plain and not fabric._callbacks


def _close_process_group() -> None:
    """End the threads of the process group before the interpreter goes: those left running abort the process."""
    gc.collect()  # sharded modules hold the group in cycles
    if distributed.is_initialized():
        distributed.destroy_process_group()
    gc.collect()


def _strategy(name: str, processes: int) -> Any:
    """Fabric's strategy; one process needs none."""
    if processes == 1:
        return "auto"
    strategies = require("lightning_fabric.strategies", extra="train", purpose="Training on several devices")
    if name == "fsdp":
        return strategies.ModelParallelStrategy(shard, data_parallel_size=processes, tensor_parallel_size=1)
    # Buffers need no broadcast: BatchNorm is synchronised and the frames are the same everywhere.
    known = inspect.signature(DistributedDataParallel).parameters
    option = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"
    return strategies.DDPStrategy(gradient_as_bucket_view=True, **{option: False})


def shard(task: nn.Module, mesh: Any) -> nn.Module:
    """Spread the parameters of a task over the dimension ``"data_parallel"`` of a device mesh, block by block."""
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
