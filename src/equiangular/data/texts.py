"""Texts as they are, for an encoder to read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch


class Texts:
    """Texts indexed like a tensor (N,) of strings.

    Args:
        values: N strings.

    Attributes:
        shape: (N,).

    Example:
        >>> texts = Texts(["one", "two", "three"])
        >>> texts.shape, list(texts[torch.tensor([2, 0])])
        (torch.Size([3]), ['three', 'one'])
    """

    dtype: Any = str
    ndim = 1

    def __init__(self, values: Iterable[str]) -> None:
        self.values = [str(value) for value in values]

    @property
    def shape(self) -> torch.Size:
        """(N,)."""
        return torch.Size([len(self.values)])

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index: Any) -> Any:
        """One text for one position, :class:`Texts` for a tensor, array, list or slice of positions."""
        if isinstance(index, slice):
            return Texts(self.values[index])
        chosen = np.asarray(index)
        return Texts(self.values[int(i)] for i in chosen) if chosen.ndim else self.values[int(chosen)]
