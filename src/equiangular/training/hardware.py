"""What a training runs on, and the Lightning Fabric made of it. The number of processes changes no result."""

from __future__ import annotations

import atexit
import gc
import inspect
import logging
import os
from dataclasses import dataclass
from typing import Any

from equiangular._checks import check_choice, check_int
from equiangular._extras import require

ACCELERATORS = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("32-true", "bf16-mixed", "16-mixed", "64-true")
STRATEGIES = ("auto", "ddp", "fsdp")
# The fields that change a result by more than rounding.
DECISIVE = ("precision", "accumulate")


@dataclass(frozen=True)
class Hardware:
    """Devices, processes and precision.

    Attributes:
        accelerator: ``"auto"`` takes a GPU if there is one; else ``"cpu"``, ``"cuda"`` or ``"mps"``.
        devices: processes on this machine, one device each. Under ``torchrun`` and SLURM their numbers are taken.
        num_nodes: machines.
        strategy: ``"auto"`` is DDP for several processes; ``"fsdp"`` spreads the weights over them as well.
        precision: ``"32-true"``, ``"bf16-mixed"``, ``"16-mixed"`` or ``"64-true"``.
        accumulate: parts that a batch is computed in, one after the other, to save memory. BatchNorm sees the parts.
        compile: torch.compile for the backbone.
        channels_last: images and convolutions with the channels last in memory.
        workers: processes that decode images of data sets too large for memory.
        threads: CPU threads of each process; 0 leaves it to PyTorch (one for each of several processes).

    Raises:
        ValueError: a field is out of range; the message names it.

    Example:
        >>> Hardware(devices=2).strategy
        'auto'
    """

    accelerator: str = "auto"
    devices: int = 1
    num_nodes: int = 1
    strategy: str = "auto"
    precision: str = "32-true"
    accumulate: int = 1
    compile: bool = False
    channels_last: bool = False
    workers: int = 0
    threads: int = 0

    def __post_init__(self) -> None:
        check_choice(self.accelerator, ACCELERATORS, "accelerator")
        check_choice(self.strategy, STRATEGIES, "strategy")
        check_choice(self.precision, PRECISIONS, "precision")
        if self.strategy == "fsdp" and self.precision not in ("32-true", "bf16-mixed"):
            raise ValueError(f"strategy='fsdp' works in 32-true and bf16-mixed, got precision={self.precision!r}.")
        for name in ("devices", "num_nodes", "accumulate"):
            check_int(getattr(self, name), name, minimum=1)
        for name in ("workers", "threads"):
            check_int(getattr(self, name), name, minimum=0)


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
    """A launched ``lightning_fabric.Fabric``; for several devices it starts the other processes.

    Raises:
        ValueError: a device or precision that this machine does not have.
        ImportError: Lightning is missing.
    """
    import torch

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
    fabric.launch()
    if fabric.world_size > 1:
        atexit.register(_close_process_group)
    return fabric


def _close_process_group() -> None:
    """End the threads of the process group before the interpreter goes: those left running abort the process."""
    from torch import distributed

    gc.collect()  # sharded modules hold the group in cycles
    if distributed.is_initialized():
        distributed.destroy_process_group()
    gc.collect()


def _strategy(name: str, processes: int) -> Any:
    """Fabric's strategy; one process needs none."""
    from torch.nn.parallel import DistributedDataParallel

    if processes == 1:
        return "auto"
    strategies = require("lightning_fabric.strategies", extra="train", purpose="Training on several devices")
    if name == "fsdp":
        from equiangular.training.sharding import shard

        return strategies.ModelParallelStrategy(shard, data_parallel_size=processes, tensor_parallel_size=1)
    # Buffers need no broadcast: BatchNorm is synchronised and the frames are the same everywhere.
    known = inspect.signature(DistributedDataParallel).parameters
    option = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"
    return strategies.DDPStrategy(gradient_as_bucket_view=True, **{option: False})
