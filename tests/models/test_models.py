from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from torch import nn

from equiangular.models import BACKBONES, MLP, CifarResNet, DigitsNet, make_backbone, registry
from equiangular.models.registry import ResidualBlock


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def resnet_parameters(n: int, width: int = 1) -> int:
    """Counted by hand: 3x3 convolutions without bias, two numbers per channel of each batch normalisation."""
    stem = 3 * 9 * 16 * width + 2 * 16 * width
    total, before = stem, 16 * width
    for channels in (16 * width, 32 * width, 64 * width):
        for _ in range(n):
            total += 9 * before * channels + 9 * channels * channels + 4 * channels
            before = channels
    return total


@pytest.mark.parametrize(
    ("depth", "n", "millions"), [(20, 3, 0.27), (32, 5, 0.46), (44, 7, 0.66), (56, 9, 0.85), (8, 1, 0.08)]
)
def test_resnet_parameter_counts(depth, n, millions):
    net = make_backbone(f"resnet{depth}", (3, 32, 32), seed=0)
    assert count(net) == resnet_parameters(n)
    assert round((count(net) + 64 * 10 + 10) / 1e6, 2) == millions  # table 6 of the publication; with the classifier
    convolutions = [m for m in net.modules() if isinstance(m, nn.Conv2d)]
    assert len(convolutions) + 1 == depth  # option A: no others; the classifier is the last layer


def test_wide_resnet_is_the_cifar100_one():
    net = make_backbone("resnet32", (3, 32, 32), width=2, seed=0)
    assert net.num_features == 128
    assert count(net) == resnet_parameters(5, 2)
    assert round((count(net) + 128 * 100 + 100) / 1e6, 2) == 1.86  # Yang et al. count 1.85 M with their fixed head
    assert round(count(net) / 1e6, 2) == 1.85


def test_option_a_shortcut_pads_with_zeros_and_option_b_projects():
    a, b = CifarResNet(8), CifarResNet(8, shortcut="B")
    assert count(b) - count(a) == 16 * 32 + 2 * 32 + 32 * 64 + 2 * 64
    block = a.blocks[1]
    x = torch.randn(2, 16, 9, 9, generator=torch.Generator().manual_seed(0))
    shortcut = block._shortcut(x)
    assert shortcut.shape == (2, 32, 5, 5)
    torch.testing.assert_close(shortcut[:, 8:24], x[:, :, ::2, ::2])
    assert not shortcut[:, :8].any()
    assert not shortcut[:, 24:].any()
    assert block.conv1(x).shape == shortcut.shape


CASES = [
    *[(name, (3, 32, 32)) for name in BACKBONES],
    ("digits", (1, 8, 8)),
    ("digits", (1, 2, 3)),
    ("resnet8", (1, 28, 28)),
    ("resnet8", (3, 5, 7)),
    ("resnet8", (3, 1, 1)),
    ("resnet20", (1, 1, 9)),
    ("mlp", (16,)),
    ("identity", (16,)),
    ("mlp", (1, 8, 8)),
]


@pytest.mark.parametrize(("name", "shape"), CASES)
def test_features_and_gradients(name, shape):
    net = make_backbone(name, shape, seed=0)
    x = torch.randn(3, *shape, generator=torch.Generator().manual_seed(0))
    features = net(x)
    assert features.shape == (3, net.num_features)
    assert torch.isfinite(features).all()
    if name == "identity":  # has no parameters
        assert torch.equal(features, x.flatten(1))
        return
    (features * torch.linspace(1, 2, net.num_features)).sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in net.parameters())
    assert any(p.grad.any() for p in net.parameters())


@pytest.mark.parametrize("name", ["digits", "mlp", "resnet8"])
def test_weights_depend_on_the_seed_alone(name):
    def weights(seed):
        return torch.cat([p.detach().flatten() for p in make_backbone(name, (1, 8, 8), seed=seed).parameters()])

    torch_state, numpy_state, python_state = torch.get_rng_state(), np.random.get_state()[1], random.getstate()  # noqa: NPY002
    first = weights(3)
    assert torch.equal(torch.get_rng_state(), torch_state)
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_state)  # noqa: NPY002
    assert random.getstate() == python_state
    torch.rand(5)
    assert torch.equal(weights(3), first)
    assert not torch.equal(weights(4), first)


def test_initial_variance_of_convolutions():
    convolution = make_backbone("resnet20", (3, 32, 32), width=4, seed=0).blocks[6].conv1  # from 128 channels to 256
    assert convolution.weight.var().item() == pytest.approx(2 / (9 * 256), rel=0.02)


