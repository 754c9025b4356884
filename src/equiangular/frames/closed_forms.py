"""Simplices and an orthogonal transform in closed form: no factorisation, exact to rounding, all in float64."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from equiangular._random import make_generator


def minimal_simplex(num_classes: int) -> Tensor:
    """K unit vectors in K-1 dimensions with pairwise inner product -1/(K-1), lower triangular.

    With n = K-1 and s_j = sqrt((n+1)(n-j) / (n(n-j+1))), j = 0..n-1: W[j, j] = s_j and W[i, j] = -s_j/(n-j) for i > j.
    It follows row by row from unit norm and equal inner products (Cholesky factor of the simplex's Gram matrix).

    Args:
        num_classes: K >= 2.

    Returns:
        (K, K-1) float64.

    Example:
        >>> minimal_simplex(2)
        tensor([[ 1.],
                [-1.]], dtype=torch.float64)
    """
    n = num_classes - 1
    column = torch.arange(n)
    left = n - column.double()
    s = torch.sqrt((n + 1) * left / (n * (left + 1)))
    simplex = (-s / left).expand(num_classes, n).tril(-1)
    simplex[column, column] = s
    return simplex


def canonical_simplex(num_classes: int) -> Tensor:
    """sqrt(K/(K-1)) (I - 11^T/K): K unit vectors in K dimensions with pairwise inner product -1/(K-1).

    Args:
        num_classes: K >= 2.

    Returns:
        (K, K) float64.

    Example:
        >>> canonical_simplex(2).round(decimals=4)
        tensor([[ 0.7071, -0.7071],
                [-0.7071,  0.7071]], dtype=torch.float64)
    """
    k = num_classes
    return (torch.eye(k, dtype=torch.float64) - 1 / k) * math.sqrt(k / (k - 1))


def signed_dct_simplex(num_classes: int, dim: int, *, seed: int) -> Tensor:
    """The minimal simplex turned by random signs and the orthonormal discrete cosine transform (DCT-II).

    Row k is C D w_k with D a diagonal of +-1 drawn from ``seed`` and, for n = dim,
    C[i, j] = sqrt((2 - [i = 0]) / n) cos(pi i (2j + 1) / (2n)). C is applied as one FFT of length 2n for each row:
    O(K d log d) and no factorisation. The energy of every vector is spread over all coordinates; the orientation is
    random but not Haar: it has d random bits.

    Args:
        num_classes: K >= 2.
        dim: d >= K-1.
        seed: seed of a local CPU generator.

    Returns:
        (K, d) float64.
    """
    minimal = minimal_simplex(num_classes)
    padded = torch.nn.functional.pad(minimal, (0, dim - minimal.shape[1]))
    # Permuting columns too spreads the zero padding of d > K - 1 over the transform.
    generator = make_generator(seed)
    signs = torch.randint(0, 2, (dim,), generator=generator).double() * 2 - 1
    order = torch.randperm(dim, generator=generator)
    return orthonormal_dct((padded * signs)[:, order])


def orthonormal_dct(rows: Tensor) -> Tensor:
    """The orthonormal DCT-II of every row, by an FFT of the row followed by its mirror image.

    Args:
        rows: (..., n) float64.

    Returns:
        (..., n) float64, sqrt((2 - [i = 0]) / n) sum_j rows[j] cos(pi i (2j + 1) / (2n)).

    Example:
        >>> orthonormal_dct(torch.ones(1, 4, dtype=torch.float64)).round(decimals=6)
        tensor([[2., 0., 0., 0.]], dtype=torch.float64)
    """
    n = rows.shape[-1]
    spectrum = torch.fft.fft(torch.cat([rows, rows.flip(-1)], dim=-1))[..., :n]
    angle = -math.pi * torch.arange(n, dtype=torch.float64) / (2 * n)
    sums = (spectrum * torch.polar(torch.ones_like(angle), angle)).real / 2
    factor = torch.full((n,), math.sqrt(2 / n), dtype=torch.float64)
    factor[0] = math.sqrt(1 / n)
    return sums * factor
