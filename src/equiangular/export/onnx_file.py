"""ONNX: written by PyTorch's exporter, run by onnxruntime."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from equiangular._extras import require

OUTPUTS = ["logits", "probabilities"]


def write_onnx(module: nn.Module, x: Tensor, path: Path, metadata: dict[str, str]) -> None:
    """Write ``module`` as ONNX with input ``x`` of any batch size.

    The exporter is the one over ``torch.export``, or where PyTorch is older than 2.6 or onnxscript is missing, the one
    over TorchScript.

    Raises:
        ImportError: onnx is missing.
    """
    onnx = require("onnx", extra="onnx", purpose="Writing ONNX")
    require("onnxruntime", extra="onnx", purpose="Checking an ONNX file")  # before the work, not after
    names: dict[str, Any] = {"input_names": ["x"], "output_names": OUTPUTS}
    if _release() >= (2, 6) and find_spec("onnxscript") is not None:
        shapes = {"x": {0: torch.export.Dim("batch", min=1)}}
        program = torch.onnx.export(module, (x,), dynamo=True, dynamic_shapes=shapes, verbose=False, **names)
        cast("torch.onnx.ONNXProgram", program).save(str(path))
    else:
        axes = {name: {0: "batch"} for name in ("x", *OUTPUTS)}
        old: dict[str, Any] = {"dynamo": False} if _release() >= (2, 5) else {}
        torch.onnx.export(module, (x,), str(path), dynamic_axes=axes, **names, **old)
    model = onnx.load(str(path))
    for key, value in metadata.items():
        model.metadata_props.add(key=key, value=value)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def onnx_runner(path: Path) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """A function that runs the file on the CPU."""
    onnxruntime = require("onnxruntime", extra="onnx", purpose="Checking an ONNX file")
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def run(x: Tensor) -> tuple[Tensor, Tensor]:
        logits, probabilities = session.run(OUTPUTS, {"x": x.numpy()})
        return torch.from_numpy(logits), torch.from_numpy(probabilities)

    return run


def _release() -> tuple[int, int]:
    major, minor, *_ = torch.__version__.split(".")
    return int(major), int(minor)
