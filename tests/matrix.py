"""Every head, loss and metric inside the machinery of PyTorch: run by test_matrix.py, shown in docs/matrix.md.

    make matrix        # all cells, and the page

A row is something to make and batches to give it; a column is a check that takes a row. Each cell passes, or stands in
``LIMITS`` with the reason why it cannot.
"""

from __future__ import annotations

import copy
import io
import pickle
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.testing import assert_close
from torch.utils.checkpoint import checkpoint

from equiangular import losses, measures
from equiangular.heads import HEADS, make_head

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "matrix.md"
B, D, K = 12, 8, 5
COUNTS = [40, 20, 10, 5, 3]
OPTIONS: dict[str, Any] = {"norm": "batch", "projection": "linear", "dim": 6, "scale": "learned", "normalize": True}


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


LABELS = torch.arange(B) % K
VECTORS = nn.functional.normalize(draw(K, D, seed=9), dim=1)


class WithVectors(nn.Module):
    """A loss that takes class vectors, as one of (features, target)."""

    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        self.loss = loss
        self.register_buffer("vectors", VECTORS.clone().to(torch.empty(0).device))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.loss(x, y, self.vectors)


def head(kind: str) -> nn.Module:
    given = {"class_vectors": torch.eye(K, 6, device="cpu")} if kind == "named" else {}
    made = make_head(kind, D, K, **OPTIONS, **given, seed=3)
    if not next(made.parameters()).is_meta:
        made.norm.running_mean.copy_(draw(6, seed=5) / 4)
    return made.eval()


HEAD_ROWS: dict[str, Callable[[], nn.Module]] = {kind: lambda kind=kind: head(kind) for kind in HEADS}
LOSS_ROWS: dict[str, Callable[[], nn.Module]] = {
    "ARBLoss": losses.ARBLoss,
    "ClassBalancedLoss": lambda: losses.ClassBalancedLoss(COUNTS),
    "CosineCrossEntropyLoss": lambda: WithVectors(losses.CosineCrossEntropyLoss(scale=8.0)),
    "DotLoss": lambda: WithVectors(losses.DotLoss()),
    "DotRegressionLoss": lambda: WithVectors(losses.DotRegressionLoss(class_weight=COUNTS)),
    "FocalLoss": lambda: losses.FocalLoss(class_weight=COUNTS),
    "LDAMLoss": lambda: losses.LDAMLoss(COUNTS),
    "LabelAwareSmoothingLoss": lambda: losses.LabelAwareSmoothingLoss(COUNTS),
    "LogitAdjustedCrossEntropyLoss": lambda: losses.LogitAdjustedCrossEntropyLoss(COUNTS),
    "NONLLoss": lambda: WithVectors(losses.NONLLoss(scale=4.0)),
    "NTCELoss": lambda: WithVectors(losses.NTCELoss(scale=4.0)),
    "VectorScalingLoss": lambda: losses.VectorScalingLoss(COUNTS),
}
METRIC_ROWS: dict[str, Callable[[], Any]] = {
    "CalibrationError": lambda: measures.CalibrationError(5),
    "NeuralCollapse": lambda: measures.NeuralCollapse(K, D, weight=VECTORS),
    "ShotAccuracy": lambda: measures.ShotAccuracy(COUNTS),
}
ROWS: dict[str, Callable[[], Any]] = {**HEAD_ROWS, **LOSS_ROWS, **METRIC_ROWS}


def batch(row: str, seed: int = 0) -> tuple[Tensor, ...]:
    """What a row takes: features; cosines, logits or unit features and labels; what a metric counts."""
    if row in HEAD_ROWS:
        return (draw(B, D, seed=seed),)
    if row == "NeuralCollapse":
        return draw(B, D, seed=seed), LABELS
    if row in METRIC_ROWS:
        return draw(B, K, seed=seed).softmax(1), LABELS
    features = isinstance(ROWS[row](), WithVectors)
    x = nn.functional.normalize(draw(B, D if features else K, seed=seed), dim=1)
    return x, LABELS


