"""Backbones of other libraries in files and in exports."""

from pathlib import Path

import pytest
import torch

from equiangular.export import export_model
from equiangular.training import Classifier, ModelInfo, build_task, get_method, load_model, save_model


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")  # torch.export.load's
@pytest.mark.parametrize("backbone", ["timm:resnet18", "torchvision:mobilenet_v3_small"])
def test_stored_and_exported(tmp_path: Path, backbone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("equiangular.export.formats.find_spec", lambda _: None)  # the quick exporter
    shape, classes = (3, 32, 32), tuple("abcde")
    task = build_task(get_method("etf-la"), backbone, shape, 5, seed=0).eval()
    with torch.no_grad():
        for parameter in task.parameters():
            parameter.add_(0.01)
    info = ModelInfo("etf-la", backbone, shape, classes, (9, 8, 7, 6, 5), (0.5,) * 3, (0.2,) * 3)
    loaded, again = load_model(save_model(tmp_path, task, info))
    x = torch.rand(2, *shape, generator=torch.Generator().manual_seed(0))
    assert torch.equal(loaded(x)["logits"], task(x)["logits"])
    for suffix in (".onnx", ".pt2"):
        report = export_model(Classifier(loaded, again), tmp_path / f"m{suffix}")
        assert report["max_probability_difference"] < 1e-4
