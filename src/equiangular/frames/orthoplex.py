"""The orthoplex (cross-polytope): plus and minus the vectors of an orthonormal basis, for K <= 2d classes."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from equiangular._validate import check_choice, check_int, check_num_classes
from equiangular.frames.haar import haar_orthonormal


def orthoplex(
    num_classes: int,
    dim: int,
    *,
    basis: Literal["haar", "canonical"] = "haar",
    seed: int = 0,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """The first K of the 2d vectors +u_1, ..., +u_d, -u_1, ..., -u_d of an orthonormal basis u.

    For d+1 < K <= 2d no K unit vectors have all their pairwise cosines below zero (Rankin 1955), so that the
    orthoplex, with largest cosine 0, is optimal: classes are at right angles, or opposite. For K <= d+1 a simplex is
    better; then :func:`equiangular.frames.simplex_etf` is the frame to take.

    Args:
        num_classes: K, 2 <= K <= 2d.
        dim: d >= 1.
        basis: ``"haar"``, a uniformly random orthonormal basis; ``"canonical"``, the coordinate axes.
        seed: seed of the random basis; unused for ``"canonical"``.
        device: device of the result.
        dtype: dtype of the result, torch's default if None; built in float64 and cast last.

    Returns:
        (K, d) with unit rows and pairwise inner products 0 or -1.

    Raises:
        ValueError: K > 2d, K < 2, d < 1 or an unknown basis.

    Example:
        >>> orthoplex(3, 2, basis="canonical")
        tensor([[ 1.,  0.],
                [ 0.,  1.],
                [-1., -0.]])

    Source:
        Rankin, "The closest packing of spherical caps in n dimensions", Proc. Glasgow Math. Assoc. 2, 1955.
    """
    k = check_num_classes(num_classes)
    d = check_int(dim, "dim", minimum=1, hint="A class vector needs at least one coordinate.")
    check_choice(basis, ("haar", "canonical"), "basis")
    if k > 2 * d:
        raise ValueError(
            f"an orthoplex in {d} dimensions has {2 * d} vertices, got num_classes={k}. "
            f"Use spread_frame({k}, {d}), or at least {(k + 1) // 2} dimensions."
        )
    axes = torch.eye(d, dtype=torch.float64) if basis == "canonical" else haar_orthonormal(d, d, seed=seed).T
    weight = torch.cat([axes[: min(k, d)], -axes[: max(0, k - d)]])
    return weight.to(device=device, dtype=dtype or torch.get_default_dtype())
