"""The function of the source document, in NumPy, with its promise kept for every k <= d + 1."""

from __future__ import annotations

import numpy as np

from equiangular._validate import check_int, check_num_classes


def simplex_equiangular_tight_frame(k: int, d: int, *, seed: int | None = None) -> np.ndarray:
    """K unit vectors in d dimensions with M[i] @ M[j] = -1/(k-1) for every i != j, randomly oriented.

    M = sqrt(k/(k-1)) (I - 11^T/k) U^T with U (d, k) orthonormal columns, which needs d >= k. The centred identity has
    rank k-1, so here its k rows are written in k-1 orthonormal coordinates first (the minimal simplex) and those are
    turned by a Haar-random Q (d, n), n = k-1, with orthonormal columns q_j: right for k = d + 1 as well, where the
    polar factor of a k x d matrix is not. With s_j = sqrt((n+1)(n-j) / (n(n-j+1))),

        M[i] = s_i q_i - sum_{j < i} s_j/(n-j) q_j,

    a cumulative sum: no k x k matrix is formed.

    Args:
        k: number of vectors, at least 2.
        d: dimension of each vector, at least k-1.
        seed: seed of a local generator; None draws a fresh orientation from the operating system's entropy. NumPy's
            global state is neither read nor changed.

    Returns:
        (k, d) float64 array.

    Raises:
        ValueError: k < 2, k > d + 1, or a negative seed.

    Example:
        >>> k, d = 4, 5
        >>> M = simplex_equiangular_tight_frame(k, d)
        >>> for i in range(k):
        ...     for j in range(k):
        ...         if i == j:
        ...             assert np.isclose(M[i] @ M[j].T, 1)
        ...         else:
        ...             assert np.isclose(M[i] @ M[j].T, -1 / (k - 1))

    Source: Yang et al. 2022 (arXiv 2203.09081), definition 1.
    """
    k, d = check_num_classes(k), check_int(d, "d", minimum=1)
    if k > d + 1:
        raise ValueError(
            f"a simplex equiangular tight frame of k={k} vectors needs d >= k-1 = {k - 1} dimensions, got d={d}. "
            f"equiangular.spread_frame({k}, {d}) gives the best-separated vectors there are."
        )
    if seed is not None:
        seed = check_int(seed, "seed", minimum=0, hint="None draws a fresh orientation.")
    n = k - 1
    q, r = np.linalg.qr(np.random.default_rng(seed).standard_normal((d, n)))
    directions = (q * np.where(np.diag(r) < 0, -1.0, 1.0)).T
    left = np.arange(n, 0, -1)
    s = np.sqrt((n + 1) * left / (n * (left + 1)))
    m = np.zeros((k, d))
    m[:n] = s[:, None] * directions
    m[1:] -= np.cumsum((s / left)[:, None] * directions, axis=0)
    return m
