"""Frames that come as arrays: from the document's function, a .npy file, another library."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor


def frame_tensor(weight: Any, name: str = "weight") -> Tensor:
    """A tensor as it is; an array or nested lists as a tensor of their own on the CPU.

    Raises:
        ValueError: what cannot be a matrix of numbers.

    Example:
        >>> frame_tensor([[1.0], [-1.0]])
        tensor([[ 1.],
                [-1.]], dtype=torch.float64)
    """
    if isinstance(weight, Tensor):
        return weight
    try:
        return torch.from_numpy(np.array(weight))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be a (K, d) tensor or array of numbers, got {type(weight).__name__}.") from error
