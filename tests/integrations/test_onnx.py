"""ONNX of a whole model with an attached head, run by onnxruntime."""

from pathlib import Path

import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from equiangular import PriorCorrection, attach, find_head

K = 5
HEADS = {
    "etf": {"norm": "batch"},
    "projection": {"projection": "mlp", "norm": "batch", "drop_rate": 0.1},
    "unnormalised": {"normalize": False},
    "linear": {"head": "linear"},
    "rotated": {"head": "rotated-etf", "norm": "batch"},
    "named": {"head": "named", "class_vectors": torch.eye(K, 6)},
}


def network(name: str) -> nn.Module:
    """A convolutional network whose head has seen training batches."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 6, 3), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(6, 10),
    )  # fmt: skip
    attach(model, K, **HEADS[name])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for seed in range(3):
        x = torch.randn(8, 3, 12, 12, generator=torch.Generator().manual_seed(seed))
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), torch.arange(8) % K).backward()
        optimizer.step()
    return model.eval()


def run(path: Path, x: torch.Tensor) -> torch.Tensor:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(None, {session.get_inputs()[0].name: x.numpy()})[0])


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the exporter without onnxscript, which is the fast one
def test_the_same_logits_at_any_batch_size(name: str, tmp_path: Path) -> None:
    model = network(name)
    if name == "rotated":
        expected_frame = find_head(model).weight.detach().clone()
        find_head(model).bake()  # ONNX has no linear solve
        torch.testing.assert_close(find_head(model).weight, expected_frame)
    path = tmp_path / "model.onnx"
    axes = {"x": {0: "batch"}}
    x = torch.randn(2, 3, 12, 12)
    torch.onnx.export(model, (x,), str(path), dynamo=False, input_names=["x"], dynamic_axes=axes)
    onnx.checker.check_model(onnx.load(path))
    for rows in (1, 7):
        x = torch.randn(rows, 3, 12, 12)
        with torch.no_grad():
            torch.testing.assert_close(run(path, x), model(x), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_newer_exporter_too(tmp_path: Path) -> None:
    model = network("etf")
    path = tmp_path / "model.onnx"
    batch = torch.export.Dim("batch", min=2)
    torch.onnx.export(model, (torch.randn(2, 3, 12, 12),), str(path), dynamo=True, dynamic_shapes=({0: batch},))
    x = torch.randn(5, 3, 12, 12)
    with torch.no_grad():
        torch.testing.assert_close(run(path, x), model(x), rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_prior_correction_goes_into_the_graph(tmp_path: Path) -> None:
    backbone = network("etf")
    labels = torch.arange(40) % K
    with torch.no_grad():
        held_out = backbone(torch.randn(40, 3, 12, 12))
    model = nn.Sequential(backbone, PriorCorrection(K).fit(held_out, labels, [50, 20, 10, 5, 2])).eval()
    path = tmp_path / "model.onnx"
    torch.onnx.export(model, (torch.randn(2, 3, 12, 12),), str(path), dynamo=False)
    x = torch.randn(2, 3, 12, 12)
    with torch.no_grad():
        torch.testing.assert_close(run(path, x), model(x), rtol=1e-4, atol=1e-5)
        assert not torch.allclose(model(x), backbone(x))