def output(row: str, module: Any, seed: int = 0, x: Tensor | None = None) -> Any:
    """Logits of a head, a loss, or what a metric says of one batch more."""
    given = batch(row, seed)
    given = given if x is None else (x, *given[1:])
    if row not in METRIC_ROWS:
        return module(*given)
    module.update(*given)
    return module.compute()


def same(ours: Any, theirs: Any, **tolerance: Any) -> None:
    assert_close(ours, theirs, equal_nan=True, **(tolerance or {"rtol": 1e-4, "atol": 1e-5}))


def used(row: str) -> Any:
    """A module whose state is not its first: parameters moved, a batch counted."""
    module = ROWS[row]()
    if row in METRIC_ROWS:
        module.update(*batch(row, 1))
        module.persistent(True)
        return module
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * draw(*parameter.shape, seed=7))
    return module


def loaded(row: str, state: dict[str, Tensor]) -> Any:
    module = ROWS[row]()
    if row in METRIC_ROWS:
        module.persistent(True)
        module._update_count = 1  # torchmetrics keeps no count of updates, and warns
    module.load_state_dict(state)
    return module


def gradients(row: str, call: Callable[..., Any]) -> tuple[Tensor, Tensor]:
    """A scalar of the output of ``call(x, …)`` and its gradient in x."""
    x, *rest = batch(row)
    x = x.clone().requires_grad_()
    value = call(x, *rest).square().sum()
    return value.detach(), torch.autograd.grad(value, x)[0]


def state_dict(row: str) -> None:
    module = used(row)
    same(output(row, loaded(row, module.state_dict())), output(row, module))


def deepcopy(row: str) -> None:
    module = used(row)
    twin = copy.deepcopy(module)
    expected = output(row, copy.deepcopy(module))
    with torch.no_grad():
        for tensor in [*module.parameters(), *module.buffers()]:
            tensor.fill_(1)
    if row in METRIC_ROWS:
        module.reset()
    same(output(row, twin), expected)


def pickled(row: str) -> None:
    module = used(row)
    same(output(row, pickle.loads(pickle.dumps(module))), output(row, module))


def safetensors(row: str) -> None:
    from safetensors.torch import load, save

    module = used(row)
    same(output(row, loaded(row, load(save(module.state_dict())))), output(row, module))


def compiled(row: str) -> None:
    module = used(row)
    fast = torch.compile(module, fullgraph=True, backend="aot_eager")
    for ours, theirs in zip(gradients(row, fast), gradients(row, module), strict=True):
        same(ours, theirs)
    torch._dynamo.reset()


def exported(row: str) -> None:
    module = used(row)
    free = {"x": {0: torch.export.Dim("batch", min=2)}} if row in HEAD_ROWS else None
    program = torch.export.export(module, batch(row), dynamic_shapes=free)
    same(output(row, program.module(), 2), output(row, module, 2))
    if free:
        same(program.module()(draw(7, D)), module(draw(7, D)))
        assert program.state_dict.keys() == module.state_dict().keys()


def onnx(row: str) -> None:
    import onnxruntime

    # As the last module of a network: the exporter gives a module alone its keyword arguments as positional ones.
    module, file = Chained(nn.Identity(), used(row)).eval(), io.BytesIO()
    if row == "rotated-etf":
        module.then.bake()  # ONNX has no linear solve
    names = ["x", "y"][: len(batch(row))]
    torch.onnx.export(module, batch(row), file, dynamo=False, input_names=names)
    session = onnxruntime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])
    given = {name: value.numpy() for name, value in zip(names, batch(row, 2), strict=True)}
    same(torch.from_numpy(session.run(None, given)[0]), output(row, module, 2).detach())


def low_precision(row: str, module: Any, x: Tensor) -> None:
    """The output near that of float32 for the same rounded input, and a loss that is not rounded to eight bits."""
    expected = output(row, used(row), x=x.float())
    ours = output(row, module, x=x)
    if row in LOSS_ROWS:
        assert ours.dtype == torch.float32
    same(ours, expected, rtol=0.03, atol=0.1, check_dtype=False)


