"""``attach`` on real model families of timm and torchvision: one small member of each, without weights."""

import pytest
import timm
import torch
import torchvision

import equiangular as eq

TIMM = (
    "resnet18", "densenet121", "vgg11", "efficientnet_b0", "mobilenetv3_small_050", "mobilenetv2_035",
    "convnext_atto", "convnextv2_atto", "regnetx_002", "vit_tiny_patch16_224", "deit_tiny_patch16_224",
    "swin_tiny_patch4_window7_224", "mixer_s32_224", "resmlp_12_224", "poolformer_s12", "edgenext_xx_small",
    "mobilevit_xxs", "ghostnet_050", "mnasnet_050", "cspresnet50", "hrnet_w18_small", "repvgg_a0", "rexnet_100",
    "tinynet_e", "xcit_nano_12_p16_224", "cait_xxs24_224", "inception_next_tiny", "lcnet_050", "nfnet_l0",
    "botnet26t_256", "eva02_tiny_patch14_224",
)  # fmt: skip
REFUSED = {
    "resnetv2_50": "convolution",
    "dla34": "convolution",
    "crossvit_tiny_240": "several classifiers",
    "efficientformer_l1": "several classifiers",
    "levit_128s": "several classifiers",
}
TORCHVISION = (
    "alexnet", "vgg11", "resnet18", "densenet121", "mobilenet_v2", "mobilenet_v3_small", "efficientnet_b0",
    "shufflenet_v2_x0_5", "mnasnet0_5", "regnet_x_400mf", "convnext_tiny", "swin_t", "vit_b_32", "maxvit_t",
)  # fmt: skip


def check(model: torch.nn.Module, size: int) -> None:
    model = eq.attach(model.double(), 7)
    head = eq.find_head(model)
    assert head.weight.dtype == torch.float64
    assert head.num_classes == 7
    x = torch.randn(2, 3, size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    logits = model.train()(x)  # batch statistics keep the features of an untrained network from vanishing
    assert logits.shape == (2, 7)
    assert torch.isfinite(logits).all()
    assert logits.abs().max() <= float(head.scale) + 1e-9
    logits.square().sum().backward()
    assert head.weight.grad is None
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


@pytest.mark.slow
@pytest.mark.parametrize("name", TIMM)
@pytest.mark.filterwarnings("ignore")  # the models' own warnings are theirs
def test_timm(name: str) -> None:
    model = timm.create_model(name, pretrained=False, num_classes=1000)
    check(model, model.default_cfg["input_size"][-1])
    assert model.num_classes == 7


@pytest.mark.slow
@pytest.mark.parametrize("name", TORCHVISION)
@pytest.mark.filterwarnings("ignore")
def test_torchvision(name: str) -> None:
    check(torchvision.models.get_model(name, weights=None), 224)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(REFUSED))
@pytest.mark.filterwarnings("ignore")
def test_families_that_one_vector_head_cannot_serve_say_so(name: str) -> None:
    with pytest.raises(ValueError, match=REFUSED[name]):
        eq.attach(timm.create_model(name, pretrained=False), 7)
