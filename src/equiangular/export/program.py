"""torch.export: a .pt2 file that PyTorch runs without this library."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

EXTRA_FILE = "equiangular.json"


def write_program(module: nn.Module, x: Tensor, path: Path, metadata: dict[str, str]) -> None:
    """Write ``module`` for ``torch.export.load``, with input ``x`` of any batch size."""
    shapes = {"x": {0: torch.export.Dim("batch", min=1)}}
    program = torch.export.export(module, (x,), dynamic_shapes=shapes)
    content = {key: json.loads(value) for key, value in metadata.items()}
    torch.export.save(program, str(path), extra_files={EXTRA_FILE: json.dumps(content, ensure_ascii=False)})


def program_runner(path: Path) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """A function that runs the file on the CPU."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations inside PyTorch
        return torch.export.load(str(path)).module()
