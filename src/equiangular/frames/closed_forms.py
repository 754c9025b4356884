"""Simplices and an orthogonal transform in closed form: no factorisation, exact to rounding, float64 on the CPU.

The device is named at every creation: inside ``with torch.device("meta")`` a frame is still built from its numbers.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from equiangular._random import make_generator


def minimal_simplex(num_classes: int) -> Tensor:
    """K unit vectors in K-1 dimensions with pairwise inner product -1/(K-1), lower triangular: (K, K-1) float64.

    With n = K-1 and s_j = sqrt((n+1)(n-j) / (n(n-j+1))), j = 0..n-1: W[j, j] = s_j and W[i, j] = -s_j/(n-j) for i > j.
    It follows row by row from unit norm and equal inner products (Cholesky factor of the simplex's Gram matrix).
    """
    n = num_classes - 1
    own, below = minimal_coefficients(num_classes)
    simplex = (-below).expand(num_classes, n).tril(-1)
    simplex[:n].diagonal().copy_(own)
    return simplex


def minimal_coefficients(num_classes: int, *, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
    """What makes column j of :func:`minimal_simplex`: s_j and s_j/(n-j), (K-1,) each, float64 (on MPS float32)."""
    n = num_classes - 1
    widest = torch.float32 if torch.device(device).type == "mps" else torch.float64
    left = torch.arange(n, 0, -1, dtype=widest, device=device)
    own = torch.sqrt((n + 1) * left / (n * (left + 1)))
    return own, own / left


def minimal_rows(num_classes: int, dim: int, dtype: torch.dtype) -> Tensor:
    """:func:`minimal_simplex` and zeros after it, (K, d), each number rounded once, from float64 to ``dtype``."""
    n = num_classes - 1
    own, below = (c.to(dtype) for c in minimal_coefficients(num_classes))
    frame = torch.empty(num_classes, dim, dtype=dtype, device="cpu")
    frame[:, n:] = 0
    # All rows at once and then the triangle above taken out: one pass to write and half of one to clear.
    frame[:, :n] = -below
    frame[:, :n].tril_(-1)
    frame[:n, :n].diagonal().copy_(own)
    return frame


def canonical_rows(num_classes: int, dim: int, dtype: torch.dtype) -> Tensor:
    """sqrt(K/(K-1)) (I - 11^T/K), K unit vectors with pairwise inner product -1/(K-1), and zeros after it: (K, d)."""
    own, other = canonical_entries(num_classes)
    frame = torch.empty(num_classes, dim, dtype=dtype, device="cpu")
    frame[:, num_classes:] = 0
    frame[:, :num_classes] = other
    frame[:, :num_classes].diagonal().fill_(own)
    return frame


def centred_groups(owner: Tensor, value: Tensor, num_classes: int, dtype: torch.dtype) -> Tensor:
    """The canonical simplex on groups of coordinates, (K, d): coordinate j is ``value[j]`` of class ``owner[j]``.

    The product with the K x K matrix has one term in every entry: a coordinate of one's own times the diagonal, another
    class's times what is beside it.
    """
    own, other = canonical_entries(num_classes)
    frame = (other * value).to(dtype).expand(num_classes, len(value)).contiguous()
    return frame.scatter_(0, owner[None], (own * value).to(dtype)[None])


def canonical_entries(num_classes: int) -> tuple[float, float]:
    """The diagonal and the other entries of the canonical simplex."""
    scale = math.sqrt(num_classes / (num_classes - 1))
    return (1 - 1 / num_classes) * scale, -(1 / num_classes) * scale


def signed_dct_simplex(num_classes: int, dim: int, *, seed: int) -> Tensor:
    """The minimal simplex turned by random signs and the orthonormal cosine transform: (K, d) float64, d >= K-1.

    Row k is C P D w_k with D a diagonal of +-1 and P a permutation, both drawn from ``seed``, and, for n = dim,
    C[i, j] = sqrt((2 - [i = 0]) / n) cos(pi i (2j + 1) / (2n)). C is applied as one FFT of length 2n for each row:
    O(K d log d) and no factorisation. The energy of every vector is spread over all coordinates; the orientation is
    random but not Haar: it takes 2^d d! values, not a continuum, and the first vector is plus or minus a row of C.
    """
    minimal = minimal_simplex(num_classes)
    padded = torch.nn.functional.pad(minimal, (0, dim - minimal.shape[1]))
    # Permuting columns too spreads the zero padding of d > K - 1 over the transform.
    generator = make_generator(seed)
    signs = torch.randint(0, 2, (dim,), generator=generator, device="cpu").double() * 2 - 1
    order = torch.randperm(dim, generator=generator, device="cpu")
    frame = torch.empty_like(padded)
    step = max(1, 2**22 // dim)  # the transform takes six times the memory of its rows
    for start in range(0, num_classes, step):
        frame[start : start + step] = orthonormal_dct((padded[start : start + step] * signs)[:, order])
    return frame


def orthonormal_dct(rows: Tensor) -> Tensor:
    """The orthonormal DCT-II of every row (..., n) float64, by an FFT of the row followed by its mirror image.

    Entry i is sqrt((2 - [i = 0]) / n) sum_j rows[j] cos(pi i (2j + 1) / (2n)).
    """
    n = rows.shape[-1]
    spectrum = torch.fft.rfft(torch.cat([rows, rows.flip(-1)], dim=-1))[..., :n]
    angle = math.pi / (2 * n) * torch.arange(n, dtype=torch.float64, device=rows.device)
    factor = torch.full_like(angle, math.sqrt(1 / (2 * n)))
    factor[0] = math.sqrt(1 / (4 * n))
    # The real part of spectrum * exp(-i angle), without the complex product.
    turned: Tensor = spectrum.real * (angle.cos() * factor) + spectrum.imag * (angle.sin() * factor)
    return turned
