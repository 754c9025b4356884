"""Codes from quadratic forms over GF(2): up to 2 d^3 vectors with entries +-1/sqrt(d) and a proved largest cosine.

For K far above 2d an optimiser gets nowhere in reasonable time, and random vectors are poor (largest cosine about
sqrt(4 ln(K) / d)). In d = 2^m dimensions, the signs (-1)^Q(x) of quadratic forms Q on GF(2)^m do better at no cost:
two forms whose difference has a radical of dimension r give vectors with cosine 0 or +-2^(r/2)/sqrt(d).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from equiangular._validate import check_int, values_are_readable


@lru_cache(maxsize=16)
def field_tables(m: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Powers, logarithms and absolute traces in GF(2^m), elements written as the integers 0 ... 2^m - 1, for m <= 16.

    The field is GF(2)[x] / p(x) with the smallest primitive polynomial p of degree m, found by trial.

    Returns:
        ``exp`` (2 (2^m - 1),): powers of the generator x, twice over, so that exp[log a + log b] = a b;
        ``log`` (2^m,): log[0] is 0 and means nothing;
        ``trace`` (2^m,): Tr(a) = a + a^2 + a^4 + ... + a^(2^(m-1)), 0 or 1. All int64.

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


@dataclass(frozen=True)
class QuadraticCode:
    """A code of ``size`` vectors in d = 2^m dimensions with largest cosine at most ``max_cosine`` (proved).

    Attributes:
        exponent: m.
        family: ``"kerdock"``, ``"bch2"`` (Gold, for odd m) or ``"bch3"``.
        size: number of vectors.
        max_cosine: bound on the largest cosine, 2^(r/2)/sqrt(d); attained once K > 2d.
    """

    exponent: int
    family: str
    size: int
    max_cosine: float

    @property
    def dim(self) -> int:
        """d = 2^m."""
        return 1 << self.exponent


def quadratic_code(num_classes: int, dim: int) -> QuadraticCode | None:
    """The quadratic code with the smallest largest cosine, below 1, for K vectors in at most d dimensions, or None.

    With m = floor(log2 d) and d' = 2^m (further coordinates are zero):

    - Kerdock sets, m even: d' (d' + 2) vectors, d'/2 + 1 mutually unbiased bases and their negatives, cosine
      1/sqrt(d') (Kerdock 1972, in the form of Kantor 1983). Optimal at full size for d' = 16, 64, 256, 1024 (Cohn,
      de Laat, Leijenhorst 2024).
    - Q(x) = Tr(c x + a x^3): 2 d' (d' + 1) vectors, cosine sqrt(2/d') for odd m (Gold 1968), 2/sqrt(d') for even m.
    - Q(x) = Tr(c x + a x^3 + b x^5): 2 d' (d'^2 + 1) vectors, cosine sqrt(8/d') for odd m, 4/sqrt(d') for even m:
      the radical of a form of this kind is the kernel of a linearised polynomial of degree 16, and its dimension has
      the parity of m.

    Each size counts the 2 d' vectors +-e_i, which have cosine +-1/sqrt(d') with all the others.

    Raises:
        ValueError: K < 2 or d < 1.

    Example:
        >>> quadratic_code(10_000, 512)
        QuadraticCode(exponent=9, family='bch2', size=525312, max_cosine=0.0625)
    """
    k = check_int(num_classes, "num_classes", minimum=2)
    m = math.frexp(check_int(dim, "dim", minimum=1))[1] - 1  # floor(log2); `bit_length` breaks a graph of PyTorch 2.4
    d = 1 << m
    odd = m % 2
    choices = [
        QuadraticCode(m, "bch2", 2 * d * (d + 1), math.sqrt(2 / d) if odd else 2 / math.sqrt(d)),
        QuadraticCode(m, "bch3", 2 * d * (d * d + 1), math.sqrt(8 / d) if odd else 4 / math.sqrt(d)),
    ]
    if not odd:
        choices.insert(0, QuadraticCode(m, "kerdock", d * (d + 2), 1 / math.sqrt(d)))
    fitting = [c for c in choices if m >= 3 and k <= c.size and c.max_cosine < 1]
    return fitting[0] if fitting else None


def quadratic_code_rows(
    code: QuadraticCode, class_ids: Tensor, dim: int | None = None, *, dtype: torch.dtype | None = None
) -> Tensor:
    """Unit rows (B, d) of a quadratic code by number, each in O(d) time from the number alone.

    Rows 2i and 2i+1 are opposite; the last 2 d' rows are +-e_i.

    Args:
        code: from :func:`quadratic_code`.
        class_ids: (B,) integers in [0, code.size), on the device that the rows shall be on.
        dim: d >= code.dim, the width of the rows, zero beyond ``code.dim``; ``code.dim`` if None.
        dtype: dtype of the result, torch's default if None.

    Raises:
        ValueError: a class id outside the code (looked at on the CPU only), or too small a width.

    Example:
        >>> code = quadratic_code(80, 8)
        >>> rows = quadratic_code_rows(code, torch.arange(80), dtype=torch.float64)
        >>> round(float((rows @ rows.T).fill_diagonal_(-1).max()), 6), code.max_cosine
        (0.5, 0.5)
    """
    d = code.dim
    width = d if dim is None else check_int(dim, "dim", minimum=d, hint="Narrower rows would lose the code's bound.")
    ids = class_ids.reshape(-1).long()
    if ids.numel() and values_are_readable(ids) and not 0 <= int(ids.min()) <= int(ids.max()) < code.size:
        raise ValueError(
            f"class_ids must lie in [0, {code.size - 1}], got values from {int(ids.min())} to {int(ids.max())}. "
            "Ask quadratic_code for a code that holds all the classes."
        )
    dtype = dtype or torch.get_default_dtype()
    parity = _kerdock(code.exponent, ids) if code.family == "kerdock" else _bch(code.exponent, ids)
    rows = (1 - 2 * parity).to(dtype) / math.sqrt(d)
    first_axis = code.size - 2 * d
    axis = (torch.arange(d, device=ids.device) == (ids - first_axis)[:, None] >> 1).to(dtype)
    rows = torch.where((ids >= first_axis)[:, None], axis, rows) * (1 - 2 * (ids & 1)).to(dtype)[:, None]
    return torch.nn.functional.pad(rows, (0, width - d))


def _bch(m: int, ids: Tensor) -> Tensor:
    """Tr(c x + a x^3 + b x^5) for all x in GF(2^m), with c, a, b the digits of ids >> 1 in base 2^m; (B, 2^m)."""
    exp, log, trace = _tables(m, ids.device)
    q = 1 << m
    parity = torch.zeros(ids.numel(), q, dtype=torch.int64, device=ids.device)
    for place, power in enumerate((1, 3, 5)):
        factor = (ids >> (1 + place * m)) & (q - 1)
        index = (log[factor][:, None] + log[1:] * power) % (q - 1)
        parity[:, 1:] ^= torch.where(factor[:, None] == 0, 0, trace[exp[index]])
    return parity


def _kerdock(m: int, ids: Tensor) -> Tensor:
    """Q_a(x, s) + Tr(c x) + t s for all (x, s) in GF(2^n) x GF(2), n = m - 1 odd; (B, 2^m), first all s = 0.

    Q_a(x, s) = sum_{i=1}^{(n-1)/2} Tr((a x)^(2^i + 1)) + s Tr(a x). Its polarisation is Tr(a^2 x y) + Tr(a x) Tr(a y)
    + s Tr(a y) + s' Tr(a x); the difference of two of them is non-singular (Kantor 1983).
    """
    n = m - 1
    exp, log, trace = _tables(n, ids.device)
    q = 1 << n
    flip, c, a = (ids >> 1) & 1, (ids >> 2) & (q - 1), (ids >> (2 + n)) & (q - 1)

    def times(factor: Tensor) -> Tensor:
        """log(factor x) for x != 0; (B, 2^n - 1)."""
        product: Tensor = (log[factor][:, None] + log[1:][None]) % (q - 1)
        return product

    ax, nonzero = times(a), (a != 0)[:, None]
    half = torch.where((c != 0)[:, None], trace[exp[times(c)]], 0)
    for i in range(1, (n - 1) // 2 + 1):
        half = half ^ torch.where(nonzero, trace[exp[ax * ((1 << i) + 1) % (q - 1)]], 0)
    linear = torch.where(nonzero, trace[exp[ax]], 0)
    zero = torch.zeros_like(flip)[:, None]
    first, second = torch.cat([zero, half], 1), torch.cat([zero, half ^ linear], 1)
    return torch.cat([first, second ^ flip[:, None]], 1)


_TABLES: dict[tuple[int, str], Tensor] = {}


def _tables(m: int, device: torch.device) -> Tensor:
    """Powers, logarithms and traces of GF(2^m), (3, 2^m) int64; kept for each device."""
    if (m, str(device)) not in _TABLES:
        exp, log, trace = field_tables(m)
        _TABLES[m, str(device)] = torch.tensor(np.stack([exp[: 1 << m], log, trace]), device=device)
    return _TABLES[m, str(device)]


# What torch.compiler.assume_constant_result does, without importing the compiler, which takes a second: the tables are
# made once and taken as they are, also while rows are being compiled.
_tables._dynamo_marked_constant = True  # type: ignore[attr-defined]  # a mark that the compiler looks for