def autocast(row: str) -> None:
    x = nn.functional.linear(batch(row)[0], torch.eye(batch(row)[0].shape[1]))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low = nn.functional.linear(x, torch.eye(x.shape[1]))
        assert low.dtype == torch.bfloat16
        low_precision(row, used(row), low)


def half(row: str) -> None:
    for dtype in (torch.bfloat16, torch.float16):
        module = used(row)
        module = module.set_dtype(dtype) if row in METRIC_ROWS else module.to(dtype)
        low_precision(row, module, batch(row)[0].to(dtype))


def ddp(row: str) -> None:
    """One process of gloo: two of them are in tests/heads/test_deployment.py and tests/measures."""
    with tempfile.TemporaryDirectory() as folder:
        torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=0, world_size=1)
        try:
            if row in METRIC_ROWS:
                metric, expected = used(row), output(row, used(row))
                metric.sync_on_compute = True
                same(output(row, metric), expected)
                return
            width = batch(row)[0].shape[1]
            before = nn.Linear(width, width, bias=False)
            nn.init.eye_(before.weight)
            network = Chained(before, used(row))
            twin = copy.deepcopy(network)
            wrapped = nn.parallel.DistributedDataParallel(network)
            for module in (wrapped, twin):
                module(*batch(row)).square().sum().backward()
            for ours, theirs in zip(network.parameters(), twin.parameters(), strict=True):
                same(ours.grad, theirs.grad)
        finally:
            torch.distributed.destroy_process_group()


class Chained(nn.Module):
    """A network whose output a head or a loss takes."""

    def __init__(self, network: nn.Module, then: nn.Module) -> None:
        super().__init__()
        self.network, self.then = network, then

    def forward(self, x: Tensor, *rest: Tensor) -> Any:
        return self.then(self.network(x), *rest)


def functional(row: str) -> None:
    module, other = used(row), ROWS[row]()
    state = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    expected = output(row, module, 2)
    same(functional_call(other, state, batch(row, 2)), expected)
    if row in HEAD_ROWS:
        assert not torch.allclose(output(row, other, 2), expected)


def mapped(row: str) -> None:
    """Gradients of single samples, as differential privacy takes them."""
    module = used(row)
    x, *rest = batch(row)

    def one(xi: Tensor, *others: Tensor) -> Tensor:
        return module(xi[None], *(o[None] for o in others)).square().sum()

    together = vmap(grad(one))(x, *rest)
    for i in range(B):
        alone = x[i].clone().requires_grad_()
        same(together[i], torch.autograd.grad(one(alone, *(r[i] for r in rest)), alone)[0])


def meta(row: str) -> None:
    with torch.device("meta"):
        module = ROWS[row]()
    assert all(t.is_meta for t in [*module.parameters(), *module.buffers()])
    module.to_empty(device="cpu")
    if isinstance(module, WithVectors):  # its own vectors are this file's
        module.vectors.copy_(VECTORS)
    if row in HEAD_ROWS:
        module.norm.running_mean.copy_(ROWS[row]().norm.running_mean)
    same(output(row, module), output(row, ROWS[row]()))


