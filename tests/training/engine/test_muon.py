from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from equiangular.training import TrainConfig
from equiangular.training.engine.muon import Muon

pytestmark = pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="this PyTorch has no Muon")
LAYOUTS = [torch.contiguous_format, torch.channels_last]


def kernel_and_bias(layout: torch.memory_format) -> nn.Conv2d:
    convolution = nn.Conv2d(3, 8, 3)
    with torch.no_grad():
        generator = torch.Generator().manual_seed(0)
        for parameter in convolution.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return convolution.to(memory_format=layout)


def gradients(step: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(10 + step)
    return torch.randn(8, 3, 3, 3, generator=generator), torch.randn(8, generator=generator)


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_the_kernel_takes_a_step_of_equal_singular_values(layout: torch.memory_format) -> None:
    """By the singular value decomposition: the direction is near U V^T, in whatever order the memory is."""
    convolution = kernel_and_bias(layout)
    before = convolution.weight.detach().clone()
    optimizer = Muon(convolution.parameters(), lr=0.5, momentum=0.0)
    given, _ = gradients(0)
    convolution.weight.grad = given.contiguous(memory_format=layout)
    optimizer.step()
    step = ((before - convolution.weight.detach()) / 0.5).flatten(1).double()
    u, _, v = torch.linalg.svd(given.flatten(1).double(), full_matrices=False)
    inner = u.T @ step @ v.T  # diagonal for a step of the gradient's own singular directions
    assert float(inner.diag().min()) > 0.6
    assert float(inner.diag().max()) < 1.3
    assert float((inner - inner.diag().diag()).abs().max()) < 0.05  # bfloat16


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_it_is_two_optimisers_of_torch(layout: torch.memory_format) -> None:
    convolution = kernel_and_bias(layout)
    order = (0, 1, 2, 3) if layout is torch.contiguous_format else (0, 2, 3, 1)
    matrix = nn.Parameter(convolution.weight.detach().permute(order).flatten(1).clone())
    bias = nn.Parameter(convolution.bias.detach().clone())
    options = {"momentum": 0.9, "weight_decay": 0.01, "nesterov": True}
    apart = torch.optim.Muon([matrix], lr=1.0, **options), torch.optim.SGD([bias], lr=1.0, **options)
    together = Muon(convolution.parameters(), lr=1.0, momentum=0.9, weight_decay=0.01)
    for step in range(3):
        rate = 0.1 / (step + 1)
        for group in (group for o in (*apart, together) for group in o.param_groups):
            group["lr"] = rate
        kernel_gradient, bias.grad = gradients(step)
        matrix.grad = kernel_gradient.permute(order).flatten(1)
        convolution.weight.grad = kernel_gradient.contiguous(memory_format=layout)
        convolution.bias.grad = bias.grad.clone()
        for optimizer in (*apart, together):
            optimizer.step()
    assert torch.equal(convolution.weight.permute(order).flatten(1), matrix)
    assert torch.equal(convolution.bias, bias)


def test_what_it_cannot_do_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"this network learns none. Use optimizer='sgd'"):
        Muon(nn.Linear(3, 2).parameters(), lr=0.1)
    with pytest.raises(ValueError, match="takes no closure"):
        Muon(nn.Conv2d(1, 2, 3).parameters(), lr=0.1).step(lambda: 0.0)
    with pytest.raises(ValueError, match="needs whole kernels, which strategy='fsdp' spreads"):
        TrainConfig(optimizer="muon", strategy="fsdp")
    monkeypatch.delattr(torch.optim, "Muon")
    with pytest.raises(ValueError, match=r"needs PyTorch 2.9 or newer, this is"):
        Muon(nn.Conv2d(1, 2, 3).parameters(), lr=0.1)
