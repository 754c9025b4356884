"""Class vectors that are never stored: row k is a function of (seed, k) alone, in O(d) time on any device.

Both constructions use integer arithmetic only, up to one correctly rounded square root and division per entry, so
that every device and every process gets the same bits, whichever other rows are asked for.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from equiangular._validate import check_choice, check_int, check_num_classes, values_are_readable
from equiangular.frames.quadratic_code import quadratic_code, quadratic_code_rows

Construction = Literal["random", "quadratic"]
CONSTRUCTIONS: tuple[Construction, ...] = get_args(Construction)
_GOLDEN_GAMMA = 0x9E3779B97F4A7C15
_MIX_1, _MIX_2 = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


def implicit_rows(
    class_ids: Tensor,
    dim: int,
    *,
    seed: int = 0,
    construction: Construction = "random",
    num_classes: int | None = None,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Rows of a K x d frame that is never built, K up to 2^63: O(B d) time and memory for B rows.

    ``"random"``: entries are centred 16-bit integers from a counter-based generator (SplitMix64 of seed, class and
    column), divided by the row's norm. Two rows have cosines of mean 0 and variance 1/d, distributed as those of
    random directions up to O(1/d^2); the largest of K rows is about sqrt(4 ln(K) / d). Any K, any d.

    ``"quadratic"``: the quadratic-form code of :func:`equiangular.frames.quadratic_code` for ``num_classes``, with
    the signs of its columns changed at random. Its largest cosine has a proved bound, at K = 10,000,000, d = 512 of
    1/8 (random rows: .36). It exists for d >= 8 and up to 2 d'^3 + 2 d' classes, d' = 2^floor(log2 d).

    Args:
        class_ids: (...) integers in [0, K).
        dim: d >= 1.
        seed: which frame.
        construction: ``"random"`` or ``"quadratic"``.
        num_classes: K, needed by ``"quadratic"`` to choose the code.
        dtype: dtype of the rows, torch's default if None; computed in float64 and cast last.

    Returns:
        (..., d) unit rows on the device of ``class_ids``.

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
    words = (d + 3) // 4
    start = _splitmix(ids.reshape(-1) + _signed(_key(seed)))
    counters = torch.arange(1, words + 1, device=ids.device) * _signed(_GOLDEN_GAMMA)
    bits = _splitmix(start[:, None] + counters)
    # Constant shifts: torch.compile's vectorised shift by a tensor is wrong for negative int64 (seen in torch 2.13).
    values = torch.cat([bits >> shift & 0xFFFF for shift in (0, 16, 32, 48)], dim=1)[:, :d]
    values = 2 * values - 0xFFFF  # odd, between -65535 and 65535: no row is zero
    squares = values.square().sum(1, keepdim=True)  # exact: below 2^32 d
    rows = values.double() / squares.double().sqrt() if ids.device.type != "mps" else values / squares.float().sqrt()
    return rows.to(dtype).reshape(*ids.shape, d)


def column_signs(dim: int, *, seed: int, device: torch.device | str | None = None) -> Tensor:
    """The signs (d,) int64 that :func:`implicit_rows` gives to the columns of a quadratic code.

    Example:
        >>> column_signs(4, seed=0).abs()
        tensor([1, 1, 1, 1])
    """
    return 1 - 2 * (_splitmix(torch.arange(dim, device=device) + _signed(_key(seed))) & 1)


def _check_ids(class_ids: Tensor) -> Tensor:
    if not isinstance(class_ids, Tensor):
        raise ValueError(f"class_ids must be a torch.Tensor of integers, got {type(class_ids).__name__}.")
    if class_ids.is_floating_point() or class_ids.is_complex() or class_ids.dtype == torch.bool:
        raise ValueError(f"class_ids must hold integers, got {class_ids.dtype}. Use .long().")
    if values_are_readable(class_ids) and class_ids.numel() and int(class_ids.min()) < 0:
        raise ValueError(f"class_ids must be at least 0, got {int(class_ids.min())}.")
    return class_ids.long()


def _key(seed: int) -> int:
    """SplitMix64 of the seed as a Python integer: seeds that are neighbours give unrelated frames."""
    if check_int(seed, "seed", minimum=0) >= 1 << 63:
        raise ValueError(f"seed must be an integer in [0, 2**63), got {seed}.")
    z = (int(seed) + _GOLDEN_GAMMA) & 0xFFFFFFFFFFFFFFFF
    z = ((z ^ (z >> 30)) * _MIX_1) & 0xFFFFFFFFFFFFFFFF
    z = ((z ^ (z >> 27)) * _MIX_2) & 0xFFFFFFFFFFFFFFFF
    return z ^ (z >> 31)


def _splitmix(state: Tensor) -> Tensor:
    """The output function of SplitMix64 on int64 tensors, whose products and sums wrap round modulo 2^64."""
    z = state + _signed(_GOLDEN_GAMMA)
    z = (z ^ _shift(z, 30)) * _signed(_MIX_1)
    z = (z ^ _shift(z, 27)) * _signed(_MIX_2)
    return z ^ _shift(z, 31)


def _shift(z: Tensor, places: int) -> Tensor:
    """Logical shift to the right; torch's own keeps the sign."""
    return (z >> places) & ((1 << (64 - places)) - 1)


def _signed(value: int) -> int:
    """A 64-bit pattern as the signed integer that torch.int64 holds."""
    return value - (1 << 64) if value >> 63 else value
