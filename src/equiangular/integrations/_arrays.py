"""Arrays of a user as tensors, without a copy."""

from __future__ import annotations

import warnings

import numpy as np
import torch
from torch import Tensor


def read_only_tensor(array: np.ndarray) -> Tensor:
    """The array as a tensor that is only read: PyTorch warns of memory-mapped and other arrays that may not be written.

    Example:
        >>> array = np.ones(2)
        >>> array.flags.writeable = False
        >>> read_only_tensor(array)
        tensor([1., 1.], dtype=torch.float64)
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array)
