"""The simplex ETF, or the orientation of any frame, nearest to given vectors: Procrustes in closed form."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from equiangular._validate import check_features, check_num_classes
from equiangular.frames.checks import frame_tensor, unit_rows
from equiangular.frames.closed_forms import minimal_simplex


def nearest_simplex_etf(vectors: Tensor | np.ndarray) -> Tensor:
    """The simplex ETF (K, d) closest to given vectors: an orthogonal Procrustes problem with a closed form.

    With S (K, K-1) the minimal simplex, every ETF in d dimensions is S U^T, U (d, K-1) with orthonormal columns, and

        argmin_U || A - S U^T ||_F = P Q^T  where  A^T S = P diag(sigma) Q^T  (thin SVD).

    Neither a common offset of the rows matters (the columns of S sum to zero) nor a common positive factor.

    Args:
        vectors: A (K, d) floating-point tensor or array, d >= K-1, such as class means; row k is class k. Rows may
            have any norm: longer ones weigh more. Where A is rank deficient the minimiser is not unique; one of them
            is returned, in the dtype and on the device of ``vectors``; computed in float64.

    Raises:
        ValueError: d < K-1, K < 2, NaN, or a wrong shape or dtype.

    Example:
        >>> from equiangular import simplex_etf
        >>> frame = simplex_etf(5, 8, seed=3, dtype=torch.float64)
        >>> torch.allclose(nearest_simplex_etf(2 * frame + 1), frame)
        True

    Source: Schoenemann 1966 (Procrustes); Markou et al., "Guiding Neural Collapse", NeurIPS 2024, section 3.
    """
    vectors = check_features(frame_tensor(vectors, "vectors"), name="vectors")
    k, d = check_num_classes(vectors.shape[0]), vectors.shape[1]
    if d < k - 1:
        raise ValueError(f"{k} vectors in d={d} dimensions have no simplex ETF near them: it needs d >= {k - 1}.")
    return nearest_orientation(minimal_simplex(k), vectors)


def etf_distance(vectors: Tensor | np.ndarray) -> Tensor:
    """How far directions are from a simplex ETF, 0-dim float64: 0 for an ETF, whatever its orientation and scale.

    Each row is divided by its norm, and

        distance = min_U || A - S U^T ||_F / sqrt(K) = sqrt(2 - 2 ||A^T S||_* / K),

    with ||.||_* the sum of singular values. It is the root mean squared distance of a unit row to its vertex, between
    0 and sqrt(2). Computed from the difference itself, not from 2 - 2 ||.||_*/K, which would lose half of the digits.
    Arguments are those of :func:`nearest_simplex_etf`; centre class means first if that is what you mean.

    Raises:
        ValueError: a zero row, and as :func:`nearest_simplex_etf`.

    Example:
        >>> from equiangular import simplex_etf
        >>> bool(etf_distance(simplex_etf(10, 16, dtype=torch.float64)) < 1e-12)
        True
        >>> round(float(etf_distance(torch.eye(3))), 3)  # an orthonormal basis is no ETF
        0.606

    Source: the closed form of :func:`nearest_simplex_etf`, whose minimum it is.
    """
    unit, _ = unit_rows(vectors, "vectors")
    distance: Tensor = torch.linalg.vector_norm(unit - nearest_simplex_etf(unit)) / len(unit) ** 0.5
    return distance


def nearest_orientation(frame: Tensor, vectors: Tensor, seen: Tensor | None = None) -> Tensor:
    """Turn a frame, and put it into the vectors' space, so that its rows come as close as they can to the vectors.

    With F (K, r), A (K, d), r <= d, and U (d, r) with orthonormal columns, F U^T where

        argmin_U sum_{k seen} || a_k - U f_k ||^2 = P Q^T  where  A_seen^T F_seen = P diag(sigma) Q^T  (thin SVD).

    All inner products of the rows stay: only the frame as a whole turns. For a simplex with every class seen it is
    :func:`equiangular.frames.nearest_simplex_etf`.

    Args:
        frame: F (K, r) floating point. Only its inner products matter: r may exceed d if its rank does not.
        vectors: A (K, d) floating point, such as class means; a row of any norm, longer ones weigh more. The result has
            their shape, dtype and device; computed in float64.
        seen: (K,) bool, rows that count; the others follow the frame. All by default.

    Raises:
        ValueError: a frame that does not fit into d dimensions, numbers of rows that differ, NaN, a wrong dtype.

    Example:
        >>> corner = torch.eye(2)
        >>> nearest_orientation(corner, torch.tensor([[0.0, 3.0], [-1.0, 0.0]]))
        tensor([[ 0.,  1.],
                [-1.,  0.]])

    Source: Schoenemann, A generalized solution of the orthogonal Procrustes problem, Psychometrika 31, 1966.
    """
    check_features(frame, name="frame")
    check_features(vectors, name="vectors")
    k, d = vectors.shape
    if frame.shape[0] != k or (seen is not None and tuple(seen.shape) != (k,)):
        shape = "" if seen is None else f" and seen of shape {tuple(seen.shape)}"
        raise ValueError(f"frame has {frame.shape[0]} rows for {k} vectors{shape}; they must agree.")
    rows, target = frame.detach().double().to(vectors.device), vectors.detach().double()
    if rows.shape[1] > min(k, d):
        rows = _coordinates(rows)
    if rows.shape[1] > d:
        raise ValueError(f"a frame of rank {rows.shape[1]} does not fit into d={d} dimensions.")
    if seen is not None:
        target = torch.where(seen.to(target.device)[:, None], target, 0.0)
    left, _, right = torch.linalg.svd(target.T @ rows, full_matrices=False)
    turned: Tensor = rows @ (left @ right).T
    return turned.to(vectors.dtype)


def _coordinates(frame: Tensor) -> Tensor:
    """The rows in an orthonormal basis of their span: (K, rank), the same inner products."""
    left, values, _ = torch.linalg.svd(frame, full_matrices=False)
    rank = int((values > values[0] * max(frame.shape) * torch.finfo(values.dtype).eps).sum())
    coordinates: Tensor = left[:, :rank] * values[:rank]
    return coordinates
