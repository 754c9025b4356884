"""Arithmetic in GF(2^m) by tables of powers, logarithms and traces."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from equiangular._validate import check_int


@lru_cache(maxsize=16)
def field_tables(m: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Powers, logarithms and absolute traces in GF(2^m), elements written as the integers 0 ... 2^m - 1.

    The field is GF(2)[x] / p(x) with the smallest primitive polynomial p of degree m, found by trial.

    Args:
        m: 1 <= m <= 16.

    Returns:
        ``exp`` (2 (2^m - 1),): powers of the generator x, twice over, so that exp[log a + log b] = a b;
        ``log`` (2^m,): log[0] is 0 and means nothing;
        ``trace`` (2^m,): Tr(a) = a + a^2 + a^4 + ... + a^(2^(m-1)), 0 or 1. All int64.

    Raises:
        ValueError: m outside the range.

    Example:
        >>> exp, log, trace = field_tables(3)  # x^3 = x + 1
        >>> int(exp[log[5] + log[6]]), trace.tolist()
        (3, [0, 1, 0, 1, 0, 1, 0, 1])
    """
    if check_int(m, "m", minimum=1) > 16:
        raise ValueError(f"m must be at most 16 (65,536 dimensions), got {m}.")
    order = (1 << m) - 1
    powers = next(p for p in (_powers(m, (1 << m) | low) for low in range(1, 1 << m, 2)) if len(p) == order)
    exp = np.array(powers * 2, dtype=np.int64)
    log = np.zeros(order + 1, dtype=np.int64)
    log[powers] = np.arange(order)
    trace, conjugate = np.zeros(order + 1, dtype=np.int64), np.arange(order + 1)
    for _ in range(m):
        trace ^= conjugate
        conjugate[1:] = exp[2 * log[conjugate[1:]] % order]
    for table in (exp, log, trace):
        table.setflags(write=False)
    return exp, log, trace


def _powers(m: int, polynomial: int) -> list[int]:
    """1, x, x^2, ... modulo the polynomial, until 1 comes again; at most 2^m - 1 of them."""
    powers, element = [1], 1
    for _ in range((1 << m) - 2):
        element <<= 1
        if element >> m:
            element ^= polynomial
        if element <= 1:
            break
        powers.append(element)
    return powers
