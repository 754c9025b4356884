"""Class vectors a block at a time: the inner products of features with them, and sums of them.

Both need no vector of a quadratic-form code. The code falls into runs of 2 d' vectors that differ by a linear character
and a sign, so that products with all of a run are one Walsh-Hadamard transform, see
:mod:`equiangular.frames.implicit`, and so is the sum of its vectors with given weights: the transform is symmetric.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import cast

import torch
from torch import Tensor

from equiangular.frames.implicit import Construction, column_signs, hadamard, implicit_rows, places_of_characters
from equiangular.frames.quadratic_code import QuadraticCode, quadratic_code, quadratic_code_rows


class Block(ABC):
    """The class vectors w of the classes ``start`` to ``stop`` - 1."""

    def __init__(self, start: int, stop: int) -> None:
        self.start, self.stop = start, stop

    @abstractmethod
    def products(self, h: Tensor, out: Tensor) -> None:
        """h w^T, from (B, d) into ``out`` (B, stop - start)."""

    @abstractmethod
    def weighted(self, p: Tensor) -> Tensor:
        """p w, (B, d) from (B, stop - start)."""


class Rows(Block):
    """Class vectors that are there, (stop - start, d)."""

    def __init__(self, start: int, vectors: Tensor) -> None:
        super().__init__(start, start + len(vectors))
        self.vectors = vectors

    def products(self, h: Tensor, out: Tensor) -> None:
        """One matrix product."""
        torch.mm(h, self.vectors.T, out=out)

    def weighted(self, p: Tensor) -> Tensor:
        """One matrix product."""
        return p @ self.vectors


class Characters(Block):
    """Runs of a quadratic-form code: class 2 (i d' + c) of a run is its first vector times character c."""

    def __init__(self, start: int, stop: int, dim: int, first: Tensor, place: Tensor | None) -> None:
        """``first`` (runs, d'): their first vectors; ``place`` (d',): where the transform has a character.

        Without ``place``: the axes, one run, +-first_i e_i.
        """
        super().__init__(start, stop)
        self.dim, self.first, self.place = dim, first, place

    def products(self, h: Tensor, out: Tensor) -> None:
        """One transform for each run, opposite vectors side by side."""
        runs, d = self.first.shape
        found = h[:, None, :d] * self.first
        if self.place is not None:
            found = hadamard(found)[..., self.place]
        whole = self.stop - self.start == 2 * runs * d
        both = (out if whole else out.new_empty(len(h), 2 * runs * d)).view(len(h), runs, d, 2)
        both[..., 0] = found
        torch.neg(found, out=both[..., 1])
        if not whole:
            out.copy_(both.view(len(h), -1)[:, : self.stop - self.start])

    def weighted(self, p: Tensor) -> Tensor:
        """The transform of the differences of opposite vectors' weights."""
        runs, d = self.first.shape
        missing = 2 * runs * d - p.shape[1]
        both = (torch.nn.functional.pad(p, (0, missing)) if missing else p).view(len(p), runs, d, 2)
        difference = both[..., 0] - both[..., 1]
        if self.place is not None:
            difference = hadamard(difference[..., self.place.argsort()])
        found = (difference * self.first).sum(1)
        return torch.nn.functional.pad(found, (0, self.dim - d))


def implicit_blocks(
    num_classes: int,
    dim: int,
    *,
    seed: int,
    construction: Construction,
    size: int,
    dtype: torch.dtype,
    rounded_to: torch.dtype,
    device: torch.device,
) -> Iterator[Block]:
    """The vectors of :func:`equiangular.frames.implicit_rows` in ``rounded_to``, about ``size`` at a time."""
    if construction != "quadratic":
        for ids in torch.arange(num_classes, device=device).split(size):
            yield Rows(int(ids[0]), implicit_rows(ids, dim, seed=seed, dtype=rounded_to).to(dtype))
        return
    code = cast("QuadraticCode", quadratic_code(num_classes, dim))  # the head has checked that there is one
    d, signs = code.dim, column_signs(dim, seed=seed, device=device)[: code.dim].to(dtype)
    place = places_of_characters(code, device)
    first_axis, run = code.size - 2 * d, 2 * d
    several = max(1, size // run) * run
    for start in range(0, min(num_classes, first_axis), several):
        stop = min(start + several, num_classes, first_axis)
        first = quadratic_code_rows(code, torch.arange(start, stop, run, device=device), dtype=rounded_to).to(dtype)
        yield Characters(start, stop, dim, first * signs, place)
    if num_classes > first_axis:
        yield Characters(first_axis, num_classes, dim, signs[None], None)
