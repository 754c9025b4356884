"""L2 normalisation whose gradient is never NaN, not even at zero and not in half precision."""

from __future__ import annotations

import torch
from torch import Tensor

from equiangular._autocast import autocast_is_on


def unit_normalize(x: Tensor, eps: float | None = None) -> Tensor:
    """Scale every vector along the last axis to norm 1: x / ||x||.

    A vector whose norm is not above ``eps`` has no direction: the result is zero there and so, exactly, is the
    gradient. (Dividing by max(||x||, eps) instead would multiply the gradient at zero by 1 / eps.) The norm is
    accumulated in float32 for float16 and bfloat16; under autocast the result stays in float32.

    Args:
        x: (..., d) floating point.
        eps: the norm up to which a vector counts as zero; by default 1e-12, or the smallest normal number of the
            dtype (6e-5 for float16) if that is larger, so that the gradient fits into the dtype.

    Returns:
        (..., d) in the dtype of ``x``.

    Example:
        >>> unit_normalize(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
        tensor([[0.6000, 0.8000],
                [0.0000, 0.0000]])
    """
    limit = max(1e-12, torch.finfo(x.dtype).tiny) if eps is None else eps
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    square = wide.square().sum(-1, keepdim=True)
    has_direction = square > limit**2
    inverse = torch.where(has_direction, torch.where(has_direction, square, 1.0).rsqrt(), 0.0)
    result = wide * inverse
    return result if autocast_is_on(x) else result.to(x.dtype)
