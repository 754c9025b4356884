"""Measuring a model through hooks gives what its features give when computed by hand."""

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from equiangular import ETFHead, NeuralCollapse, measure_collapse, watch
from equiangular.measures.probe import pool


def data(n: int = 90) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(n) % 3
    return torch.randn(n, 8, generator=generator) + y[:, None], y


def network(classifier: nn.Module | None = None) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        body = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Dropout(0.5))
        return nn.Sequential(body, classifier or nn.Linear(16, 3))


def by_hand(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> dict[str, torch.Tensor]:
    model.eval()
    with torch.no_grad():
        features = model[0](x)
        if isinstance(model[1], ETFHead):
            features = model[1](features, pre_logits=True)
        logits = model(x)
    first = NeuralCollapse(3, features.shape[1])
    first.update(features, y)
    metric = NeuralCollapse(3, features.shape[1], weight=model[1].weight, reference_means=first.class_means())
    metric.update(features, y, logits)
    return metric.compute()


@pytest.mark.parametrize("head", [None, "etf"])
def test_a_model_over_a_loader(head: str | None) -> None:
    x, y = data()
    model = network(ETFHead(16, 3) if head else None).train()
    measured = measure_collapse(model, DataLoader(TensorDataset(x, y), batch_size=20))
    assert all(module.training for module in model.modules())
    expected = by_hand(model, x, y)
    assert set(measured) == set(expected)
    for key, value in expected.items():
        assert float(measured[key]) == pytest.approx(float(value), rel=1e-6, abs=1e-9), key
    assert not model[1]._forward_hooks


def test_watching_a_loop_of_ones_own() -> None:
    x, y = data()
    model = network().eval()
    with watch(model, classifier="1") as nc, torch.no_grad():
        for a, b in zip(x.split(20), y.split(20), strict=True):
            model(a)
            nc.update(b)
    assert float(nc.compute()["nc1"]) == pytest.approx(float(by_hand(model, x, y)["nc1"]), rel=1e-6)
    assert not model[1]._forward_hooks


def test_layers_show_collapse_through_depth() -> None:
    generator = torch.Generator().manual_seed(0)
    images, y = torch.randn(60, 3, 8, 8, generator=generator), torch.arange(60) % 4
    model = nn.Sequential(
        nn.Conv2d(3, 5, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 4)
    )
    measured = measure_collapse(model, [(images, y)], layers=["0", "1"], nc4=False)
    with torch.no_grad():
        expected = NeuralCollapse(4, 5, covariance=False)
        expected.update(model[0](images).mean((2, 3)), y)
    assert float(measured["cdnv@0"]) == pytest.approx(float(expected.compute()["cdnv"]), rel=1e-6)
    assert {"nc1_quotient@0", "nc1_quotient@1", "nc1"} <= set(measured)
    assert "nc1@0" not in measured


def test_batches_as_mappings() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(8, 3)

        def forward(self, values: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"logits": self.fc(values)}

    x, y = data()
    assert "nc4" in measure_collapse(Model(), [{"values": x, "labels": y}])


@pytest.mark.parametrize(("shape", "pooled"), [((2, 5), (2, 5)), ((2, 7, 5), (2, 5)), ((2, 5, 3, 3), (2, 5))])
def test_pooling(shape: tuple, pooled: tuple) -> None:
    assert pool(torch.zeros(shape)).shape == pooled


def test_bad_input() -> None:
    x, y = data()
    model = network()
    with pytest.raises(ValueError, match="no batch went through"):
        measure_collapse(model, [])
    with pytest.raises(ValueError, match=r"has no module 'head'; it has: 0, 0\.0"):
        measure_collapse(model, [(x, y)], classifier="head")
    with pytest.raises(ValueError, match="has no module 'neck'"):
        measure_collapse(model, [(x, y)], layers=["neck"])
    with pytest.raises(ValueError, match="must be \\(inputs, labels\\) or a mapping"):
        measure_collapse(model, [x])
    with pytest.raises(ValueError, match="needs 'labels' or 'label' among its entries, got x"):
        measure_collapse(model, [{"x": x}])
    with pytest.raises(ValueError, match="lie in"):
        measure_collapse(model, [(x, y + 3)])
    with watch(model) as nc, pytest.raises(ValueError, match="no forward pass"):
        nc.update(y)
