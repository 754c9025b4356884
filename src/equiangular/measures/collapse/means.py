"""Class means seen from a global mean, by name of that mean, and their directions."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from equiangular._validate import check_choice
from equiangular.measures.collapse.moments import ClassMoments

GlobalMean = Literal["class", "sample"]
GLOBAL_MEANS: tuple[GlobalMean, ...] = get_args(GlobalMean)


def global_mean(moments: ClassMoments, kind: GlobalMean = "class") -> Tensor:
    """The point from which class means are seen.

    ``"class"``: mu_G = (1/K) sum_c mu_c over the classes seen: every class counts the same. ``"sample"``: mu_G =
    (1/N) sum_n h_n: on imbalanced data it leans towards the large classes, and no centring by it can show an ETF.

    Args:
        moments: class moments.
        kind: ``"class"`` or ``"sample"``.

    Returns:
        (d,) tensor.
    """
    check_choice(kind, GLOBAL_MEANS, "global_mean")
    weight = moments.seen.to(moments.mean) if kind == "class" else moments.count
    return (weight / weight.sum().clamp(min=1)) @ moments.mean


def centred_means(moments: ClassMoments, kind: GlobalMean = "class", classes: Tensor | None = None) -> Tensor:
    """Class means less the global mean, of the classes seen.

    Args:
        moments: class moments.
        kind: name of the global mean; it is always that of all classes.
        classes: (C,) int64 indices of the classes wanted, by default all; those not seen are left out.

    Returns:
        (C', d) tensor.
    """
    index = seen_classes(moments, classes)
    return moments.mean[index] - global_mean(moments, kind)


def seen_classes(moments: ClassMoments, classes: Tensor | None = None) -> Tensor:
    """Indices of the classes that have samples, among ``classes`` or all."""
    seen = moments.seen.nonzero().flatten()
    if classes is None:
        return seen
    classes = torch.as_tensor(classes, dtype=torch.long, device=seen.device)
    return classes[moments.seen[classes]]


def directions(vectors: Tensor) -> Tensor:
    """Rows divided by their norms; a zero row, which has no direction, stays zero."""
    norms = torch.linalg.vector_norm(vectors, dim=1, keepdim=True)
    return vectors / torch.where(norms > 0, norms, torch.ones_like(norms))
