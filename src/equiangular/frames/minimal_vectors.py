"""Minimal vectors of lattices and packings: the most unit vectors known with largest cosine 1/2."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from functools import partial

import numpy as np

from equiangular.frames.lattice_codes import from_gram
from equiangular.frames.polytopes import roots_e8, section, signed_pairs, unit_rows

# Base blocks of Steiner's quadruple system on 10 points, which adding 1 modulo 10 brings to 30.
_SQS_10 = ((0, 1, 3, 4), (0, 1, 2, 6), (0, 2, 4, 7))
# Base blocks of 51 quadruples on 12 points of which no two share three: A(12, 4, 4) = 51. The permutation
# (0 1 2)(3 4 5)(6 7 8)(9 10 11) brings them to 51. Found by integer programming over its orbits.
_PACKING_12 = """
    0136 014b 0157 019a 0348 035b 0379 0459 047a 056a 067b 0689 08ab 3467 36ab 378a 389b
"""


def roots_d(dim: int) -> np.ndarray:
    """The D_n roots +-e_i +- e_j: (2n(n-1), n)."""
    return unit_rows(signed_pairs(dim))


def roots_e7() -> np.ndarray:
    """The E7 roots: those of E8 at right angles to one of them; (126, 7)."""
    return section(roots_e8(), 0.0)


def roots_e6() -> np.ndarray:
    """The E6 roots: those of E8 at right angles to two of them that are 120 degrees apart; (72, 6)."""
    roots = roots_e8()
    plane = np.stack([roots[0], roots[np.argmin(np.abs(roots @ roots[0] + 1 / 2))]])
    kept = roots[(np.abs(roots @ plane.T) < 1e-9).all(1)]
    return from_gram(kept @ kept.T, 6)


def on_blocks(blocks: Iterable[Sequence[int]], dim: int) -> np.ndarray:
    """+-2 e_i, and +-1 with every choice of signs on each block of four coordinates: unit rows (2n + 16 b, n).

    Largest cosine 1/2 where no two blocks share three points: two vectors that share a block differ in a sign, and a
    block holds half of 2 e_i. This is what lies around a centre of a packing by construction A whose code has a word
    of weight 4 on each block.
    """
    axes = 2 * np.eye(dim)
    signs = np.array(list(itertools.product((1.0, -1.0), repeat=4)))
    places = np.array(list(blocks))
    spread = np.zeros((len(places), 16, dim))
    spread[np.arange(len(places))[:, None, None], np.arange(16)[:, None], places[:, None]] = signs
    return unit_rows(np.concatenate([axes, -axes, spread.reshape(-1, dim)]))


def packing_9() -> np.ndarray:
    """The 306 neighbours of a centre of P9a: on the 18 blocks of the quadruple system that miss a point; (306, 9)."""
    blocks = {tuple(sorted((x + shift) % 10 for x in base)) for base in _SQS_10 for shift in range(10)}
    return on_blocks(sorted(block for block in blocks if 9 not in block), 9)


def packing_12() -> np.ndarray:
    """The 840 neighbours of a centre of P12a, on 51 quadruples; (840, 12)."""
    base = [[int(digit, 16) for digit in word] for word in _PACKING_12.split()]
    turned = {tuple(sorted(x - x % 3 + (x + shift) % 3 for x in block)) for block in base for shift in range(3)}
    return on_blocks(sorted(turned), 12)


def barnes_wall_16() -> np.ndarray:
    """The minimal vectors of the Barnes-Wall lattice; (4320, 16).

    Up to a factor: (+-2^2, 0^14) in every place, and (+-1^8, 0^8) with an even number of minus signs on the 30 words of
    weight 8 of the first-order Reed-Muller code (Conway and Sloane, chapter 4, section 10).
    """
    numbers = np.arange(16)
    bits = (numbers[:, None] >> np.arange(4)) & 1
    words = np.stack([(bits @ ((m >> np.arange(4)) & 1) + m // 16) % 2 for m in range(32)])
    places = words[words.sum(1) == 8].nonzero()[1].reshape(-1, 8)
    signs = np.array([s for s in itertools.product((1.0, -1.0), repeat=8) if s.count(-1.0) % 2 == 0])
    octads = np.zeros((len(places), len(signs), 16))
    octads[np.arange(len(places))[:, None, None], np.arange(len(signs))[:, None], places[:, None]] = signs
    return unit_rows(np.concatenate([2 * signed_pairs(16), octads.reshape(-1, 16)]))


roots_d5 = partial(roots_d, 5)
