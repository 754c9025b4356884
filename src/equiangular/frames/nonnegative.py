"""Class vectors for features that are never negative (after a ReLU), and a check that features can reach a frame."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from torch import Tensor

from equiangular._random import make_generator
from equiangular._scaled import near_one
from equiangular._validate import Device, Dtype, check_features, check_int, check_num_classes, check_positive


def nonnegative_orthogonal_frame(
    num_classes: int, dim: int, *, seed: int = 0, device: Device = None, dtype: Dtype = None
) -> Tensor:
    """K orthonormal vectors (K, d) without a negative entry: each class has some of the coordinates to itself.

    Vectors >= 0 are orthogonal exactly when no coordinate is shared. The d coordinates are dealt out at random, floor
    or ceil(d/K) to a class, and a class's vector is 1/sqrt(its number) on its own. Among vectors >= 0 a largest cosine
    of 0 is the smallest there is, so that this is the optimum for non-negative features.

    Args:
        num_classes, dim: 2 <= K <= d.
        seed: seed of the deal.
        device, dtype: of the result, torch's defaults if None.

    Raises:
        ValueError: K > d (no such frame exists), K < 2 or d < 1.

    Example:
        >>> weight = nonnegative_orthogonal_frame(3, 7)
        >>> (weight > 0).sum(1).tolist(), bool(((weight @ weight.T - torch.eye(3)).abs() < 1e-6).all())
        ([3, 2, 2], True)

    Source: Kim and Kim, "Fixed non-negative orthogonal classifier: inducing zero-mean neural collapse with feature
    dimension separation", ICLR 2024.
    """
    k = check_num_classes(num_classes)
    d = check_int(dim, "dim", minimum=1, hint="A class vector needs at least one coordinate.")
    if k > d:
        raise ValueError(
            f"{k} non-negative vectors cannot be orthogonal in {d} dimensions: each needs a coordinate of its own. "
            f"Use dim >= {k}, or features of either sign (a BatchNorm or a linear layer before the head) "
            f"with spread_frame({k}, {d})."
        )
    place = torch.empty(0).device if device is None else device  # the default device, whatever PyTorch
    owner, value = dealt_coordinates(k, d, seed=seed)
    weight = torch.zeros(k, d, dtype=torch.float64, device="cpu").scatter_(0, owner[None], value[None])
    return weight.to(device=place, dtype=dtype or torch.get_default_dtype())


def dealt_coordinates(num_classes: int, dim: int, *, seed: int) -> tuple[Tensor, Tensor]:
    """The class that each of d coordinates is dealt to, (d,) int64, and 1/sqrt(coordinates of that class), float64."""
    with torch.device("cpu"):
        dealt = torch.arange(dim, device="cpu") % num_classes
        order = torch.randperm(dim, generator=make_generator(seed), device="cpu")
        owner = torch.empty_like(dealt).scatter_(0, order, dealt)
        return owner, torch.bincount(owner)[owner].double().rsqrt()


def reachable_cosine(weight: Tensor) -> Tensor:
    """The largest cosine, (K,) in [-1, 1], that a feature without negative entries can have with each class vector.

    max {<w, h> : h >= 0, ||h|| = 1} = ||max(w, 0)||, reached at h = max(w, 0) normalised; where w has no positive
    entry it is its largest entry. For a random vector it is about sqrt(1/2): behind a ReLU no feature comes nearer than
    45 degrees to its class vector in a Haar-random frame, and a loss that asks for alignment cannot be met.

    Args:
        weight: (K, d) floating point, no zero row; rows are normalised here.

    Raises:
        ValueError: NaN, a zero row, or a wrong shape or dtype.

    Example:
        >>> reachable_cosine(torch.tensor([[1.0, 0.0], [-3.0, 4.0], [-1.0, 0.0]]))
        tensor([1.0000, 0.8000, 0.0000])
    """
    check_features(weight, name="weight", allow_zero=False)
    unit = torch.nn.functional.normalize(near_one(weight, rows=True)[0], dim=1)
    positive = torch.linalg.vector_norm(unit.clamp(min=0), dim=1)
    return torch.where(positive > 0, positive, unit.amax(1))


def warn_unreachable(features: Tensor, weight: Tensor, *, minimum: float = 0.9, stacklevel: int = 2) -> bool:
    """Warn, and return True, where features without a negative entry meet class vectors that they cannot point at.

    Args:
        features: (B, d) a batch as it meets the class vectors.
        weight: (K, d) class vectors.
        minimum: the reachable cosine below which a class counts as out of reach.
        stacklevel: as in :func:`warnings.warn`.

    Raises:
        ValueError: shapes that do not fit, NaN, or a ``minimum`` that is not above 0.

    Example:
        >>> warn_unreachable(torch.tensor([[0.5, 0.0]]), torch.eye(2))
        False
    """
    check_positive(minimum, "minimum")
    check_features(weight, name="weight", allow_zero=False)
    check_features(features, dim=weight.shape[1])
    return warn_beyond_reach(
        features, lambda: reachable_cosine(weight.detach()), minimum=minimum, stacklevel=stacklevel + 1
    )


def warn_beyond_reach(
    features: Tensor, reach: Callable[[], Tensor], *, minimum: float = 0.9, stacklevel: int = 2
) -> bool:
    """:func:`warn_unreachable` of checked features, for class vectors whose reachable cosines (K,) are known."""
    if bool((features < 0).any()) or not bool((features > 0).any()):
        return False
    cosine = reach()
    far = int((cosine < minimum).sum())
    if far:
        warnings.warn(
            f"the features have no negative entry (after a ReLU?), so they cannot point at {far} of the "
            f"{len(cosine)} class vectors: the best cosine within reach is {float(cosine.min()):.3f} to "
            f"{float(cosine.max()):.3f}, mean {float(cosine.mean()):.3f}. Put a BatchNorm or a linear layer before the "
            "head (norm='batch', projection='linear'), or, for K <= d, use the canonical basis or "
            "nonnegative_orthogonal_frame(K, d).",
            stacklevel=stacklevel,
        )
    return far > 0
