"""Random state, always explicit: local generators, and one context that isolates code which insists on global state.

The library never changes a global generator for good. What can take a generator gets one from :func:`make_generator`;
what cannot (the initialisation of a third-party network, dropout) runs inside :func:`isolated_rng`.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def make_generator(seed: int) -> torch.Generator:
    """Return a CPU generator seeded with ``seed``: the same numbers on every process, whatever the device.

    Args:
        seed: a non-negative integer below 2**63.

    Raises:
        ValueError: ``seed`` is not such an integer.

    Example:
        >>> torch.rand(1, generator=make_generator(0)) == torch.rand(1, generator=make_generator(0))
        tensor([True])
    """
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or not 0 <= int(seed) < 2**63:
        raise ValueError(f"seed must be an integer in [0, 2**63), got {seed!r}")
    return torch.Generator(device="cpu").manual_seed(int(seed))


@contextmanager
def isolated_rng(seed: int) -> Iterator[None]:
    """Seed the global generators of Python, NumPy and torch inside the block and put them back after it.

    Args:
        seed: a non-negative integer; the same seed gives the same global streams inside the block.

    Example:
        >>> before = torch.get_rng_state()
        >>> with isolated_rng(0):
        ...     _ = torch.nn.Linear(2, 2)
        >>> bool((torch.get_rng_state() == before).all())
        True
    """
    make_generator(seed)  # the same check of the seed
    python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002 - saved to be restored
    with torch.random.fork_rng():
        try:
            torch.random.manual_seed(seed)
            seed_everything(seed)
            yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)  # noqa: NPY002


def seed_everything(seed: int) -> None:
    """Seed the global generators of Python, NumPy and torch; to be used inside :func:`isolated_rng` only.

    Cheap enough for every training step: ``torch.manual_seed`` would record a stack trace for each kind of device that
    is not in use.
    """
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - isolated: put back by the caller
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed(seed)
    elif torch.backends.mps.is_available():
        torch.mps.manual_seed(seed)
