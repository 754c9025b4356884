"""Autocast, seen from inside a formula: is it on here, and how to keep it out."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor


def autocast_is_on(tensor: Tensor) -> bool:
    """Whether autocast is enabled for the device of ``tensor``; there is none on the meta device.

    Example:
        >>> with torch.autocast("cpu", dtype=torch.bfloat16):
        ...     autocast_is_on(torch.ones(1))
        True
    """
    device = tensor.device.type
    return device != "meta" and torch.is_autocast_enabled(device)


def without_autocast(tensor: Tensor) -> AbstractContextManager[Any]:
    """Keep autocast from lowering the precision of what is computed on the device of ``tensor``.

    Where it is off nothing is entered: PyTorch 2.4 cannot export a context that changes nothing.

    Example:
        >>> ones = torch.ones(1, 1)
        >>> with torch.autocast("cpu", dtype=torch.bfloat16), without_autocast(ones):
        ...     (ones @ ones).dtype
        torch.float32
    """
    return torch.autocast(tensor.device.type, enabled=False) if autocast_is_on(tensor) else nullcontext()
