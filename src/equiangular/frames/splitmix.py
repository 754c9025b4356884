"""Unit rows from a counter-based generator, SplitMix64 of seed, class and column: the same bits on every device."""

from __future__ import annotations

import sys

import torch
from torch import Tensor

from equiangular._validate import check_int, have_values

GOLDEN_GAMMA = 0x9E3779B97F4A7C15
_MIX_1, _MIX_2 = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
_SIGN_BITS = 0x8000_8000_8000_8000  # of four 16-bit integers in a word
_BLOCK = 2**15  # words held at a time: what stays in a core's cache


def random_unit_rows(ids: Tensor, dim: int, seed: int, dtype: torch.dtype) -> Tensor:
    """Rows (B, d) for ids (B,) int64: centred 16-bit integers, odd, divided in float64 by the row's norm, cast last.

    Column c of n = ceil(d / 4) words a row is bits 16 i to 16 i + 15 of word j, c = i n + j.
    """
    words = (dim + 3) // 4
    start = splitmix(ids + splitmix_key(seed, ids.device))
    counters = torch.arange(1, words + 1, device=ids.device) * signed(GOLDEN_GAMMA)
    if have_values(ids) and ids.device.type in ("cpu", "cuda") and sys.byteorder == "little":
        return _rows_by_blocks(start, counters, dim, dtype)
    bits = splitmix(start[:, None] + counters)
    # Constant shifts: torch.compile's vectorised shift by a tensor is wrong for negative int64 (seen in torch 2.13).
    values = torch.cat([bits >> shift & 0xFFFF for shift in (0, 16, 32, 48)], dim=1)[:, :dim]
    values = 2 * values - 0xFFFF  # odd, between -65535 and 65535: no row is zero
    squares = values.square().sum(1, keepdim=True)  # exact: below 2^32 d
    rows = values.double() / squares.double().sqrt() if ids.device.type != "mps" else values / squares.float().sqrt()
    return rows.to(dtype)


def _rows_by_blocks(start: Tensor, counters: Tensor, dim: int, dtype: torch.dtype) -> Tensor:
    """The same bits in few passes over memory that is used again; sums of squares below 2^53 are exact in float64."""
    words = len(counters)
    result = torch.empty(len(start), dim, dtype=dtype, device=start.device)
    count = max(1, (_BLOCK if start.is_cpu else 2**22) // words)
    room = min(count, len(start))
    states, shifted = torch.empty(2, room, words, dtype=torch.int64, device=start.device)
    numbers = torch.empty(room, 4, words, dtype=torch.float64, device=start.device)
    counters = counters + signed(GOLDEN_GAMMA)
    for first, out in zip(start.split(count), result.split(count), strict=True):
        z, t, values = states[: len(first)], shifted[: len(first)], numbers[: len(first)]
        torch.add(first[:, None], counters, out=z)
        for places, factor in ((30, _MIX_1), (27, _MIX_2), (31, 1)):
            torch.bitwise_right_shift(z, places, out=t)
            z.bitwise_xor_(t.bitwise_and_((1 << (64 - places)) - 1))
            if factor != 1:
                z.mul_(signed(factor))
        # u - 2^15 for u unsigned is u with its highest bit turned, read as signed; 2 u - 65535 is twice that plus 1.
        halves = z.bitwise_xor_(signed(_SIGN_BITS)).view(torch.int16).view(len(first), words, 4)
        rows = values.copy_(halves.transpose(1, 2)).view(len(first), 4 * words)[:, :dim].mul_(2).add_(1)
        out.copy_(rows.div_(torch.linalg.vecdot(rows, rows).sqrt_()[:, None]))
    return result


def splitmix_key(seed: int, device: torch.device | str | None) -> Tensor:
    """SplitMix64 of the seed: seeds that are neighbours give unrelated frames."""
    if check_int(seed, "seed", minimum=0) >= 1 << 63:
        raise ValueError(f"seed must be an integer in [0, 2**63), got {seed}.")
    return splitmix(torch.full((), int(seed), dtype=torch.int64, device=device))


def splitmix(state: Tensor) -> Tensor:
    """The output function of SplitMix64 on int64 tensors, whose products and sums wrap round modulo 2^64."""
    z = state + signed(GOLDEN_GAMMA)
    z = (z ^ _shift(z, 30)) * signed(_MIX_1)
    z = (z ^ _shift(z, 27)) * signed(_MIX_2)
    return z ^ _shift(z, 31)


def _shift(z: Tensor, places: int) -> Tensor:
    """Logical shift to the right; torch's own keeps the sign."""
    return (z >> places) & ((1 << (64 - places)) - 1)


def signed(value: int) -> int:
    """A 64-bit pattern as the signed integer that torch.int64 holds."""
    return value - (1 << 64) if value >> 63 else value
