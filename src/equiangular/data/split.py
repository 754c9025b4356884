"""The parts of one run: the long-tailed training part, the validation part taken from it, the test part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from equiangular._choices import Profile, Protocol
from equiangular.data.base import Dataset
from equiangular.data.stream import select
from equiangular.longtail import SubsetManifest, holdout_indices, long_tail_indices

# Mean and deviation of the inputs are taken over evenly spaced samples, this many numbers at most (256 MB).
_STATISTICS_SIZE = 2**26


@dataclass(frozen=True)
class Split:
    """Inputs and labels of one run. Inputs are as the data set has them: images of bytes, rows of floats.

    Attributes:
        train_x, train_y: the training part, less the held-out part.
        holdout_x, holdout_y: held-out training data, for validation and calibration.
        test_x, test_y: the test part, looked at once, after the last epoch.
        class_counts: (K,) samples per class of the training part.
        manifest: which samples of the pool the cut consists of, with a hash.
        mean, std: (1, C, 1, 1) or (1, d): what standardises the inputs, from the training part.
    """

    train_x: Any
    train_y: Tensor
    holdout_x: Any
    holdout_y: Tensor
    test_x: Any
    test_y: Tensor
    class_counts: np.ndarray
    manifest: SubsetManifest
    mean: Tensor
    std: Tensor

    def standardise(self, inputs: Tensor) -> Tensor:
        """What the network takes: inputs as floats, images scaled to [0, 1], less the mean, over the deviation."""
        return (as_float(inputs) - self.mean.to(inputs.device)) / self.std.to(inputs.device)


def make_split(
    dataset: Dataset,
    *,
    imbalance: float = 1.0,
    profile: Profile = "exp",
    protocol: Protocol = "local",
    subset_seed: int = 0,
    holdout: float = 0.2,
) -> Split:
    """Cut the training pool to the long tail and hold a part of it out.

    Args:
        dataset: the data.
        imbalance: imbalance factor n_max / n_min of the cut; 1 keeps the pool as it is.
        profile: ``"exp"`` or ``"step"``.
        protocol: see :func:`equiangular.longtail.long_tail_indices`.
        subset_seed: seed of the cut and of the hold-out.
        holdout: fraction of each class held out; 0 holds nothing out.

    Raises:
        ValueError: a bad argument, or a class too small.
    """
    pool_y = np.asarray(dataset.train_y)
    if imbalance == 1:
        subset = np.arange(len(pool_y))
    else:
        subset = long_tail_indices(pool_y, imbalance, kind=profile, seed=subset_seed, protocol=protocol)
    manifest = SubsetManifest.from_indices(
        subset, pool_y, source=dataset.name, seed=subset_seed, protocol=protocol, imbalance_factor=imbalance
    )
    held = np.array([], dtype=np.int64)
    if holdout:
        held = holdout_indices(pool_y[subset], holdout, seed=subset_seed)
    kept = np.setdiff1d(np.arange(len(subset)), held)
    train_x, holdout_x = (select(dataset.train_x, torch.from_numpy(subset[part])) for part in (kept, held))
    labels = torch.from_numpy(pool_y[subset]).long()
    return Split(
        train_x,
        labels[torch.from_numpy(kept)],
        holdout_x,
        labels[torch.from_numpy(held)],
        dataset.test_x,
        torch.as_tensor(dataset.test_y).long(),
        np.bincount(pool_y[subset][kept], minlength=dataset.num_classes),
        manifest,
        *standardisation(train_x),
    )


def as_float(inputs: Tensor) -> Tensor:
    """Images of bytes as floats in [0, 1]; floats stay as they are."""
    return inputs.float() / 255 if inputs.dtype == torch.uint8 else inputs.float()


def standardisation(inputs: Any) -> tuple[Tensor, Tensor]:
    """Mean and deviation over the samples: per channel for images (N, C, H, W), per column for tables (N, d)."""
    shape = tuple(inputs.shape)
    axes = (0, 2, 3) if len(shape) == 4 else (0,)
    wanted = max(1, min(shape[0], _STATISTICS_SIZE // int(np.prod(shape[1:]))))
    sample = as_float(inputs[torch.arange(wanted) * shape[0] // wanted])
    mean, std = sample.mean(axes, keepdim=True), sample.std(axes, keepdim=True)
    return mean, torch.where(std > 0, std, torch.ones_like(std))
