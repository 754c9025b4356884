"""LDAM on a learnable cosine head, with and without deferred re-weighting.

Like every normalised head of the comparison it has the BatchNorm of Yang et al. (2022) in front, which the source has
not; scale 30 and largest margin 0.5 are the source's.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import Tensor
from torch.nn import functional as F

from equiangular.heads import Head
from equiangular.losses.ldam import deferred_class_weights, ldam_loss
from equiangular.training.methods.base import Context, Method

# The last fifth of the epochs is re-weighted: from epoch 160 of 200 in the source.
DEFERRED_START = 0.8


def criterion(features: Tensor, target: Any, head: Head, context: Context, *, deferred: bool = False) -> Tensor:
    """Margins n_k^(-1/4) on the cosines; ``deferred`` weighs the classes from 80 % of the epochs on."""
    counts, weight = context.class_counts, None
    if deferred:
        weight = deferred_class_weights(counts, context.epoch, context.epochs, start=DEFERRED_START)
    cosines = F.linear(features, head.class_vectors())
    return ldam_loss(cosines, target, counts, scale=head.scale, class_weight=weight, reduction="none")


_OPTIONS = {"norm": "batch", "scale": 30.0}
_SOURCE = "Cao et al. 2019"

METHODS = (
    Method("cosine-ldam", "learnable cosine + LDAM", "cosine", criterion, _SOURCE, _OPTIONS),
    Method(
        "cosine-ldam-drw",
        "learnable cosine + LDAM, deferred re-weighting",
        "cosine",
        partial(criterion, deferred=True),
        _SOURCE,
        _OPTIONS,
        balances=True,
    ),
)
