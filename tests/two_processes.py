"""A function in two processes that are one group of torch.distributed, without two interpreters for each test."""

import multiprocessing
from collections.abc import Callable
from pathlib import Path

import torch

# Imported once, by the process that all others are forked from: imports are what these tests cost.
PRELOADED = [
    "equiangular.measures.neural_collapse", "equiangular.measures.streaming", "equiangular.training.model.task",
    "hypothesis.extra.numpy", "pytest", "torch._dynamo", "torch.distributed", "torch.utils.data",
    "torchmetrics.functional.classification",
]  # fmt: skip


def run_two(function: Callable[[int, str], None], folder: Path) -> None:
    """``function(rank, folder)`` in both; an error in one is an error here."""
    method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    if method == "forkserver":
        multiprocessing.get_context(method).set_forkserver_preload(PRELOADED)
    torch.multiprocessing.start_processes(_joined, (function, str(folder)), nprocs=2, start_method=method)


def _joined(rank: int, function: Callable[[int, str], None], folder: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    try:
        function(rank, folder)
    finally:
        torch.distributed.destroy_process_group()
