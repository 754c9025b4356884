"""A head in a symbolic trace of torch.fx is one node, whatever tracer is used."""

import pytest
import torch
from torch import fx, nn

from equiangular import attach, find_head
from equiangular.heads import HEADS

from .conftest import given


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer, self.fc = nn.Linear(6, 8), nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(torch.relu(self.layer(x)))


@pytest.mark.parametrize("kind", HEADS)
def test_traced_and_run(kind: str) -> None:
    norm = {} if kind in ("linear", "cosine") else {"norm": "batch"}
    model = attach(Net(), head=kind, **norm, **given(kind))
    traced = fx.symbolic_trace(model)
    nodes = [node for node in traced.graph.nodes if node.op == "call_module"]
    assert [node.target for node in nodes] == ["layer", "fc"]
    x = torch.randn(7, 6)
    for mode in (False, True):
        model.train(mode)
        traced.train(mode)
        torch.testing.assert_close(traced(x), model(x))
    assert find_head(traced) is model.fc


def test_features_in_a_trace() -> None:
    head = find_head(attach(Net()))

    class Features(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = head

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(x, pre_logits=True)

    x = torch.randn(7, 8)
    torch.testing.assert_close(fx.symbolic_trace(Features())(x), head(x, pre_logits=True))


@pytest.mark.filterwarnings("ignore")  # PyTorch says where its own quantisation will move to
@pytest.mark.parametrize("kind", ["etf", "rotated-etf", "linear"])
def test_quantised(kind: str) -> None:
    """The backbone in 8 bits; the head is left in float32, whatever it is made of."""
    quantization = pytest.importorskip("torch.ao.quantization")
    quantize_fx = pytest.importorskip("torch.ao.quantization.quantize_fx")
    engine = torch.backends.quantized.engine
    if engine in ("none", None):
        pytest.skip("this PyTorch quantises nothing")
    torch.manual_seed(0)
    model = attach(Net(), head=kind).eval()
    x = torch.randn(256, 6)
    prepared = quantize_fx.prepare_fx(model, quantization.get_default_qconfig_mapping(engine), (x,))
    prepared(x)
    converted = quantize_fx.convert_fx(prepared)
    assert "quantized" in type(converted.layer).__module__
    torch.testing.assert_close(find_head(converted).weight, find_head(model).weight)
    expected = model(x)
    difference = (converted(x) - expected).square().mean().sqrt()
    assert 0 < difference < 0.05 * expected.std()
