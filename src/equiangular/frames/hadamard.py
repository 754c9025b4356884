"""Rows of a Hadamard matrix as class vectors: entries of one size, nothing to store."""

from __future__ import annotations

import torch
from torch import Tensor

from equiangular._random import make_generator
from equiangular._validate import check_int, check_num_classes


def hadamard_frame(
    num_classes: int,
    dim: int,
    *,
    seed: int = 0,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """K rows of Sylvester's matrix H[i, j] = (-1)^popcount(i & j), cut to d columns and scaled to unit norm.

    - K <= d' = 2^floor(log2 d): rows of the d' x d' matrix, exactly orthogonal; the d - d' coordinates beyond are 0.
    - Otherwise: d columns of the n x n matrix, n = 2^ceil(log2 max(K, d)), drawn at random. Columns in a row would be
      much worse: the first 513 columns leave rows 0 and 512 with cosine .996, and the first 512 leave them equal.
      Random columns leave cosines of about +-sqrt((n - d) / (n d)), the largest some five times that: for K > d
      :func:`equiangular.frames.spread_frame` is the better frame.

    Args:
        num_classes: K >= 2.
        dim: d >= 1.
        seed: seed of the choice of columns; unused where the rows are exactly orthogonal.
        device: device of the result.
        dtype: dtype of the result, torch's default if None.

    Returns:
        (K, d) with unit rows and entries 0 or of one absolute value.

    Raises:
        ValueError: an impossible size, or so many classes that two rows agree on the drawn columns.

    Example:
        >>> hadamard_frame(4, 4) * 2
        tensor([[ 1.,  1.,  1.,  1.],
                [ 1., -1.,  1., -1.],
                [ 1.,  1., -1., -1.],
                [ 1., -1., -1.,  1.]])

    Source:
        Hoffer, Hubara, Soudry, "Fix your classifier: the marginal value of training the last weight layer", ICLR
        2018, section 4 (rows of a Hadamard matrix, cut).
    """
    k = check_num_classes(num_classes)
    d = check_int(dim, "dim", minimum=1, hint="A class vector needs at least one coordinate.")
    width = 1 << (d.bit_length() - 1)
    dtype = dtype or torch.get_default_dtype()
    if k <= width:
        signs = _signs(torch.arange(k), torch.arange(width), dtype)
        return torch.nn.functional.pad(signs / width**0.5, (0, d - width)).to(device)
    n = 1 << (max(k, d) - 1).bit_length()
    columns = torch.randperm(n, generator=make_generator(seed))[:d]
    signs = torch.cat([_signs(rows, columns, torch.int8) for rows in torch.arange(k).split(8192)])
    if k > 2**d or len(torch.unique(signs, dim=0)) < k:
        raise ValueError(
            f"two of the {k} rows agree on all of the {d} columns drawn with seed={seed}. "
            f"Use spread_frame({k}, {d}), another seed, or more dimensions (at least {(k - 1).bit_length()})."
        )
    scaled: Tensor = signs.to(dtype) / d**0.5
    return scaled.to(device)


def _signs(rows: Tensor, columns: Tensor, dtype: torch.dtype) -> Tensor:
    """(-1)^popcount(i & j) for all pairs; the parity of the bits by folding the number onto itself."""
    bits = rows[:, None] & columns[None]
    for shift in (32, 16, 8, 4, 2, 1):
        bits = bits ^ (bits >> shift)
    return (1 - 2 * (bits & 1)).to(dtype)
