"""The parts that the recipe `fast` was chosen from, on a training in the making; what was not kept lives only here.

Sources: Page, "How to train your ResNet", 2018-19; Jordan, "94% on CIFAR-10 in 3.29 seconds on a single GPU",
arXiv 2404.00498, 2024 (whitening, flips in turn, linear rate); Jordan et al., "Muon", 2024.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from equiangular.training.config.draws import derived_seed
from equiangular.training.methods import Method
from equiangular.training.run.trial import TrialRun


def whitening_filters(images: Tensor, number: int, size: int, *, eps: float = 5e-4) -> Tensor:
    """(number, C, size, size): v / sqrt(lambda + eps) of the leading principal directions of patches, and minus them.

    Patches of standardised images (N, C, H, W), not centred; Jordan 2024, section 3.2, with Page's eigenvectors.
    """
    patches = F.unfold(images, size).transpose(1, 2).flatten(0, 1).double()
    values, vectors = torch.linalg.eigh(patches.T @ patches / len(patches))
    half = -(-number // 2)
    scaled = (vectors / (values + eps).sqrt()).T.flip(0)[:half]
    return torch.cat([scaled, -scaled])[:number].view(number, images.shape[1], size, size)


def whiten(run: TrialRun, *, frozen: bool = True) -> None:
    """The first convolution whitens patches of the training part, and may stay so."""
    convolution = next(m for m in run.training.task.backbone.modules() if isinstance(m, nn.Conv2d))
    rows = torch.arange(0, len(run.split.train_y), max(1, len(run.split.train_y) // 1000))
    filters = whitening_filters(
        run.split.standardise(run.split.train_x[rows]), convolution.out_channels, convolution.kernel_size[0]
    )
    with torch.no_grad():
        convolution.weight.copy_(filters)
    convolution.weight.requires_grad_(not frozen)


def grow(run: TrialRun, *, start: float = 0.5, full: float = 0.6, grid: int = 4) -> None:
    """Training images grow with the epochs, from that share of their size to all of it at the share ``full``."""
    training, batches = run.training, run.training.batches
    prepare, side = batches.prepare, batches.inputs.shape[-1]

    def resized(x: Tensor) -> Tensor:
        share = min(1.0, start + (1 - start) * training.epoch / max(1, round(full * run.trial.epochs)))
        size = min(side, grid * round(share * side / grid))
        x = prepare(x)
        if size == side:
            return x
        layout = torch.channels_last if x.is_contiguous(memory_format=torch.channels_last) else torch.contiguous_format
        small = F.interpolate(x, (size, size), mode="bilinear", antialias=True, align_corners=False)
        return small.contiguous(memory_format=layout)

    batches.prepare = resized


def flip_in_turn(run: TrialRun) -> None:
    """Every image is mirrored in every second epoch, at random which; Jordan 2024, section 3.6."""
    batches, seed = run.training.batches, run.trial.seed
    first = torch.rand(len(batches.labels), generator=torch.Generator().manual_seed(derived_seed(seed, 7))) < 0.5
    plan = batches._plan

    def planned(epoch: int, step: int, index: Tensor) -> Any:
        made = plan(epoch, step, index)
        made.augmentation["flip"] = first[made.index] ^ bool(epoch % 2)
        return made

    batches._plan = planned


def linear_rate(run: TrialRun) -> None:
    """The learning rate falls in a line, not in a cosine, after the same warm-up."""
    training, trial = run.training, run.trial
    optimizer, steps = training.optimizer.optimizer, len(training.batches)
    warmup, step = trial.warmup_epochs * steps, optimizer.step

    def stepped() -> None:
        now = training.epoch * steps + training.step
        if now >= warmup:
            for group in optimizer.param_groups:
                group["lr"] = trial.learning_rate * (1 - (now - warmup) / max(1, trial.epochs * steps - warmup))
        step()

    optimizer.step = stepped


def smoothed(method: Method, share: float, towards: str) -> Method:
    """The method with labels smoothed: ``share`` of the target goes to all classes alike, or to their frequencies."""
    criterion = method.criterion

    def smooth(features: Tensor, target: Any, head: Any, context: Any) -> Tensor:
        counts = context.class_counts if towards == "prior" else torch.ones_like(context.class_counts)
        soft = (1 - share) * F.one_hot(target, len(counts)).to(features.dtype) + share * counts / counts.sum()
        return criterion(features, soft, head, context)

    return replace(method, criterion=smooth)
