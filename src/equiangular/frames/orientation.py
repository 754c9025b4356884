"""The orientation of a frame that lies nearest to given vectors: orthogonal Procrustes for any frame."""

from __future__ import annotations

import torch
from torch import Tensor

from equiangular._validate import check_features


def nearest_orientation(frame: Tensor, vectors: Tensor, seen: Tensor | None = None) -> Tensor:
    """Turn a frame, and put it into the vectors' space, so that its rows come as close as they can to the vectors.

    With F (K, r), A (K, d), r <= d, and U (d, r) with orthonormal columns, F U^T where

        argmin_U sum_{k seen} || a_k - U f_k ||^2 = P Q^T  where  A_seen^T F_seen = P diag(sigma) Q^T  (thin SVD).

    All inner products of the rows stay: only the frame as a whole turns. For a simplex with every class seen it is
    :func:`equiangular.frames.nearest_simplex_etf`.

    Args:
        frame: F (K, r) floating point. Only its inner products matter: r may exceed d if its rank does not.
        vectors: A (K, d) floating point, such as class means; a row of any norm, longer ones weigh more.
        seen: (K,) bool, rows that count; the others follow the frame. All by default.

    Returns:
        (K, d) in the dtype and on the device of ``vectors``; computed in float64.

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
