"""Rows divided by powers of two, which rounds nothing, so that their squares stay in the range of floating point."""

import torch
from torch import Tensor


def near_one(x: Tensor, *, rows: bool = False) -> tuple[Tensor, Tensor]:
    """``x`` (N, d) over its power of two, so that its largest entry lies in [1/2, 2), and that power.

    The power is (1, 1), or one for each of the ``rows``, (N, 1); 1 for zeros.

    Example:
        >>> near_one(torch.tensor([[3e30, 0.0], [0.0, 4e-30]]), rows=True)[0].ge(0.5).tolist()
        [[True, False], [False, True]]
    """
    value = x.detach().abs()
    largest = value.amax(1, keepdim=True) if rows else value.amax().reshape(1, 1)
    highest = torch.frexp(torch.tensor(torch.finfo(x.dtype).max, dtype=torch.float64, device="cpu"))[1].item() - 1
    exponent = torch.frexp(largest.double())[1].clamp(max=highest)
    power = torch.ldexp(torch.ones_like(largest, dtype=torch.float64), exponent).to(x.dtype)
    return x / power, power
