"""How well any K unit vectors in d dimensions can be separated: lower bounds on coherence and largest cosine."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

from equiangular._validate import check_int, check_num_classes


def welch_bound(num_classes: int, dim: int) -> float:
    """Lower bound, in [0, 1], on the coherence max_{i != j} |<w_i, w_j>|: sqrt((K-d) / (d(K-1))) for K > d, else 0.

    Attained exactly by equiangular tight frames of *lines*. Signs do not matter to it, so for class vectors
    :func:`rankin_bound` is the bound that counts.

    Args:
        num_classes, dim: K >= 2 and d >= 1.

    Raises:
        ValueError: K < 2 or d < 1.

    Example:
        >>> round(welch_bound(6, 3), 6)  # the six diagonals of the icosahedron attain it
        0.447214

    Source: Welch 1974, IEEE Trans. Inf. Theory 20(3).
    """
    k, d = check_num_classes(num_classes), check_int(dim, "dim", minimum=1)
    return math.sqrt((k - d) / (d * (k - 1))) if k > d else 0.0


def rankin_bound(num_classes: int, dim: int) -> float:
    """Lower bound on the largest cosine max_{i != j} <w_i, w_j>, in [-1, 0]: -1/(K-1) for K <= d+1, else 0.

    The first is attained by the simplex ETF, the second, for K <= 2d, by K vectors of an orthoplex (+- an orthonormal
    basis). For K > 2d the largest cosine is above 0, and the Levenshtein bound says more. Arguments and errors are
    those of :func:`welch_bound`.

    Example:
        >>> rankin_bound(5, 4), rankin_bound(8, 4)
        (-0.25, 0.0)

    Source: Rankin 1955, Proc. Glasgow Math. Assoc. 2.
    """
    k, d = check_num_classes(num_classes), check_int(dim, "dim", minimum=1)
    return -1 / (k - 1) if k <= d + 1 else 0.0


def levenshtein_bound(num_classes: int, dim: int) -> float:
    """No K unit vectors in d dimensions have a largest pairwise cosine below this number.

    A code with largest cosine s has at most L_m(d, s) vectors, where for t_{k-1}^{1,1} <= s <= t_k^{1,0}

        L_{2k-1}(d, s) = C(k+d-3, k-1) [(2k+d-3)/(d-1) - (P_{k-1}(s) - P_k(s)) / ((1-s) P_k(s))]

    and for t_k^{1,0} <= s <= t_k^{1,1}

        L_{2k}(d, s) = C(k+d-2, k) [(2k+d-1)/(d-1) - (1+s)(P_k(s) - P_{k+1}(s)) / ((1-s)(P_k(s) + P_{k+1}(s)))],

    with P_k the Gegenbauer polynomials of dimension d, P_k(1) = 1, and t_k^{a,b} the largest zero of the Jacobi
    polynomial with parameters a + (d-3)/2, b + (d-3)/2. The function grows with s, so K = L(d, s) is solved by
    bisection in the interval that holds K; at the ends of the intervals L takes the values
    D(d, 2k) = C(d+k-1, d-1) + C(d+k-2, d-1) and D(d, 2k+1) = 2 C(d+k-1, d-1).

    The first pieces are familiar: K <= d+1 gives the simplex, -1/(K-1); K = 2d gives 0, the orthoplex. It is attained
    by every sharp configuration (icosahedron, E8 roots, Leech lattice ...), and in general by nothing. Between d+1
    and 2d the exact answer is 0 (Rankin 1955), above this bound. Arguments and errors are those of :func:`welch_bound`;
    the result lies in [-1, 1].

    Example:
        >>> round(levenshtein_bound(12, 3), 6), round(levenshtein_bound(240, 8), 6)  # icosahedron, E8 roots
        (0.447214, 0.5)

    Source: Levenshtein, "Universal bounds for codes and designs", Handbook of Coding Theory, 1998, section 5; Delsarte,
    Goethals, Seidel, "Spherical codes and designs", Geometriae Dedicata 6, 1977.
    """
    k_classes = check_num_classes(num_classes)
    d = check_int(dim, "dim", minimum=1, hint="A class vector needs at least one coordinate.")
    if d == 1:
        return -1.0 if k_classes == 2 else 1.0
    if d == 2:
        return math.cos(2 * math.pi / k_classes)  # attained by the regular polygon
    k = next(k for k in itertools.count(1) if k_classes <= 2 * math.comb(d + k - 1, d - 1))
    odd = k_classes <= math.comb(d + k - 1, d - 1) + math.comb(d + k - 2, d - 1)
    between = _largest_jacobi_zero(k, (d - 1) / 2, (d - 3) / 2)
    if not odd:
        high = _largest_jacobi_zero(k, (d - 1) / 2, (d - 1) / 2)
        return _bisect(lambda s: _even(d, k, s) >= k_classes, between, high)
    low = -1.0 if k == 1 else _largest_jacobi_zero(k - 1, (d - 1) / 2, (d - 1) / 2)
    return _bisect(lambda s: _odd(d, k, s) >= k_classes, low, between)


def _odd(d: int, k: int, s: float) -> float:
    """L_{2k-1}(d, s) for d >= 3."""
    before, at, _ = _gegenbauer(d, k, s)
    return math.comb(k + d - 3, k - 1) * ((2 * k + d - 3) / (d - 1) - (before - at) / ((1 - s) * at))


def _even(d: int, k: int, s: float) -> float:
    """L_{2k}(d, s) for d >= 3."""
    _, at, after = _gegenbauer(d, k, s)
    ratio = (1 + s) * (at - after) / ((1 - s) * (at + after))
    return math.comb(k + d - 2, k) * ((2 * k + d - 1) / (d - 1) - ratio)


def _gegenbauer(d: int, k: int, s: float) -> tuple[float, float, float]:
    """P_{k-1}(s), P_k(s), P_{k+1}(s): (i+d-2) P_{i+1} = (2i+d-2) s P_i - i P_{i-1}, P_0 = 1, P_1 = s, d >= 3."""
    before, at = 1.0, s
    for i in range(1, k):
        before, at = at, ((2 * i + d - 2) * s * at - i * before) / (i + d - 2)
    return before, at, ((2 * k + d - 2) * s * at - k * before) / (k + d - 2)


def _largest_jacobi_zero(k: int, a: float, b: float) -> float:
    """Largest zero of the Jacobi polynomial P_k^(a,b), a >= b > -1, by bisection on Sturm's count of zeros above t.

    The monic polynomials obey p_{i+1} = (t - alpha_i) p_i - beta_i p_{i-1} with beta_i > 0, so the number of sign
    changes along p_0(t) ... p_k(t) is the number of zeros above t; the ratios p_{i+1}/p_i are all positive exactly
    when there is none.
    """
    alpha, beta = [(b - a) / (a + b + 2)], [0.0]
    for i in range(1, k):
        c = 2 * i + a + b
        alpha.append((b * b - a * a) / (c * (c + 2)))
        top = 4 * (1 + a) * (1 + b) if i == 1 else 4 * i * (i + a) * (i + b) * (i + a + b)
        bottom = (2 + a + b) ** 2 * (3 + a + b) if i == 1 else c * c * (c + 1) * (c - 1)
        beta.append(top / bottom)

    def none_above(t: float) -> bool:
        ratio = math.inf
        for centre, weight in zip(alpha, beta, strict=True):
            ratio = t - centre - weight / ratio
            if ratio <= 0:
                return False
        return True

    return _bisect(none_above, -1.0, 1.0)


def _bisect(reached: Callable[[float], bool], low: float, high: float) -> float:
    """The number in [low, high] from which on ``reached`` is true, from below."""
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (low, middle) if reached(middle) else (middle, high)
    return low
