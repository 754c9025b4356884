"""Rows of a Gram matrix, some at a time: K = 100,000 never needs a K x K matrix."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

# Entries of one tile: 32 MiB in float64.
TILE_ENTRIES = 2**22


def gram_tiles(vectors: Tensor, *, entries: int = TILE_ENTRIES) -> Iterator[tuple[int, int, Tensor]]:
    """Tiles of ``vectors @ vectors.T``.

    Args:
        vectors: (K, d).
        entries: entries of a tile at most; at least one row is given.

    Yields:
        (start, stop, tile), tile (stop - start, K) holding the rows from start to stop of the Gram matrix.

    Example:
        >>> import torch
        >>> [(a, b, tuple(t.shape)) for a, b, t in gram_tiles(torch.eye(3), entries=6)]
        [(0, 2, (2, 3)), (2, 3, (1, 3))]
    """
    count = vectors.shape[0]
    step = max(1, entries // max(1, count))
    for start in range(0, count, step):
        stop = min(start + step, count)
        yield start, stop, vectors[start:stop] @ vectors.T
