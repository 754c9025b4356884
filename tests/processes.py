"""A function in processes that are one group of torch.distributed, without an interpreter started for each of them."""

import multiprocessing
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

# Imported once, by the process that all others are forked from: imports are what these tests cost.
PRELOADED = [
    "equiangular.measures.neural_collapse", "equiangular.measures.streaming", "equiangular.training",
    "equiangular.training.engine.fabric", "equiangular.training.run.checkpoint",
    "hypothesis.extra.numpy", "pytest", "torch._dynamo", "torch.distributed", "torch.utils.data",
    "torchmetrics.functional.classification",
]  # fmt: skip


def run_two(function: Callable[[int, str], None], folder: Path) -> None:
    """``function(rank, folder)`` in two processes of a group; an error in one is an error here."""
    _run(2, _joined, function, str(folder))


def run_as_torchrun(processes: int, function: Callable[..., None], *arguments: Any) -> None:
    """``function(*arguments)`` in processes with the environment that torchrun gives them; no group is made yet."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    _run(processes, _launched, processes, port, function, arguments)


def _run(processes: int, function: Callable[..., None], *arguments: Any) -> None:
    method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    if method == "forkserver":
        multiprocessing.get_context(method).set_forkserver_preload(PRELOADED)
    torch.multiprocessing.start_processes(function, arguments, nprocs=processes, start_method=method)


def _launched(rank: int, processes: int, port: int, function: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    torch.set_num_threads(1)
    ranks = {"RANK": rank, "LOCAL_RANK": rank, "GROUP_RANK": 0, "WORLD_SIZE": processes, "LOCAL_WORLD_SIZE": processes}
    others = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "TORCHELASTIC_RUN_ID": "test"}
    os.environ |= {name: str(value) for name, value in (ranks | others).items()}
    function(*arguments)


def _joined(rank: int, function: Callable[[int, str], None], folder: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    try:
        function(rank, folder)
    finally:
        torch.distributed.destroy_process_group()
