"""Draws that are pure functions of whole numbers, and how samples are parted into batches and processes."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch

_WORD = 2**64 - 1


def epoch_generator(seed: int, epoch: int) -> torch.Generator:
    """The generator of one epoch: a pure function of the training seed and the epoch's number."""
    state = np.random.SeedSequence([seed, epoch]).generate_state(2, np.uint32)
    return torch.Generator().manual_seed(int(state[0]) << 31 | int(state[1]) >> 1)


def derived_seed(*numbers: int) -> int:
    """A seed in [0, 2^63) made of several non-negative integers, such as training seed, epoch and step.

    Each number is mixed in by a round of SplitMix64, which takes a microsecond: NumPy's ``SeedSequence`` would be felt
    at every step of a small network.

    Example:
        >>> derived_seed(0, 1) == derived_seed(0, 1), derived_seed(0, 1) == derived_seed(1, 0)
        (True, False)

    Source: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
    """
    state = 0
    for number in numbers:
        state = (state ^ number) + 0x9E3779B97F4A7C15 & _WORD
        state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & _WORD
        state = (state ^ state >> 27) * 0x94D049BB133111EB & _WORD
        state ^= state >> 31
    return state >> 1


def batch_bounds(num_samples: int, batch_size: int) -> list[tuple[int, int]]:
    """Slices that cover every sample once; a last batch of one sample joins the batch before it.

    A single sample has no batch statistics, so BatchNorm could not train on it.

    Example:
        >>> batch_bounds(5, 2)
        [(0, 2), (2, 5)]
    """
    starts = list(range(0, num_samples, batch_size))
    if len(starts) > 1 and num_samples - starts[-1] == 1:
        starts.pop()
    return list(zip(starts, [*starts[1:], num_samples], strict=True))


def even_parts(start: int, stop: int, parts: int) -> list[tuple[int, int]]:
    """A range cut into consecutive parts whose sizes differ by one at most; parts may be empty.

    Example:
        >>> even_parts(0, 5, 2)
        [(0, 2), (2, 5)]
    """
    edges = [start + (stop - start) * i // parts for i in range(parts + 1)]
    return list(pairwise(edges))
