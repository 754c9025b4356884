"""The simplex ETF: K unit vectors with all pairwise inner products -1/(K-1), in any d >= K-1 dimensions."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from equiangular._random import make_generator
from equiangular._validate import Device, Dtype, check_choice, check_int, check_num_classes
from equiangular.frames.closed_forms import (
    canonical_rows,
    centred_groups,
    minimal_rows,
    signed_dct_simplex,
    turned_simplex,
)
from equiangular.frames.nonnegative import dealt_coordinates
from equiangular.frames.orthogonal import haar_orthonormal

Basis = Literal["haar", "minimal", "canonical", "grouped", "dct"]
BASES: tuple[Basis, ...] = get_args(Basis)
_NEEDS_K = ("canonical", "grouped")


def simplex_etf(
    num_classes: int,
    dim: int | None = None,
    *,
    basis: Basis = "haar",
    seed: int = 0,
    device: Device = None,
    dtype: Dtype = None,
) -> Tensor:
    """A simplex equiangular tight frame: K unit vectors at the widest equal angles K directions can have.

    <m_i, m_j> = 1 if i = j else -1 / (K - 1), and sum_i m_i = 0.

    It exists exactly for d >= K-1, d = K-1 included. The matrix is built in float64 on the CPU and cast last, so the
    same seed gives the same numbers on every device and process (to some 1e-15 where LAPACK rounds differently, by
    thread count or processor); global generators are not touched.

    Args:
        num_classes: K >= 2.
        dim: d >= K-1; by default K-1, or K for the canonical and the grouped basis.
        basis: the orientation.
            ``"haar"``: the minimal simplex times a Haar-random orthonormal d x (K-1) matrix; every orientation is
            equally likely. O(d K^2), the price of one QR factorisation.
            ``"minimal"``: a closed form in K-1 dimensions, zeros after it.
            ``"canonical"``: sqrt(K/(K-1)) (I - 11^T/K), zeros after it; needs d >= K. See
            :func:`equiangular.frames.simplex_logits` for logits without the matrix.
            ``"grouped"``: the canonical one on the groups of :func:`equiangular.frames.nonnegative_orthogonal_frame`:
            the coordinates are dealt out, floor or ceil(d/K) to a class, and a class's logit is the scaled sum of its
            own less the mean over the classes. Softmax does not see that mean, so that features after a ReLU can meet
            every class. Needs d >= K.
            ``"dct"``: columns of a cosine transform with random signs: O(K d), no factorisation, random but not Haar.
        seed: seed of the orientation, for ``"haar"``, ``"grouped"`` and ``"dct"``.
        device: device of the result, by default torch's default device.
        dtype: floating-point dtype of the result, by default torch's default dtype. Half precision comes from casting.

    Returns:
        (K, d) tensor, one class vector a row. Largest error of the Gram matrix: <= 1e-12 in float64, <= 1e-6 in
        float32, up to K = 4000.

    Raises:
        ValueError: K < 2, d < K-1 (the message names what exists there), an unknown basis or a non-floating dtype.

    Example:
        >>> frame = simplex_etf(4, 3, dtype=torch.float64)
        >>> (frame @ frame.T).round(decimals=4)
        tensor([[ 1.0000, -0.3333, -0.3333, -0.3333],
                [-0.3333,  1.0000, -0.3333, -0.3333],
                [-0.3333, -0.3333,  1.0000, -0.3333],
                [-0.3333, -0.3333, -0.3333,  1.0000]], dtype=torch.float64)

    Source: Yang et al. 2022 (arXiv 2203.09081), definition 1, whose construction needs d >= K; Papyan et al. 2020.
    """
    k, d = check_simplex_size(num_classes, dim, basis)
    make_generator(seed)  # checks the seed, whatever the basis
    dtype = torch.get_default_dtype() if dtype is None else dtype
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise ValueError(f"dtype must be a floating-point dtype such as torch.float32, got {dtype!r}.")
    place = torch.empty(0).device if device is None else device  # inside "with torch.device(...)" too, whatever PyTorch
    if basis == "canonical":
        frame = canonical_rows(k, d, dtype)
    elif basis == "minimal":
        frame = minimal_rows(k, d, dtype)
    elif basis == "dct":
        frame = signed_dct_simplex(k, d, seed=seed, dtype=dtype)
    elif basis == "haar":
        frame = turned_simplex(k, d, haar_orthonormal(d, k - 1, seed=seed).T.split(16), dtype)
    else:
        frame = centred_groups(*dealt_coordinates(k, d, seed=seed), k, dtype)
    return frame.to(device=place, dtype=dtype)


def check_simplex_size(num_classes: int, dim: int | None, basis: Basis) -> tuple[int, int]:
    """K and d of a simplex ETF in a basis, if there is one of that size."""
    k = check_num_classes(num_classes)
    check_choice(basis, BASES, "basis")
    smallest = k if basis in _NEEDS_K else k - 1
    d = smallest if dim is None else check_int(dim, "dim", minimum=1)
    if d < k - 1:
        raise ValueError(
            f"a simplex ETF of K={k} classes needs d >= K-1 = {k - 1} dimensions, got d={d}. "
            f"spread_frame({k}, {d}) and spherical_code({k}, {d}) give the best-separated vectors there are; "
            f'or let a head learn a map to {k - 1} dimensions: ETFHead({d}, {k}, projection="linear").'
        )
    if d < smallest:
        raise ValueError(
            f'the {basis} basis of K={k} classes needs d >= K = {k}, got d={d}. Use basis="minimal", "haar" or "dct".'
        )
    return k, d


def simplex_equiangular_tight_frame(k: int, d: int, *, seed: int | None = None) -> np.ndarray:
    """Unit vectors M (k, d) float64 with M[i] @ M[j] = -1/(k-1) for every i != j, randomly oriented.

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
    directions = torch.from_numpy((q * np.where(np.diag(r) < 0, -1.0, 1.0)).T)
    return turned_simplex(k, d, directions.split(16), torch.float64).numpy()
