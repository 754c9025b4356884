"""How well any K unit vectors in d dimensions can be separated: lower bounds on coherence and largest cosine."""

from __future__ import annotations

import math

from equiangular._validate import check_int, check_num_classes


def welch_bound(num_classes: int, dim: int) -> float:
    """Lower bound on the coherence max_{i != j} |<w_i, w_j>|: sqrt((K-d) / (d(K-1))) for K > d, else 0.

    Attained exactly by equiangular tight frames of *lines*. Signs do not matter to it, so for class vectors
    :func:`rankin_bound` is the bound that counts.

    Args:
        num_classes: K >= 2.
        dim: d >= 1.

    Returns:
        The bound, in [0, 1].

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
    """Lower bound on the largest cosine max_{i != j} <w_i, w_j>: -1/(K-1) for K <= d+1, else 0.

    The first is attained by the simplex ETF, the second, for K <= 2d, by K vectors of an orthoplex (+- an orthonormal
    basis). For K > 2d the largest cosine is above 0, and the Levenshtein bound says more.

    Args:
        num_classes: K >= 2.
        dim: d >= 1.

    Returns:
        The bound, in [-1, 0].

    Raises:
        ValueError: K < 2 or d < 1.

    Example:
        >>> rankin_bound(5, 4), rankin_bound(8, 4)
        (-0.25, 0.0)

    Source: Rankin 1955, Proc. Glasgow Math. Assoc. 2.
    """
    k, d = check_num_classes(num_classes), check_int(dim, "dim", minimum=1)
    return -1 / (k - 1) if k <= d + 1 else 0.0
