"""The two kinds of file: how a module is written to each, and how the file is run."""

from __future__ import annotations

import json
import logging
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from equiangular._extras import require
from equiangular.export.subject import Subject

OUTPUTS = ["logits", "probabilities"]
Inputs = dict[str, Tensor]
Runner = Callable[[Inputs], tuple[Tensor, Tensor]]
EXTRA_FILE = "equiangular.json"
ONNX_LIMIT = 2**31  # bytes of a protocol buffer


def write_onnx(subject: Subject, x: Inputs, path: Path, metadata: dict[str, str]) -> None:
    """Write the subject's module as ONNX, with inputs like ``x`` of any batch size and length.

    The exporter is the one over ``torch.export``, or where PyTorch is older than 2.6 or onnxscript is missing, the one
    over TorchScript.

    Raises:
        ValueError: weights that one file cannot hold.
    """
    onnx = require("onnx", extra="onnx", purpose="Writing ONNX")
    require("onnxruntime", extra="onnx", purpose="Checking an ONNX file")  # before the work, not after
    values = [*subject.module.parameters(), *subject.module.buffers()]
    size = sum(value.numel() * value.element_size() for value in values)
    if size > 0.99 * ONNX_LIMIT:
        raise ValueError(f"its weights take {size / 1e9:.1f} GB, and one ONNX file holds {ONNX_LIMIT / 1e9:.1f} GB")
    names: Any = {"input_names": list(x), "output_names": OUTPUTS}
    # torch.__version__ compares as a version, not as a text.
    if torch.__version__ >= "2.6" and find_spec("onnxscript") is not None:
        shapes = _dynamic_shapes(subject)
        program: Any = torch.onnx.export(
            subject.module, tuple(x.values()), dynamo=True, dynamic_shapes=shapes, verbose=False, **names
        )
        program.save(str(path))
    else:
        axes = {name: {i: a for i, a in enumerate(sizes) if isinstance(a, str)} for name, sizes in subject.axes.items()}
        axes |= {name: {0: "batch"} for name in OUTPUTS}
        old: Any = {"dynamo": False} if torch.__version__ >= "2.5" else {}
        torch.onnx.export(subject.module, tuple(x.values()), str(path), dynamic_axes=axes, **names, **old)
    model = onnx.load(str(path))
    for key, value in metadata.items():
        model.metadata_props.add(key=key, value=value)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def onnx_runner(path: Path) -> Runner:
    """A function that runs the file on the CPU."""
    onnxruntime = require("onnxruntime", extra="onnx", purpose="Checking an ONNX file")
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def run(x: Inputs) -> tuple[Tensor, Tensor]:
        logits, probabilities = session.run(OUTPUTS, {name: value.numpy() for name, value in x.items()})
        return torch.from_numpy(logits), torch.from_numpy(probabilities)

    return run


def write_program(subject: Subject, x: Inputs, path: Path, metadata: dict[str, str]) -> None:
    """Write the subject's module for ``torch.export.load``, with inputs like ``x`` of any batch size and length."""
    program = torch.export.export(subject.module, tuple(x.values()), dynamic_shapes=_dynamic_shapes(subject))
    content = {key: json.loads(value) for key, value in metadata.items()}
    torch.export.save(program, str(path), extra_files={EXTRA_FILE: json.dumps(content, ensure_ascii=False)})


def program_runner(path: Path) -> Runner:
    """A function that runs the file on the CPU."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations inside PyTorch
        module = torch.export.load(str(path)).module()

    def run(x: Inputs) -> tuple[Tensor, Tensor]:
        logits, probabilities = module(*x.values())
        return logits, probabilities

    return run


FORMATS = {".onnx": (write_onnx, onnx_runner), ".pt2": (write_program, program_runner)}


def _dynamic_shapes(subject: Subject) -> dict[str, dict[int, Any]]:
    dims = {
        "batch": torch.export.Dim("batch", min=1),
        "length": torch.export.Dim("length", min=1, max=subject.max_length),
    }
    return {
        name: {i: dims[size] for i, size in enumerate(sizes) if isinstance(size, str)}
        for name, sizes in subject.axes.items()
    }


@contextmanager
def exporting(target: Path, remedy: str) -> Iterator[None]:
    """Keep the exporters' own warnings and log lines from the user, and give their errors a first line that helps."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecations inside PyTorch, not ours to mend
            yield
    except (ImportError, OSError):
        raise
    except Exception as error:  # each exporter has its own kinds
        said = re.sub(r"\x1b\[[0-9;]*m", "", str(error))  # colours of a terminal
        reason = next((line for line in said.splitlines() if line.strip()), type(error).__name__).rstrip(".")
        message = f"PyTorch could not convert this model to {target.suffix}: {reason}. {remedy}"
        raise ValueError(message) from error
    finally:
        log.setLevel(level)
