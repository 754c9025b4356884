"""Image models of transformers, small ones from local configurations: nothing is downloaded."""

from __future__ import annotations

import pytest
import torch

from equiangular.models import make_backbone

transformers = pytest.importorskip("transformers")

SMALL = {
    "resnet": {"embedding_size": 8, "hidden_sizes": [8, 12], "depths": [1, 1]},
    "convnext": {"hidden_sizes": [8, 12], "depths": [1, 1], "num_stages": 2},
    "vit": {
        "hidden_size": 12,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 16,
        "patch_size": 8,
    },
}


@pytest.fixture
def folder(tmp_path, request):
    config = transformers.AutoConfig.for_model(request.param, **SMALL[request.param])
    config.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


@pytest.mark.parametrize("folder", SMALL, indirect=True)
@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 16, 24)])
def test_a_configuration_with_random_weights(folder, shape):
    state = torch.get_rng_state()
    net = make_backbone(f"hf:{folder}", shape, seed=0)
    assert torch.equal(torch.get_rng_state(), state)
    assert net.num_features == 12
    assert net.training
    again, other = (make_backbone(f"hf:{folder}", shape, seed=seed) for seed in (0, 1))
    x = torch.rand(2, *shape, generator=torch.Generator().manual_seed(0))
    features, same, changed = (model.eval()(x) for model in (net, again, other))
    assert features.shape == (2, 12)
    assert torch.equal(features, same)
    assert not torch.equal(features, changed)
    features.sum().backward()
    assert all(p.grad is not None for p in net.parameters())


@pytest.mark.parametrize("folder", ["resnet"], indirect=True)
def test_stored_weights(folder):
    config = transformers.AutoConfig.from_pretrained(folder)
    model = transformers.AutoModelForImageClassification.from_config(config).eval()
    model.save_pretrained(folder)
    net = make_backbone(f"hf:{folder}", (3, 32, 32), seed=0, pretrained=True).eval()
    x = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(model.classifier(net(x)[..., None, None]), model(pixel_values=x).logits)
    with pytest.raises(ValueError, match=r"does not take inputs of shape \(1, 32, 32\)"):
        make_backbone(f"hf:{folder}", (1, 32, 32), seed=0, pretrained=True)


def test_errors(tmp_path):
    with pytest.raises(ValueError, match=r"no type of image classifier 'restnet'; did you mean 'resnet'\? .*hf:OWNER"):
        make_backbone("hf:restnet", (3, 32, 32), seed=0)
    with pytest.raises(ValueError, match=r"no type of image classifier 'bert'"):
        make_backbone("hf:bert", (3, 32, 32), seed=0)
    with pytest.raises(ValueError, match=r"'hf:resnet' is a type of model, which has no weights"):
        make_backbone("hf:resnet", (3, 32, 32), seed=0, pretrained=True)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"cannot make an image classifier of '.*empty'"):
        make_backbone(f"hf:{tmp_path / 'empty'}", (3, 32, 32), seed=0)
    transformers.AutoConfig.for_model("bert").save_pretrained(tmp_path / "text")
    with pytest.raises(ValueError, match=r"cannot make an image classifier of '.*text'"):
        make_backbone(f"hf:{tmp_path / 'text'}", (3, 32, 32), seed=0)
    with pytest.raises(ValueError, match="width is for the library's own backbones"):
        make_backbone("hf:resnet", (3, 32, 32), seed=0, width=2)
