"""Heads inside the machinery around them, beside what every head goes through in tests/matrix.py."""

from pathlib import Path

import pytest
import torch
from tests.processes import run_two
from torch import nn

from equiangular.heads import HEADS, ETFHead, make_head

from .conftest import D, K, given

OPTIONS = {"norm": "batch", "projection": "linear", "dim": 6, "scale": "learned", "normalize": True}


def features(rows: int = 6) -> torch.Tensor:
    return torch.randn(rows, D, generator=torch.Generator().manual_seed(0))


KINDS = sorted(set(HEADS) - {"rotated-etf", "incremental-etf", "implicit"})  # each has a test file of its own


def test_features_compile_without_a_graph_break() -> None:
    head = make_head("etf", D, K, **OPTIONS)
    compiled = torch.compile(head, fullgraph=True, backend="aot_eager")
    x = features().requires_grad_()
    y = features().requires_grad_()
    torch.testing.assert_close(compiled(x, pre_logits=True), head(y, pre_logits=True))
    compiled(x, pre_logits=True).square().sum().backward()
    head(y, pre_logits=True).square().sum().backward()
    torch.testing.assert_close(x.grad, y.grad)
    torch._dynamo.reset()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # inductor's own
def test_compiles_with_inductor() -> None:
    head = make_head("etf", D, K, **OPTIONS)
    torch.testing.assert_close(torch.compile(head, fullgraph=True)(features()), head(features()))
    torch._dynamo.reset()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the exporter without onnxscript, which is the fast one
def test_onnx_gives_the_same_logits(tmp_path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    head = nn.Sequential(make_head("etf", D, K, **OPTIONS)).eval()
    path = str(tmp_path / "head.onnx")
    axes = {"x": {0: "batch"}}
    torch.onnx.export(head, (features(),), path, dynamo=False, input_names=["x"], dynamic_axes=axes)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    x = features(9)
    torch.testing.assert_close(torch.from_numpy(session.run(None, {"x": x.numpy()})[0]), head(x).detach())


@pytest.mark.parametrize("kind", KINDS)
def test_autocast_runs_the_matrix_product_low_and_the_norm_high(kind: str) -> None:
    head = make_head(kind, D, K, norm="batch", normalize=True, **given(kind, D))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        x = torch.nn.functional.linear(features(), torch.eye(D))
        h, logits = head.features_and_logits(x)
    assert x.dtype == torch.bfloat16
    assert h.dtype == torch.float32
    torch.testing.assert_close(h.norm(dim=1), torch.ones(6), atol=1e-6, rtol=0)
    torch.testing.assert_close(logits.float(), head(x.float()).float(), atol=0.2, rtol=0.02)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # TorchScript's own
def test_jit_trace_of_a_fixed_head() -> None:
    head = ETFHead(D, K).eval()
    traced = torch.jit.trace(head, features())
    torch.testing.assert_close(traced(features(3)), head(features(3)))


def test_distributed_data_parallel_keeps_the_frame(tmp_path) -> None:
    if not torch.distributed.is_available():
        pytest.skip("torch was built without torch.distributed")
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    try:
        model = nn.Sequential(nn.Linear(D, D), ETFHead(D, K, norm="batch"))
        frame = model[1].weight.clone()
        wrapped = nn.parallel.DistributedDataParallel(model)
        nn.functional.cross_entropy(wrapped(features()), torch.arange(6) % K).backward()
        assert model[0].weight.grad.abs().sum() > 0
        assert torch.equal(model[1].weight, frame)
        assert "module.1.weight" in wrapped.state_dict()
    finally:
        torch.distributed.destroy_process_group()


def _rank(rank: int, folder: str) -> None:
    torch.manual_seed(1000 + rank)  # global seeds differ, as they do in careless training scripts
    model = nn.Sequential(nn.Linear(D, D), ETFHead(D, K, norm="batch"))
    mismatched = nn.Sequential(nn.Linear(D, D), ETFHead(D, K, norm="batch", seed=rank))
    drawn = model[1].weight.clone()
    for network in (model, mismatched):
        wrapped = nn.parallel.DistributedDataParallel(network)
        nn.functional.cross_entropy(wrapped(torch.randn(6, D)), torch.arange(6) % K).backward()
    result = {"drawn": drawn, "used": model[1].weight, "mended": mismatched[1].weight, "grad": model[0].weight.grad}
    torch.save(result, f"{folder}/{rank}.pt")


@pytest.mark.slow
def test_two_ranks_cannot_have_two_frames(tmp_path: Path) -> None:
    """The same seed draws the same frame on every rank, and where seeds differ, the buffer of rank 0 is broadcast."""
    if not torch.distributed.is_available():
        pytest.skip("torch was built without torch.distributed")
    run_two(_rank, tmp_path)
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert torch.equal(first["used"], ETFHead(D, K).weight)
    assert torch.equal(first["mended"], ETFHead(D, K).weight)