def channels_last(row: str) -> None:
    width = batch(row)[0].shape[1]
    network = nn.Sequential(nn.Conv2d(3, width, 3, padding=1, bias=False), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with torch.no_grad():
        network[0].weight.copy_(draw(width, 3, 3, 3, seed=4))
    images = draw(B, 3, 6, 6, seed=2)

    def x(net: nn.Module, image: Tensor) -> Tensor:
        features = net(image)
        return features.softmax(1) if row in ("CalibrationError", "ShotAccuracy") else nn.functional.normalize(features)

    expected = output(row, used(row), x=x(network, images))
    fast = copy.deepcopy(network).to(memory_format=torch.channels_last)
    module = used(row).to(memory_format=torch.channels_last)
    same(output(row, module, x=x(fast, images.to(memory_format=torch.channels_last))), expected, rtol=1e-4, atol=1e-5)


def checkpointed(row: str) -> None:
    module = used(row)
    again = gradients(row, lambda *given: checkpoint(module, *given, use_reentrant=False))
    for ours, theirs in zip(again, gradients(row, module), strict=True):
        same(ours, theirs, rtol=0, atol=0)


COLUMNS: dict[str, Callable[[str], None]] = {
    "state_dict": state_dict, "deepcopy": deepcopy, "pickle": pickled, "safetensors": safetensors,
    "compile": compiled, "export": exported, "ONNX": onnx, "autocast": autocast, "DDP": ddp,
    "functional_call": functional, "vmap": mapped, "meta": meta, "half": half, "channels_last": channels_last,
    "checkpoint": checkpointed,
}  # fmt: skip
SLOW = ("compile", "export", "ONNX")
NO_GRAPH = "A metric counts between batches: no part of a graph, no gradient, nothing on the meta device."
LIMITS: dict[tuple[str, str], str] = {
    (row, column): NO_GRAPH
    for row in METRIC_ROWS
    for column in ("compile", "export", "ONNX", "functional_call", "vmap", "meta", "checkpoint")
}

GIVEN = "Its class vectors are given and cannot be drawn again: the head says so when used."
EXPORTER = "The exporter to ONNX lacks an operator that this needs."
LIMITS["named", "meta"] = GIVEN
LIMITS |= {(row, "ONNX"): EXPORTER for row in ("ARBLoss", "FocalLoss", "LDAMLoss")}


def outcome(row: str, column: str) -> str:
    """The word yes, or the limit that was met; anything else is an error."""
    limit = LIMITS.get((row, column))
    if limit == NO_GRAPH:
        return limit
    with warnings.catch_warnings():
        if column == "ONNX":
            warnings.simplefilter("ignore")  # of the exporter without onnxscript, which is the fast one
        try:
            COLUMNS[column](row)
        except (torch.onnx.errors.OnnxExporterError, ValueError) as error:
            if limit is None or (limit == GIVEN) != ("make a new head with their class_vectors" in str(error)):
                raise
            return limit
    if limit:
        raise AssertionError(f"{row} x {column} works now: take it out of LIMITS")
    return "yes"


def page(cells: dict[tuple[str, str], str]) -> str:
    """The page: a table of heads, losses and metrics, then the reasons."""
    reasons = sorted(set(LIMITS.values()))
    version = torch.__version__.partition("+")[0]
    lines = [
        "# Inside PyTorch: every head, loss and metric", "",
        f"`make matrix` runs every cell and writes this page. Last run: PyTorch {version}, CPU.",
        "Checks: [tests/matrix.py](../tests/matrix.py). `make test` runs all but most of compile, export, ONNX.", "",
        "So does `OLDEST_CUDA=1 make test-oldest` on PyTorch 2.4; without the variable where there is a CPU build.", "",
        "| | " + " | ".join(COLUMNS) + " |", "|---|" + "---|" * len(COLUMNS),
    ]  # fmt: skip
    for row in ROWS:
        given = [cells[row, column] for column in COLUMNS]
        marks = [mark if mark == "yes" else str(reasons.index(mark) + 1) for mark in given]
        lines.append(f"| {row} | " + " | ".join(marks) + " |")
    lines += ["", *(f"{number}. {reason}" for number, reason in enumerate(reasons, 1)), ""]
    return "\n".join(lines)


def main() -> None:
    cells, failed = {}, []
    for row in ROWS:
        for column in COLUMNS:
            try:
                cells[row, column] = outcome(row, column)
            except Exception as error:
                first = (str(error).strip() or type(error).__name__).splitlines()[0]
                failed.append(f"{row} x {column}: {type(error).__name__}: {first}")
        print(row, flush=True)
    if failed:
        sys.exit("\n".join(failed))
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(page(cells), encoding="utf-8")


if __name__ == "__main__":
    main()
