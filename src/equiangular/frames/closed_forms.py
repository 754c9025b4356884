"""Simplices and an orthogonal matrix in closed form: no factorisation, exact to rounding, float64 on the CPU.

The device is named at every creation: inside ``with torch.device("meta")`` a frame is still built from its numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from equiangular._random import make_generator

_BLOCK = 16  # rows that are made, summed and rounded before they leave the cache


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


def turned_simplex(num_classes: int, dim: int, directions: Iterable[Tensor], dtype: torch.dtype) -> Tensor:
    """The minimal simplex times K-1 orthonormal rows q_j, (K, d), without that product.

    Row i is s_i q_i - sum_{j < i} s_j/(n-j) q_j, see :func:`minimal_simplex`: a cumulative sum, O(K d), in float64.

    Args:
        num_classes: K.
        dim: d.
        directions: the rows q_j, (K-1, d) float64 in all, a few at a time, so that each block stays in the cache.
        dtype: of the result; each number is rounded once.
    """
    own, below = minimal_coefficients(num_classes)
    frame = torch.empty(num_classes, dim, dtype=dtype, device="cpu")
    carried, start = torch.zeros(dim, dtype=torch.float64, device="cpu"), 0
    for block in directions:
        stop = start + len(block)
        # The block's rows and, last, what every later row has of them.
        weights = (-below[start:stop]).expand(len(block) + 1, len(block)).tril(-1)
        weights[:-1].diagonal().copy_(own[start:stop])
        rows = torch.addmm(carried, weights, block)
        frame[start:stop] = rows[:-1]
        carried, start = rows[-1], stop
    frame[start] = carried
    return frame


def signed_dct_simplex(num_classes: int, dim: int, *, seed: int, dtype: torch.dtype) -> Tensor:
    """The minimal simplex turned by random signs and the orthonormal cosine transform: (K, d), d >= K-1.

    Row k is C P D w_k with D a diagonal of +-1 and P a permutation, both drawn from ``seed``, and C as in
    :func:`cosine_columns`: O(K d) and no factorisation. The energy of every vector is spread over all coordinates; the
    orientation is random but not Haar: it takes 2^d d! values, not a continuum, and the first vector is plus or minus a
    row of C.
    """
    # Permuting columns too spreads the zero padding of d > K - 1 over the transform.
    generator = make_generator(seed)
    signs = torch.randint(0, 2, (dim,), generator=generator, device="cpu").double() * 2 - 1
    order = torch.randperm(dim, generator=generator, device="cpu").argsort()
    columns = cosine_columns(order[: num_classes - 1], signs[: num_classes - 1], dim)
    return turned_simplex(num_classes, dim, columns, dtype)


def cosine_columns(columns: Tensor, factors: Tensor, dim: int) -> Iterator[Tensor]:
    """The columns j of the orthonormal DCT-II of size n times factors (m,): a few rows (n,) float64 at a time.

    C[i, j] = sqrt((2 - [i = 0]) / n) cos(pi i (2j + 1) / (2n)). With i = w h + l, w about sqrt(n), the cosine of the
    sum of two angles takes m sqrt(n) cosines for all m n of them; each angle is reduced as a whole number first.
    """
    width = 1 << dim.bit_length() // 2
    steps = torch.arange(0, dim, width, device="cpu"), torch.arange(width, device="cpu")
    odd = 2 * columns[:, None] + 1
    high, low = ((odd * step % (4 * dim)).double() * (math.pi / (2 * dim)) for step in steps)
    scale = factors[:, None] * math.sqrt(2 / dim)
    tables = high.cos(), high.sin(), low.cos() * scale, low.sin() * scale
    for a, b, c, d in zip(*(table.split(_BLOCK) for table in tables), strict=True):
        rows = (a[:, :, None] * c[:, None]).addcmul_(b[:, :, None], d[:, None], value=-1).flatten(1)[:, :dim]
        rows[:, 0] *= math.sqrt(0.5)
        yield rows
