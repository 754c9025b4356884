"""Arrays of a user as tensors, without a copy."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor


def numpy_of(value: Any) -> Any:
    """A tensor as an array, bfloat16 as float32, which NumPy has and bfloat16 not; all else as it is.

    Example:
        >>> numpy_of(torch.ones(2, dtype=torch.bfloat16)).dtype, numpy_of([1])
        (dtype('float32'), [1])
    """
    if not isinstance(value, Tensor):
        return value
    value = value.detach().cpu()
    return (value.float() if value.dtype == torch.bfloat16 else value).numpy()


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
