"""The function of the source document, in NumPy, with its promise kept for every k <= d + 1."""

from __future__ import annotations

import numpy as np

from equiangular._validate import check_int, check_num_classes
from equiangular.frames.closed_forms import minimal_simplex


def simplex_equiangular_tight_frame(k: int, d: int, *, seed: int | None = None) -> np.ndarray:
    """K unit vectors in d dimensions with M[i] @ M[j] = -1/(k-1) for every i != j, randomly oriented.

    M = sqrt(k/(k-1)) (I - 11^T/k) U^T for d >= k. The centred identity has rank k-1, so its k rows are written in an
    orthonormal basis of k-1 coordinates first, and turned by a Haar-random orthonormal d x (k-1) matrix: right for
    k = d + 1 as well, where the polar factor of a k x d matrix is not.

    Args:
        k: number of vectors, at least 2.
        d: dimension of each vector, at least k-1.
        seed: seed of a local generator; None draws a fresh orientation from the operating system's entropy. NumPy's
            global state is neither read nor changed.

    Returns:
        (k, d) float64 array.

    Raises:
        ValueError: k < 2 or k > d + 1.

    Example:
        >>> k, d = 4, 5
        >>> M = simplex_equiangular_tight_frame(k, d)
        >>> for i in range(k):
        ...     for j in range(k):
        ...         if i == j: assert np.isclose(M[i] @ M[j].T, 1)
        ...         else: assert np.isclose(M[i] @ M[j].T, -1/(k-1))

    Source: Yang et al. 2022 (arXiv 2203.09081), definition 1.
    """
    k, d = check_num_classes(k), check_int(d, "d", minimum=1)
    if k > d + 1:
        raise ValueError(
            f"a simplex equiangular tight frame of k={k} vectors needs d >= k-1 = {k - 1} dimensions, got d={d}. "
            f"equiangular.best_frame({k}, {d}) gives the best-separated vectors there are."
        )
    simplex = minimal_simplex(k).numpy()
    q, r = np.linalg.qr(np.random.default_rng(seed).standard_normal((d, k - 1)))
    return simplex @ (q * np.where(np.diag(r) < 0, -1.0, 1.0)).T
