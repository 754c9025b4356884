"""Measuring a model through hooks gives what its features give when computed by hand."""

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from equiangular import ETFHead, NeuralCollapse, measure_collapse, watch
from equiangular.measures.probe import layer_names, pool
from equiangular.models import make_backbone
from equiangular.training import build_task, get_method
from tests.processes import run_two


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
    model = nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 4))
    measured = measure_collapse(model, [(images, y)], layers=["0", "1"], nc4=False)
    with torch.no_grad():
        expected = NeuralCollapse(4, 5)
        expected.update(model[0](images).mean((2, 3)), y)
    for key in ("cdnv", "nc1"):
        assert float(measured[f"{key}@0"]) == pytest.approx(float(expected.compute()[key]), rel=1e-6)
    assert {"nc1_quotient@0", "nc1_quotient@1", "nc1"} <= set(measured)
    lean = measure_collapse(model, [(images, y)], layers=["0"], covariance=False)
    assert "nc1@0" not in lean
    assert "nc4@0" not in lean
    assert lean["cdnv@0"] == measured["cdnv@0"]


class Tokens(nn.Module):
    """Blocks in a list, run in turn on (B, T, d), the classifier called by keyword."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(8, 6)
        self.blocks = nn.ModuleList([nn.Linear(6, 6), nn.Linear(6, 6)])
        self.fc = nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.embed(x)[:, None].expand(-1, 4, -1)
        for block in self.blocks:
            h = block(h).relu()
        return self.fc(input=h.mean(1))


def test_the_stages_of_a_network_are_found() -> None:
    x, y = data()
    model = Tokens()
    measured = measure_collapse(model, [(x, y)], layers="auto")
    assert list(dict.fromkeys(k.partition("@")[2] for k in measured if "@" in k)) == ["embed", "blocks.0", "blocks.1"]
    body = network()
    assert layer_names(body, body[1], "auto") == ["0.0"]
    resnet = make_backbone("resnet8", (3, 8, 8), seed=0)
    classifier = nn.Linear(resnet.num_features, 3)
    stages = layer_names(nn.Sequential(resnet, classifier), classifier, "auto")
    assert len(stages) > 3
    assert all(name.startswith("0.") for name in stages)


def test_a_training_module_that_computes_logits_itself() -> None:
    """The library's Task never calls its head as a module; the features come from the head's tap all the same."""
    x, y = data()
    task = build_task(get_method("etf-ce"), "mlp", (8,), 3, seed=0)
    measured = measure_collapse(task, [(x, y)])
    with torch.no_grad():
        out = task.eval()(x)
    metric = NeuralCollapse(3, out["features"].shape[1], weight=task.head.class_vectors())
    metric.update(out["features"], y, out["logits"])
    for key, value in metric.compute().items():
        ours = measured[key.replace("_running", "")]
        assert float(ours) == pytest.approx(float(value), rel=1e-6, abs=1e-9), key


def test_samples_of_no_class() -> None:
    x, y = data()
    model = network().eval()
    unknown = x[:30] * 2 - 1
    measured = measure_collapse(model, [(x, y)], ood=[unknown[:20], (unknown[20:], y[20:30])])
    with torch.no_grad():
        means = torch.stack([model[0](x[y == c]).mean(0) for c in range(3)])
        expected = torch.cosine_similarity(means, model[0](unknown).mean(0)[None]).abs().mean()
    assert float(measured["nc5"]) == pytest.approx(float(expected), rel=1e-5)


def test_a_convolution_as_classifier() -> None:
    """1 x 1 convolution on pooled features: (B, d, 1, 1) is one vector a sample."""
    x, y = data()
    conv = nn.Conv2d(8, 3, 1)
    model = nn.Sequential(nn.Unflatten(1, (8, 1, 1)), conv, nn.Flatten())
    measured = measure_collapse(model, [(x, y)], classifier=conv)
    expected = NeuralCollapse(3, 8, weight=conv.weight.detach()[:, :, 0, 0])
    expected.update(x, y)
    assert float(measured["nc3"]) == pytest.approx(float(expected.compute()["nc3"]))
    assert "nc4" in measured


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


def _rank(rank: int, folder: str) -> None:
    x, y = data()
    mine = slice(0, 30) if rank == 0 else slice(30, None)
    measured = measure_collapse(network(), [(x[mine], y[mine])], layers=["0.0"], class_counts=[500, 50, 5])
    torch.save({k: float(v) for k, v in measured.items()}, f"{folder}/{rank}.pt")


@pytest.mark.slow
def test_two_processes_measure_what_one_does(tmp_path: Path) -> None:
    """NC4 as well: both compare with the class means of all samples, not with those of their own shard."""
    run_two(_rank, tmp_path)
    x, y = data()
    expected = measure_collapse(network(), [(x, y)], layers=["0.0"], class_counts=[500, 50, 5])
    assert 0 < float(expected["nc4"]) < 1
    for rank in (0, 1):
        measured = torch.load(tmp_path / f"{rank}.pt")
        assert set(measured) == set(expected)
        for key, value in expected.items():
            assert measured[key] == pytest.approx(float(value), rel=1e-6, abs=1e-9, nan_ok=True), key


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch.compile
def test_wrappers_are_taken_off() -> None:
    x, y = data()
    model = network()
    expected = measure_collapse(model, [(x, y)])
    for wrapped in (nn.DataParallel(model), torch.compile(model)):
        measured = measure_collapse(wrapped, [(x, y)])
        assert {k: float(v) for k, v in measured.items()} == {k: float(v) for k, v in expected.items()}
    with watch(nn.DataParallel(model)) as nc:
        nn.DataParallel(model.eval())(x)
        nc.update(y)
    assert float(nc.compute()["nc1"]) == float(expected["nc1"])
    with pytest.raises(ValueError, match="compiled model passes hooks over"), watch(torch.compile(model)):
        pass


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
    with pytest.raises(ValueError, match="loader is an iterator"):
        measure_collapse(model, iter([(x, y)]))
    assert "nc4" not in measure_collapse(model, iter([(x, y)]), nc4=False)
    with pytest.raises(ValueError, match="layers must be 'auto' or a sequence"):
        measure_collapse(model, [(x, y)], layers="0")
    silent = nn.ModuleList([network(), nn.Linear(2, 2)])
    silent.forward = silent[0].forward
    with pytest.raises(ValueError, match="layer '1' gave no tensor"):
        measure_collapse(silent, [(x, y)], classifier="0.1", layers=["1"])
    with pytest.raises(ValueError, match="90 samples; they must agree"):
        measure_collapse(model, [(x, y[:5])])
    with watch(model) as nc, pytest.raises(ValueError, match="no forward pass"):
        nc.update(y)
