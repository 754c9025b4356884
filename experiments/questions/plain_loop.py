"""A plain PyTorch loop over arrays in memory, for the questions that train with a loss of their own."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from equiangular.training.config.draws import batch_bounds, epoch_generator


def as_inputs(inputs: Tensor, mean: Tensor | None = None, std: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Bytes to floats, standardised with the given or their own mean and deviation: per channel or per column."""
    x = inputs.float() / 255 if inputs.dtype == torch.uint8 else inputs
    axes = (0, *range(2, x.ndim))
    mean = x.mean(axes, keepdim=True) if mean is None else mean
    std = x.std(axes, keepdim=True).clamp(min=1e-6) if std is None else std
    return (x - mean) / std, mean, std


def crop_and_flip(x: Tensor, generator: torch.Generator, pad: int = 2) -> Tensor:
    """Each image (B, C, H, W) shifted by up to ``pad`` pixels and mirrored with probability 1/2."""
    b, _, h, w = x.shape
    shift = torch.randint(2 * pad + 1, (2, b, 1), generator=generator)
    rows, columns = shift[0] + torch.arange(h), shift[1] + torch.arange(w)
    flipped = torch.rand(b, 1, generator=generator) < 0.5
    columns = torch.where(flipped, columns.flip(1), columns)
    padded = F.pad(x, (pad,) * 4)
    return padded[torch.arange(b)[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def train(
    network: nn.Module,
    loss: Callable[[Tensor, Tensor], Tensor],
    x: Tensor,
    y: Tensor,
    *,
    seed: int,
    epochs: int,
    augment: bool = False,
    learning_rate: float = 0.1,
    weight_decay: float = 5e-4,
    batch_size: int = 128,
    on_epoch: Callable[[], Any] | None = None,
) -> nn.Module:
    """SGD with Nesterov momentum 0.9, two epochs of warm-up, then a cosine to 0; ``loss`` takes a batch and labels."""
    parameters = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(parameters, learning_rate, momentum=0.9, weight_decay=weight_decay, nesterov=True)
    bounds = batch_bounds(len(y), batch_size)
    warmup, total, step = 2 * len(bounds), epochs * len(bounds), 0
    network.train()
    for epoch in range(epochs):
        generator = epoch_generator(seed, epoch)
        order = torch.randperm(len(y), generator=generator)
        for start, stop in bounds:
            index = order[start:stop]
            batch = crop_and_flip(x[index], generator) if augment else x[index]
            cosine = 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))
            optimizer.param_groups[0]["lr"] = learning_rate * ((step + 1) / warmup if step < warmup else cosine)
            value = loss(batch, y[index])
            optimizer.zero_grad(set_to_none=True)
            value.backward()
            optimizer.step()
            step += 1
        if not math.isfinite(float(value.detach())):
            raise ValueError(f"the loss became {float(value)} in epoch {epoch}; lower the learning rate")
        if on_epoch is not None:
            on_epoch()
    return network.eval()


@torch.no_grad()
def run_chunks(module: Callable[[Tensor], Tensor], x: Tensor, size: int = 1000) -> Tensor:
    """A module over many inputs, in evaluation mode already, chunk by chunk."""
    return torch.cat([module(chunk) for chunk in x.split(size)])
