"""timm and torchvision by name, with stand-ins for both libraries: neither needs to be installed."""

from __future__ import annotations

import sys
import types

import pytest
import torch
from torch import nn

from equiangular.models import make_backbone


class Pooled(nn.Module):
    """An image network whose classifier sits where ``place`` says."""

    def __init__(self, channels: int, place: str, classifier: nn.Module) -> None:
        super().__init__()
        self.stem = nn.Conv2d(channels, 12, 3)
        self.place = place
        parent = self
        *above, last = place.split(".")
        for step in above:
            setattr(parent, step, nn.Module())
            parent = getattr(parent, step)
        setattr(parent, last, classifier)

    def forward(self, x):
        return self.get_submodule(self.place)(self.stem(x).mean((2, 3)))


@pytest.fixture
def timm(monkeypatch):
    module = types.ModuleType("timm")

    def create_model(name, *, pretrained, num_classes, in_chans):
        if name != "small":
            raise RuntimeError(f"Unknown model ({name})")
        assert num_classes == 0
        module.pretrained = pretrained
        return Pooled(in_chans, "head", nn.Identity())

    module.create_model = create_model
    monkeypatch.setitem(sys.modules, "timm", module)


@pytest.fixture
def torchvision(monkeypatch):
    module, models = types.ModuleType("torchvision"), types.ModuleType("torchvision.models")
    heads = {
        "resnet": ("fc", lambda: nn.Linear(12, 1000)),
        "vgg": ("classifier", lambda: nn.Sequential(nn.Linear(12, 20), nn.ReLU(), nn.Linear(20, 1000))),
        "vit": ("heads.head", lambda: nn.Linear(12, 1000)),
        "swin": ("head", lambda: nn.Linear(12, 1000)),
        "segmenter": ("decoder", lambda: nn.Identity()),
    }

    def get_model(name, *, weights):
        if name not in heads:
            raise ValueError(f"Unknown model {name}")
        models.weights = weights
        place, classifier = heads[name]
        return Pooled(3, place, classifier())

    models.get_model = get_model
    module.models = models
    monkeypatch.setitem(sys.modules, "torchvision", module)
    monkeypatch.setitem(sys.modules, "torchvision.models", models)


def test_pretrained_weights_are_asked_for_by_name(timm, torchvision):
    for name in ("timm:small", "torchvision:resnet"):
        for pretrained in (True, False):
            make_backbone(name, (3, 16, 16), seed=0, pretrained=pretrained)
            asked = sys.modules["timm"].pretrained, sys.modules["torchvision"].models
            assert asked[0] is pretrained or not name.startswith("timm")
            assert not name.startswith("torchvision") or asked[1].weights == ("DEFAULT" if pretrained else None)
    with pytest.raises(ValueError, match="'resnet8' has no pretrained weights"):
        make_backbone("resnet8", (3, 16, 16), seed=0, pretrained=True)


@pytest.mark.usefixtures("timm")
def test_timm():
    net = make_backbone("timm:small", (1, 16, 16), seed=0)
    assert net.num_features == 12
    assert net.training
    again = make_backbone("timm:small", (1, 16, 16), seed=0)
    assert torch.equal(net.stem.weight, again.stem.weight)
    with pytest.raises(ValueError, match=r"timm cannot make 'smal'.*list_models"):
        make_backbone("timm:smal", (1, 16, 16), seed=0)
    with pytest.raises(ValueError, match=r"timm:small does not take inputs of shape \(1, 2, 2\)"):
        make_backbone("timm:small", (1, 2, 2), seed=0)


@pytest.mark.usefixtures("torchvision")
@pytest.mark.parametrize(("name", "features"), [("resnet", 12), ("vgg", 20), ("vit", 12), ("swin", 12)])
def test_torchvision_families(name, features):
    net = make_backbone(f"torchvision:{name}", (3, 16, 16), seed=0)
    assert net.num_features == features
    assert net(torch.zeros(2, 3, 16, 16)).shape == (2, features)


@pytest.mark.usefixtures("torchvision")
def test_torchvision_errors():
    with pytest.raises(ValueError, match="torchvision cannot make 'alexnet'"):
        make_backbone("torchvision:alexnet", (3, 16, 16), seed=0)
    with pytest.raises(ValueError, match="3 channels, got 1"):
        make_backbone("torchvision:resnet", (1, 16, 16), seed=0)
    with pytest.raises(ValueError, match="no linear classifier in torchvision's 'segmenter'"):
        make_backbone("torchvision:segmenter", (3, 16, 16), seed=0)


@pytest.mark.parametrize("library", ["timm", "torchvision"])
def test_a_missing_library_is_named(library, monkeypatch):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ImportError, match=f"pip install {library}"):
        make_backbone(f"{library}:resnet18", (3, 32, 32), seed=0)
