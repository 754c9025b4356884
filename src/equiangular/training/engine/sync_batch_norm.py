"""BatchNorm over the batch of all processes, on any device and for parts of any size, empty ones among them.

``torch.nn.SyncBatchNorm`` does this on GPUs alone; here it is from the formula, so that a run on several CPU processes
gives the result of one.
"""

from __future__ import annotations

import torch
from torch import Tensor, distributed, nn
from torch.distributed.nn.functional import all_reduce  # its gradient is the sum of all processes' gradients
from torch.nn.modules.batchnorm import _BatchNorm

_KINDS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


class SyncedBatchNorm(_BatchNorm):
    """BatchNorm whose mean and variance in training are those of all processes together.

    y = (x - mu) / sqrt(var + eps) * weight + bias with mu = sum x / n and var = sum (x - mu)^2 / n over the samples and
    positions of all processes; the running variance takes n / (n - 1) var. Evaluation is ordinary BatchNorm.

    Source: Ioffe and Szegedy, "Batch normalization", ICML 2015, algorithm 1, with the sums over all processes.
    """

    def _check_input_dim(self, input: Tensor) -> None:
        if input.ndim < 2:
            raise ValueError(f"BatchNorm takes inputs (B, C, ...), got shape {tuple(input.shape)}.")

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, ...) to the same shape."""
        if not self.training or not distributed.is_initialized() or distributed.get_world_size() == 1:
            return super().forward(input)
        self._check_input_dim(input)
        axes = [0, *range(2, input.ndim)]
        shape = [1, -1] + [1] * (input.ndim - 2)
        x = input.to(torch.promote_types(input.dtype, torch.float32))
        sums = torch.cat([x.sum(axes), x.new_full((1,), x.numel() / x.shape[1])])
        sums = all_reduce(sums)
        count = sums[-1].detach()
        mean = sums[:-1] / count
        centred = x - mean.view(shape)
        variance = all_reduce(centred.square().sum(axes)) / count
        self._update_running(mean.detach(), variance.detach(), count)
        y = centred * torch.rsqrt(variance + self.eps).view(shape)
        if self.affine:
            y = y * self.weight.view(shape) + self.bias.view(shape)
        return y.to(input.dtype)

    @torch.no_grad()
    def _update_running(self, mean: Tensor, variance: Tensor, count: Tensor) -> None:
        if not self.track_running_stats:
            return
        self.num_batches_tracked += 1
        share = 1 / self.num_batches_tracked.float() if self.momentum is None else self.momentum
        for running, new in ((self.running_mean, mean), (self.running_var, variance * count / (count - 1))):
            running.copy_((1 - share) * running + share * new)


class SyncedBatchNormAct(SyncedBatchNorm):
    """The same, followed by dropout and activation: timm's ``BatchNormAct2d``, whose parts it takes over."""

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, ...) to the same shape."""
        return self.act(self.drop(super().forward(input)))


def synchronise_batch_norm(module: nn.Module) -> nn.Module:
    """Replace every BatchNorm inside ``module``, in place; parameters and buffers are kept, by identity.

    Raises:
        ValueError: a kind of BatchNorm that is neither PyTorch's nor timm's, which would see a part of the batch only.
    """
    for name, child in module.named_children():
        if type(child) in _KINDS:
            setattr(module, name, _synchronised(child, SyncedBatchNorm))
        elif isinstance(child, _KINDS) and hasattr(child, "drop") and hasattr(child, "act"):
            setattr(module, name, _synchronised(child, SyncedBatchNormAct))
        elif isinstance(child, _BatchNorm) and not isinstance(child, (SyncedBatchNorm, nn.SyncBatchNorm)):
            raise ValueError(
                f"the backbone has a {type(child).__name__}, which normalises the samples of one process alone: the "
                "result would depend on the number of processes. Train it on one device, or choose another backbone."
            )
        else:
            synchronise_batch_norm(child)
    return module


def _synchronised(layer: _BatchNorm, kind: type[SyncedBatchNorm]) -> SyncedBatchNorm:
    synced = kind(layer.num_features, layer.eps, layer.momentum, layer.affine, layer.track_running_stats)
    synced._parameters, synced._buffers, synced._modules = layer._parameters, layer._buffers, layer._modules
    return synced.train(layer.training)
