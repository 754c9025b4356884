"""Export a classifier with everything inside, and refuse a file that does not compute the same."""

import copy
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from equiangular._extras import require
from equiangular._files import check_output, write_atomically
from equiangular._validate import check_choice, check_positive
from equiangular.training.model.classifier import Classifier

OUTPUTS = ["logits", "probabilities"]


def write_onnx(module: nn.Module, x: Tensor, path: Path, metadata: dict[str, str]) -> None:
    """Write ``module`` as ONNX with input ``x`` of any batch size.

    The exporter is the one over ``torch.export``, or where PyTorch is older than 2.6 or onnxscript is missing, the one
    over TorchScript.
    """
    onnx = require("onnx", extra="onnx", purpose="Writing ONNX")
    require("onnxruntime", extra="onnx", purpose="Checking an ONNX file")  # before the work, not after
    names: Any = {"input_names": ["x"], "output_names": OUTPUTS}
    # torch.__version__ compares as a version, not as a text.
    if torch.__version__ >= "2.6" and find_spec("onnxscript") is not None:
        shapes = {"x": {0: torch.export.Dim("batch", min=1)}}
        program: Any = torch.onnx.export(module, (x,), dynamo=True, dynamic_shapes=shapes, verbose=False, **names)
        program.save(str(path))
    else:
        axes = {name: {0: "batch"} for name in ("x", *OUTPUTS)}
        old: Any = {"dynamo": False} if torch.__version__ >= "2.5" else {}
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


INPUTS = ("auto", "uint8", "float")
FORMATS = {".onnx": (write_onnx, onnx_runner), ".pt2": (write_program, program_runner)}
# The exporters specialise small sizes, so other batches are checked than the one of the example.
EXAMPLE_BATCH, CHECKED_BATCHES = 3, (1, 2, 17)

Runner = Callable[[Tensor], tuple[Tensor, Tensor]]


class Exported(nn.Module):
    """A classifier as it is written: inputs of one dtype in, a tuple of logits and probabilities out."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = copy.deepcopy(classifier).cpu()
        if hasattr(self.classifier.head, "bake"):
            self.classifier.head.bake()  # a learned rotation becomes a fixed frame
        for parameter in self.parameters():
            parameter.requires_grad_(False)
        self.eval()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Corrected logits and probabilities, (B, K) each, of inputs (B, *input_shape)."""
        logits, probabilities = self.classifier(x)
        return logits, probabilities


def export_model(
    classifier: Classifier, path: str | Path, *, inputs: str = "auto", tolerance: float = 1e-4
) -> dict[str, Any]:
    """Write a classifier to one file: standardisation, backbone, head and prior correction, for any batch size.

    The file's input ``x`` is (B, C, H, W) or (B, d); its outputs are ``logits`` and ``probabilities``, (B, K) float32,
    with softmax(logits) = probabilities. The class names and the model's description are in its metadata (``.onnx``:
    ``metadata_props``; ``.pt2``: the extra file ``equiangular.json``). Before the file appears it is run, ``.onnx`` by
    onnxruntime, on batches of several sizes and compared with PyTorch.

    Args:
        classifier: the model, with the class prior of its probabilities.
        path: ``.onnx``, or ``.pt2`` for ``torch.export.load``.
        inputs: what images come as: ``"uint8"`` 0 to 255, or ``"float"`` float32 in [0, 1]; ``"auto"`` is uint8 for
            images. Tables and features of texts are float32.
        tolerance: largest difference of a logit allowed, relative to the largest logit or to 1, whichever is more.

    Returns:
        ``path``, ``inputs`` (dtype and shape), ``max_logit_difference`` and ``max_probability_difference`` (absolute),
        ``batches`` checked, and ``bytes`` of the file.

    Raises:
        ValueError: another suffix, a bad option, a folder that cannot be written, a model that the exporter cannot
            convert, or a file that computes something else.
        ImportError: the extra ``[onnx]`` is missing.
    """
    target, info = check_output(path, FORMATS, "a model is exported"), classifier.info
    write, runner = FORMATS[target.suffix]
    check_positive(tolerance, "tolerance")
    if check_choice(inputs, INPUTS, "inputs") == "uint8" and info.kind != "image":
        raise ValueError(f"a model of kind {info.kind!r} takes float32 inputs, not bytes; leave inputs at 'auto'.")
    dtype = torch.uint8 if inputs != "float" and info.kind == "image" else torch.float32
    module = Exported(classifier)
    described = {key: value for key, value in info.as_dict().items() if key != "data"}
    metadata = {
        "class_names": json.dumps(list(info.class_names), ensure_ascii=False),
        "equiangular": json.dumps(described, ensure_ascii=False),
    }
    report: dict[str, Any] = {"path": str(target), "inputs": f"{dtype} (B, {', '.join(map(str, info.input_shape))})"}

    def fill(temporary: Path) -> None:
        with _exporting(target):
            write(module, example(classifier, dtype, EXAMPLE_BATCH, seed=0), temporary, metadata)
        report.update(_compare(module, runner(temporary), classifier, dtype, tolerance, target))

    try:
        write_atomically(target, fill)
    except OSError as error:
        raise ValueError(f"cannot write {str(target)!r}: {error.strerror or error}.") from error
    return {**report, "bytes": target.stat().st_size}


def example(classifier: Classifier, dtype: torch.dtype, batch: int, *, seed: int) -> Tensor:
    """Random inputs (batch, *input_shape): bytes, or floats spread as the training data were."""
    generator = torch.Generator().manual_seed(seed)
    shape = (batch, *classifier.info.input_shape)
    if dtype == torch.uint8:
        return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
    if classifier.info.kind == "image":
        return torch.rand(shape, generator=generator)
    scaled = torch.randn(shape, generator=generator) * classifier.standardize.std.cpu()
    return scaled + classifier.standardize.mean.cpu()


@torch.no_grad()
def _compare(
    module: Exported, run: Runner, classifier: Classifier, dtype: torch.dtype, tolerance: float, target: Path
) -> dict[str, Any]:
    """Largest differences between the file and PyTorch; raise where they are too large."""
    logit, probability, largest = 0.0, 0.0, 1.0
    for seed, batch in enumerate(CHECKED_BATCHES, start=1):
        x = example(classifier, dtype, batch, seed=seed)
        expected, got = module(x), run(x)
        logit = max(logit, float((got[0] - expected[0]).abs().max()))
        probability = max(probability, float((got[1] - expected[1]).abs().max()))
        largest = max(largest, float(expected[0].abs().max()))
    if not logit <= tolerance * largest:
        raise ValueError(
            f"{target.name} was not written: its logits differ from PyTorch's by up to {logit:.3g}, where "
            f"{tolerance * largest:.3g} is allowed. Raise the tolerance if that is acceptable."
        )
    return {"max_logit_difference": logit, "max_probability_difference": probability, "batches": list(CHECKED_BATCHES)}


@contextmanager
def _exporting(target: Path) -> Iterator[None]:
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
        reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise ValueError(
            f"PyTorch could not convert this model to {target.suffix}: {reason}. Try the other format, .onnx or .pt2."
        ) from error
    finally:
        log.setLevel(level)