def test_evaluation_mode_does_not_mix_samples():
    for name in ("digits", "mlp", "resnet8"):
        net = make_backbone(name, (1, 8, 8), seed=0).eval()
        x = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(1))
        torch.testing.assert_close(net(x)[:1], net(x[:1]))


@pytest.mark.parametrize(("name", "width", "features"), [("digits", 2, 128), ("mlp", 0.5, 32), ("resnet8", 0.25, 16)])
def test_width(name, width, features):
    assert make_backbone(name, (1, 8, 8), width=width, seed=0).num_features == features


def test_sizes_stated_in_the_documentation():
    assert count(DigitsNet()) == 23_408
    assert MLP(4).num_features == 64


def test_compiles_to_one_graph_and_survives_state_dict():
    net = make_backbone("digits", (1, 8, 8), seed=0).eval()
    x = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    exported = torch.export.export(net, (x,)).module()
    torch.testing.assert_close(exported(x), net(x))
    other = make_backbone("digits", (1, 8, 8), seed=1).eval()
    other.load_state_dict(net.state_dict())
    torch.testing.assert_close(other(x), net(x))


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: make_backbone("resnet23", (3, 32, 32), seed=0), "unknown backbone 'resnet23'; did you mean 'resnet"),
        (lambda: make_backbone("keras:x", (3, 32, 32), seed=0), "unknown backbone 'keras:x'.*timm:NAME"),
        (lambda: make_backbone("digits", (30,), seed=0), r"takes images \(C, H, W\), got inputs of shape \(30,\)"),
        (lambda: make_backbone("digits", (1, 1, 9), seed=0), r"takes 2 x 2 pixels or more, got 1 x 9\. .*size=8"),
        (lambda: make_backbone("timm:resnet18", (30,), seed=0), "takes images"),
        (lambda: make_backbone("timm:resnet18", (3, 32, 32), width=2, seed=0), "width is for the library's own"),
        (lambda: make_backbone("digits", (1, 8, 8), width=0, seed=0), "width must be a finite number above 0, got 0"),
        (lambda: make_backbone("digits", (1, 8, 8), seed=-1), "seed must be an integer"),
        (lambda: CifarResNet(30), r"depth must be 6n \+ 2, such as 8, 20, 32, 44 or 56, got 30"),
        (lambda: CifarResNet(8, shortcut="C"), "shortcut must be one of"),
        (lambda: MLP(4, hidden=()), "at least one layer"),
        (lambda: MLP(0), "must be an integer >= 1, got 0"),
        (lambda: DigitsNet(0), "in_channels must be an integer >= 1"),
    ],
)
def test_bad_input(call, match):
    with pytest.raises(ValueError, match=match):
        call()


def test_channels_stay_last_in_the_backward_pass_with_the_same_bits() -> None:
    """Every gradient that reaches a ReLU is in the order of its input, and none differs from the plain formulas'."""
    torch.manual_seed(0)
    last = torch.channels_last
    model = CifarResNet(8).to(memory_format=last)
    x = torch.randn(3, 3, 9, 12).contiguous(memory_format=last)
    upstream, orders = torch.randn(3, 64), []

    def plain_shortcut(self: ResidualBlock, x: torch.Tensor) -> torch.Tensor:
        if self.stride != 1:
            x = x[:, :, :: self.stride, :: self.stride]
        half = self.added // 2
        return torch.nn.functional.pad(x, (0, 0, 0, 0, half, self.added - half)) if self.added else x

    def note(gradient: torch.Tensor) -> None:
        orders.append(gradient.is_contiguous(memory_format=last))

    def step() -> tuple[torch.Tensor, list[torch.Tensor]]:
        model.zero_grad()
        features = model(x)
        features.backward(upstream)
        return features.detach(), [p.grad for p in model.parameters()]

    hooks = [block.register_forward_hook(lambda *call: call[2].register_hook(note) and None) for block in model.blocks]
    ours = step()
    assert orders == [True] * 3
    for hook in hooks:
        hook.remove()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ResidualBlock, "_shortcut", plain_shortcut)
        patch.setattr(registry, "mean_over_positions", lambda x: x.mean((2, 3)))
        theirs = step()
    assert torch.equal(ours[0], theirs[0])
    assert all(torch.equal(a, b) for a, b in zip(ours[1], theirs[1], strict=True))
    y = torch.randn(2, 3, 4, 5, dtype=torch.float64).contiguous(memory_format=last).requires_grad_()
    assert torch.autograd.gradcheck(registry.mean_over_positions, y)
    assert torch.autograd.gradgradcheck(registry.mean_over_positions, y)
