"""The nearest vectors of a quadratic-form code, exactly, by fast Walsh-Hadamard transforms: no vector is ever made.

The code falls into blocks that differ by a linear character, (-1)^(Q(x) + <u, x>): the inner products of a feature with
the d' vectors of a block are one Walsh-Hadamard transform of h(x) (-1)^Q(x). That is O(K log d) operations for one
feature and K classes, where comparing with every vector takes O(K d).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from equiangular._validate import check_features, check_int
from equiangular.frames.quadratic_code import QuadraticCode, quadratic_code_rows

_ENTRIES = 2**20  # of the products held at a time: 4 MiB, what a core's cache holds


def quadratic_nearest(
    code: QuadraticCode, features: Tensor, num_classes: int | None = None, *, k: int = 1
) -> tuple[Tensor, Tensor]:
    """The k vectors of the first K of a code with the largest inner products with each feature.

    Args:
        code: from :func:`equiangular.frames.quadratic_code`.
        features: (B, d) floating point, d >= code.dim; coordinates beyond are zero in every vector of the code.
        num_classes: K, how many vectors of the code count; all of them if None.
        k: how many to find, at most K/2.

    Returns:
        Inner products (B, k), largest first, and numbers of the vectors (B, k) int64, on the device of ``features``.

    Raises:
        ValueError: features narrower than the code, K or k out of range.

    Example:
        >>> from equiangular.frames import quadratic_code
        >>> code = quadratic_code(10_000_000, 512)
        >>> feature = quadratic_code_rows(code, torch.tensor([9_000_001]))
        >>> products, ids = quadratic_nearest(code, 3 * feature, 10_000_000)  # exact among ten million
        >>> ids, round(float(products), 4)
        (tensor([[9000001]]), 3.0)

    Source: the Walsh-Hadamard transform as a decoder of Reed-Muller codes: Green 1966; MacWilliams and Sloane, "The
    theory of error-correcting codes", chapter 14, section 4.
    """
    check_features(features)
    d, m = code.dim, code.exponent
    if features.shape[1] < d:
        raise ValueError(f"features must have at least the {d} coordinates of the code, got {tuple(features.shape)}.")
    count = code.size if num_classes is None else check_int(num_classes, "num_classes", minimum=2)
    if count > code.size:
        raise ValueError(f"the code has {code.size} vectors, got num_classes={count}.")
    if check_int(k, "k", minimum=1) > count // 2:
        raise ValueError(f"k must be at most half of the {count} vectors, got {k}.")
    h = features[:, :d].to(torch.promote_types(features.dtype, torch.float32))
    column = _characters(code, h.device)
    first_axis = code.size - 2 * d
    blocks = -(-min(count, first_axis) // (2 * d))
    best = h.new_full((len(h), 0), -math.inf), torch.empty(len(h), 0, dtype=torch.int64, device=h.device)
    step = max(1, _ENTRIES // max(1, len(h) * d))
    for block in torch.arange(blocks, device=h.device).split(step):
        signs = quadratic_code_rows(code, block << (m + 1), dtype=h.dtype)
        products = _hadamard(h[:, None, :] * signs)
        ids = (block[:, None] << (m + 1)) + column * 2
        best = _merge(best, products.flatten(1), ids.flatten(), count, k)
    if count > first_axis:
        axes = first_axis + 2 * torch.arange(d, device=h.device)
        best = _merge(best, h, axes, count, k)
    return best


def _merge(best: tuple[Tensor, Tensor], products: Tensor, ids: Tensor, count: int, k: int) -> tuple[Tensor, Tensor]:
    """The k largest of what there is and of the new pairs (+, -): numbers ids and ids + 1, products +p and -p."""
    size = products.abs()
    if int(ids.max()) + 1 >= count:  # a pair whose nearer half lies beyond the last class; the other is below 0
        size = size.masked_fill(ids + (products < 0) >= count, -math.inf)
    value, position = size.topk(min(k, size.shape[1]), dim=1)
    number = ids[position] + (products.gather(1, position) < 0)
    value, number = torch.cat([best[0], value], 1), torch.cat([best[1], number], 1)
    value, order = value.topk(min(k, value.shape[1]), dim=1)
    return value, number.gather(1, order)


def _characters(code: QuadraticCode, device: torch.device) -> Tensor:
    """(d,) which character of a block the transform has at each place."""
    powers = 1 << torch.arange(code.exponent, device=device)
    column = torch.arange(code.dim, device=device)
    bits = quadratic_code_rows(code, column * 2)[:, powers] < 0  # the character's value at the basis vectors
    return column.scatter(0, (bits * powers).sum(1), column)


def _hadamard(x: Tensor) -> Tensor:
    """sum_x f(x) (-1)^popcount(u & x) along the last axis, (..., d), as two matrix products of d = a b."""
    d = x.shape[-1]
    b = 1 << (d.bit_length() // 2)
    a = d // b
    inner = x.reshape(-1, b) @ _sylvester(b, x)
    outer = inner.reshape(-1, a, b).transpose(1, 2) @ _sylvester(a, x)
    return outer.transpose(1, 2).reshape(x.shape)


def _sylvester(n: int, like: Tensor) -> Tensor:
    matrix = torch.ones(1, 1, dtype=like.dtype, device=like.device)
    while len(matrix) < n:
        matrix = torch.cat([torch.cat([matrix, matrix], 1), torch.cat([matrix, -matrix], 1)])
    return matrix
