"""Class vectors that are never stored: row k as a function of (seed, k) alone, and the nearest vectors of a code.

The constructions use integer arithmetic only, up to one correctly rounded square root and division per entry, so
that every device and every process gets the same bits, whichever other rows are asked for.

The search among the vectors of a quadratic-form code is exact and makes no vector, by fast Walsh-Hadamard transforms.
The code falls into blocks that differ by a linear character, (-1)^(Q(x) + <u, x>): the inner products of a feature with
the d' vectors of a block are one Walsh-Hadamard transform of h(x) (-1)^Q(x). That is O(K log d) operations for one
feature and K classes, where comparing with every vector takes O(K d).
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Literal, get_args

import torch
from torch import Tensor

from equiangular._validate import check_choice, check_features, check_int, check_num_classes, values_are_readable
from equiangular.frames.orthogonal import sylvester_signs
from equiangular.frames.quadratic_code import QuadraticCode, quadratic_code, quadratic_code_rows
from equiangular.frames.splitmix import random_unit_rows, splitmix, splitmix_key

Construction = Literal["random", "quadratic"]
CONSTRUCTIONS: tuple[Construction, ...] = get_args(Construction)


def implicit_rows(
    class_ids: Tensor,
    dim: int,
    *,
    seed: int = 0,
    construction: Construction = "random",
    num_classes: int | None = None,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Unit rows (..., d) of a K x d frame that is never built, K up to 2^63: O(B d) time and memory for B rows.

    ``"random"``: entries are centred 16-bit integers from a counter-based generator (SplitMix64 of seed, class and
    column), divided by the row's norm. Two rows have cosines of mean 0 and variance 1/d, distributed as those of
    random directions up to O(1/d^2); the largest of K rows is about sqrt(4 ln(K) / d). Any K, any d.

    ``"quadratic"``: the quadratic-form code of :func:`equiangular.frames.quadratic_code` for ``num_classes``, with
    the signs of its columns changed at random. Its largest cosine has a proved bound, at K = 10,000,000, d = 512 of
    1/8 (random rows: .36). It exists for d >= 8 and up to 2 d'^3 + 2 d' classes, d' = 2^floor(log2 d).

    Args:
        class_ids: (...) integers in [0, K), on the device that the rows shall be on.
        dim: d >= 1.
        seed: which frame.
        construction: ``"random"`` or ``"quadratic"``.
        num_classes: K, needed by ``"quadratic"`` to choose the code.
        dtype: dtype of the rows, torch's default if None; computed in float64 and cast last.

    Raises:
        ValueError: ids that are not integers or are negative (looked at on the CPU only), d < 1, an unknown
            construction, or no quadratic code of that size.

    Example:
        >>> rows = implicit_rows(torch.tensor([7, 9_999_999]), 64, seed=1)
        >>> rows.shape, torch.equal(rows[1], implicit_rows(torch.tensor(9_999_999), 64, seed=1))
        (torch.Size([2, 64]), True)

    Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014 (SplitMix64).
    """
    d = check_int(dim, "dim", minimum=1, hint="A class vector needs at least one coordinate.")
    check_choice(construction, CONSTRUCTIONS, "construction")
    ids = _check_ids(class_ids)
    dtype = dtype or torch.get_default_dtype()
    if construction == "quadratic":
        if num_classes is None:
            raise ValueError("construction='quadratic' needs num_classes: the code is chosen by its size.")
        code = quadratic_code(check_num_classes(num_classes), d)
        if code is None:
            raise ValueError(
                f"no quadratic code holds {num_classes} classes in {d} dimensions. "
                "Use construction='random', or more dimensions."
            )
        rows = quadratic_code_rows(code, ids.reshape(-1), d, dtype=dtype)
        return (rows * column_signs(d, seed=seed, device=ids.device).to(dtype)).reshape(*ids.shape, d)
    return random_unit_rows(ids.reshape(-1), d, seed, dtype).reshape(*ids.shape, d)


def column_signs(dim: int, *, seed: int, device: torch.device | str | None = None) -> Tensor:
    """The signs (d,) int64 that :func:`implicit_rows` gives to the columns of a quadratic code."""
    return 1 - 2 * (splitmix(torch.arange(dim, device=device) + splitmix_key(seed, device)) & 1)


def _check_ids(class_ids: Tensor) -> Tensor:
    if not isinstance(class_ids, Tensor):
        raise ValueError(f"class_ids must be a torch.Tensor of integers, got {type(class_ids).__name__}.")
    if class_ids.is_floating_point() or class_ids.is_complex() or class_ids.dtype == torch.bool:
        raise ValueError(f"class_ids must hold integers, got {class_ids.dtype}. Use .long().")
    if values_are_readable(class_ids) and class_ids.numel() and int(class_ids.min()) < 0:
        raise ValueError(f"class_ids must be at least 0, got {int(class_ids.min())}.")
    return class_ids.long()


_ENTRIES = 2**20  # of the products held at a time: 4 MiB, what a core's cache holds


def quadratic_nearest(
    code: QuadraticCode, features: Tensor, num_classes: int | None = None, *, k: int = 1
) -> tuple[Tensor, Tensor]:
    """The k of a code's first K vectors nearest to each feature: inner products, largest first, and numbers, (B, k).

    Args:
        code: from :func:`equiangular.frames.quadratic_code`.
        features: (B, d) floating point, d >= code.dim; coordinates beyond are zero in every vector of the code. The
            result is on their device, the numbers int64.
        num_classes: K, how many vectors of the code count; all of them if None.
        k: how many to find, at most K/2.

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
    place = places_of_characters(code, h.device)
    column = torch.arange(d, device=h.device).scatter(0, place, torch.arange(d, device=h.device))
    first_axis = code.size - 2 * d
    blocks = -(-min(count, first_axis) // (2 * d))
    best = h.new_full((len(h), 0), -math.inf), torch.empty(len(h), 0, dtype=torch.int64, device=h.device)
    step = max(1, _ENTRIES // max(1, len(h) * d))
    for block in torch.arange(blocks, device=h.device).split(step):
        signs = quadratic_code_rows(code, block << (m + 1), dtype=h.dtype)
        products = hadamard(h[:, None, :] * signs)
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


def places_of_characters(code: QuadraticCode, device: torch.device) -> Tensor:
    """(d,) at which place the transform of a block has each of its characters."""
    return torch.tensor(_places(code), device=device)


@lru_cache(maxsize=8)
def _places(code: QuadraticCode) -> list[int]:
    powers = 1 << torch.arange(code.exponent, device="cpu")
    characters = quadratic_code_rows(code, 2 * torch.arange(code.dim, device="cpu"))
    places: list[int] = ((characters[:, powers] < 0) * powers).sum(1).tolist()  # by the values at the basis vectors
    return places


def hadamard(x: Tensor) -> Tensor:
    """sum_x f(x) (-1)^popcount(u & x) along the last axis, (..., d), as two matrix products of d = a b."""
    d = x.shape[-1]
    b = 1 << (d.bit_length() // 2)
    a = d // b
    numbers = torch.arange(max(a, b), device=x.device)
    inner = x.reshape(-1, b) @ sylvester_signs(numbers[:b], numbers[:b], x.dtype)
    outer = inner.reshape(-1, a, b).transpose(1, 2) @ sylvester_signs(numbers[:a], numbers[:a], x.dtype)
    return outer.transpose(1, 2).reshape(x.shape)
