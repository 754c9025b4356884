"""Frames from orthogonal matrices: Haar-random bases, the orthoplex (K <= 2d), rows of a Hadamard matrix."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from equiangular._random import make_generator
from equiangular._validate import Device, Dtype, check_choice, check_int, check_num_classes


def haar_orthonormal(rows: int, columns: int, *, seed: int) -> Tensor:
    """Q (d, n) float64 on the CPU with Q^T Q = I, uniformly distributed (Haar measure on the Stiefel manifold).

    QR of a Gaussian matrix with the signs of R's diagonal moved into Q; without them the result is not Haar
    (Mezzadri, section 5). The Gaussian numbers depend on the seed alone; LAPACK rounds by thread count and
    processor, so two machines agree to some 1e-15, not to the last bit.

    Args:
        rows, columns: d, and n <= d.
        seed: seed of a local CPU generator.

    Raises:
        ValueError: n < 1, d < n, or a bad seed.

    Example:
        >>> q = haar_orthonormal(5, 3, seed=0)
        >>> torch.allclose(q.T @ q, torch.eye(3, dtype=torch.float64))
        True

    Source: Mezzadri, "How to generate random matrices from the classical compact groups", Notices of the AMS 54(5),
    2007.
    """
    columns = check_int(columns, "columns", minimum=1)
    rows = check_int(rows, "rows", minimum=columns, hint=f"{columns} orthonormal columns need as many rows.")
    gaussian = torch.randn(rows, columns, generator=make_generator(seed), dtype=torch.float64, device="cpu")
    q: Tensor
    q, r = torch.linalg.qr(gaussian)
    return q.mul_(torch.where(r.diagonal() < 0, -1.0, 1.0))


def orthoplex(
    num_classes: int,
    dim: int,
    *,
    basis: Literal["haar", "canonical"] = "haar",
    seed: int = 0,
    device: Device = None,
    dtype: Dtype = None,
) -> Tensor:
    """The first K of the 2d vectors +u_1, ..., +u_d, -u_1, ..., -u_d of an orthonormal basis u: (K, d).

    For d+1 < K <= 2d no K unit vectors have all their pairwise cosines below zero (Rankin 1955), so that the
    orthoplex, with largest cosine 0, is optimal: classes are at right angles, or opposite. For K <= d+1 a simplex is
    better; then :func:`equiangular.frames.simplex_etf` is the frame to take.

    Args:
        num_classes, dim: 2 <= K <= 2d.
        basis: ``"haar"``, a uniformly random orthonormal basis; ``"canonical"``, the coordinate axes.
        seed: seed of the random basis; unused for ``"canonical"``.
        device, dtype: of the result, torch's defaults if None; built in float64 and cast last.

    Raises:
        ValueError: K > 2d, K < 2, d < 1 or an unknown basis.

    Example:
        >>> orthoplex(3, 2, basis="canonical")
        tensor([[ 1.,  0.],
                [ 0.,  1.],
                [-1., -0.]])

    Source: Rankin, "The closest packing of spherical caps in n dimensions", Proc. Glasgow Math. Assoc. 2, 1955.
    """
    k = check_num_classes(num_classes)
    d = check_int(dim, "dim", minimum=1, hint="A class vector needs at least one coordinate.")
    check_choice(basis, ("haar", "canonical"), "basis")
    if k > 2 * d:
        raise ValueError(
            f"an orthoplex in {d} dimensions has {2 * d} vertices, got num_classes={k}. "
            f"Use spread_frame({k}, {d}), or at least {(k + 1) // 2} dimensions."
        )
    axes = haar_orthonormal(d, d, seed=seed).T if basis == "haar" else torch.eye(d, dtype=torch.float64, device="cpu")
    weight = torch.cat([axes[: min(k, d)], -axes[: max(0, k - d)]])
    return weight.to(device=device, dtype=dtype or torch.get_default_dtype())


def hadamard_frame(num_classes: int, dim: int, *, seed: int = 0, device: Device = None, dtype: Dtype = None) -> Tensor:
    """K rows of Sylvester's matrix H[i, j] = (-1)^popcount(i & j), cut to d columns, at unit norm: (K, d).

    - K <= d' = 2^floor(log2 d): rows of the d' x d' matrix, exactly orthogonal; the d - d' coordinates beyond are 0.
    - Otherwise: d columns of the n x n matrix, n = 2^ceil(log2 max(K, d)), drawn at random. Columns in a row would be
      much worse: the first 513 columns leave rows 0 and 512 with cosine .996, and the first 512 leave them equal.
      Random columns leave cosines of about +-sqrt((n - d) / (n d)), the largest some five times that: for K > d
      :func:`equiangular.frames.spread_frame` is the better frame.

    Args:
        num_classes, dim: K >= 2 and d >= 1.
        seed: seed of the choice of columns; unused where the rows are exactly orthogonal.
        device, dtype: of the result, torch's defaults if None.

    Raises:
        ValueError: an impossible size, or so many classes that two rows agree on the drawn columns.

    Example:
        >>> hadamard_frame(4, 4) * 2
        tensor([[ 1.,  1.,  1.,  1.],
                [ 1., -1.,  1., -1.],
                [ 1.,  1., -1., -1.],
                [ 1., -1., -1.,  1.]])

    Source: Hoffer, Hubara, Soudry, "Fix your classifier: the marginal value of training the last weight layer", ICLR
    2018, section 4 (rows of a Hadamard matrix, cut).
    """
    k = check_num_classes(num_classes)
    d = check_int(dim, "dim", minimum=1, hint="A class vector needs at least one coordinate.")
    width = 1 << (d.bit_length() - 1)
    dtype = dtype or torch.get_default_dtype()
    if k <= width:
        signs = sylvester_signs(torch.arange(k, device="cpu"), torch.arange(width, device="cpu"), dtype)
        return torch.nn.functional.pad(signs / width**0.5, (0, d - width)).to(device)
    n = 1 << (max(k, d) - 1).bit_length()
    columns = torch.randperm(n, generator=make_generator(seed), device="cpu")[:d]
    parts = torch.arange(k, device="cpu").split(8192)
    signs = torch.cat([sylvester_signs(rows, columns, torch.int8) for rows in parts])
    if k > 2**d or len(torch.unique(signs, dim=0)) < k:
        raise ValueError(
            f"two of the {k} rows agree on all of the {d} columns drawn with seed={seed}. "
            f"Use spread_frame({k}, {d}), another seed, or more dimensions (at least {(k - 1).bit_length()})."
        )
    scaled: Tensor = signs.to(dtype) / d**0.5
    return scaled.to(device)


def sylvester_signs(rows: Tensor, columns: Tensor, dtype: torch.dtype) -> Tensor:
    """(-1)^popcount(i & j) for all pairs of numbers; the parity of the bits by folding the number onto itself."""
    bits = rows[:, None] & columns[None]
    for shift in (32, 16, 8, 4, 2, 1):
        bits = bits ^ (bits >> shift)
    return (1 - 2 * (bits & 1)).to(dtype)
