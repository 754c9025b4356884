"""PyTorch's default device and precision, as a whole piece of work expects them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch


@contextmanager
def usual_defaults() -> Iterator[None]:
    """New tensors are on the CPU and in float32, whatever the user set; as a decorator for the time of a call.

    Where a training runs is said by its own options. Random numbers are drawn on the CPU, so that they are the same
    everywhere, and a generator of the CPU fails beside another default device.
    """
    before = torch.get_default_dtype()
    # A device as a context looks at every call of PyTorch, so it is entered only where it changes something.
    place = nullcontext() if torch.get_default_device().type == "cpu" else torch.device("cpu")
    torch.set_default_dtype(torch.float32)
    try:
        with place:
            yield
    finally:
        torch.set_default_dtype(before)
