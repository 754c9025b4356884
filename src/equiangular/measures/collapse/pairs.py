"""Squared distances of pairs: by one matrix product where that is accurate, by differences where points are close."""

from __future__ import annotations

import torch
from torch import Tensor

# Below this share of the squared norms the matrix product has lost too many digits.
_CLOSE = 1e-4
_CHUNK_ENTRIES = 2**22


def squared_distances(rows: Tensor, points: Tensor) -> Tensor:
    """||a - b||^2 for every a in rows and b in points.

    ||a||^2 + ||b||^2 - 2 a.b is fast and, where it is not small, right to a relative error of about 1e4 eps; small ones
    are computed again from a - b. Centre the points first.

    Args:
        rows: (R, d).
        points: (P, d).

    Returns:
        (R, P).

    Example:
        >>> squared_distances(torch.tensor([[0.0, 0.0]]), torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
        tensor([[25.,  0.]])
    """
    scale = rows.square().sum(1)[:, None] + points.square().sum(1)
    squares = torch.addmm(scale, rows, points.T, alpha=-2)
    i, j = (squares <= _CLOSE * scale).nonzero(as_tuple=True)
    step = max(1, _CHUNK_ENTRIES // max(1, rows.shape[1]))
    for first, second in zip(i.split(step), j.split(step), strict=True):
        squares[first, second] = (rows[first] - points[second]).square().sum(1)
    return squares
