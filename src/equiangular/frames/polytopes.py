"""Small optimal spherical codes in closed form: polygons, polyhedra, 24-cell, 600-cell, E8 and what sits inside it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from functools import partial

import numpy as np

_GOLDEN = (1 + math.sqrt(5)) / 2


def unit_rows(vectors: np.ndarray) -> np.ndarray:
    """The rows divided by their norms; (N, n) float64."""
    vectors = np.asarray(vectors, dtype=np.float64)
    unit: np.ndarray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def section(code: np.ndarray, cosine: float, axis: np.ndarray | None = None) -> np.ndarray:
    """The vectors of a code (N, n) at a given cosine to an axis, projected along it: unit rows (M, n-1).

    The axis is the first vector if None. With u the unit axis: {normalise(v - <v, u> u) : <v, u> = cosine to 1e-9},
    written in an orthonormal basis of the complement of u that a Householder reflection gives.

    Example:
        >>> section(np.array([[1.0, 0.0], [0.0, 1.0], [0.0, -1.0]]), 0.0)
        array([[ 1.],
               [-1.]])
    """
    u = code[0] if axis is None else axis
    u = u / np.linalg.norm(u)
    kept = code[np.abs(code @ u - cosine) < 1e-9]
    mirror = u.copy()
    mirror[0] += math.copysign(1, u[0])  # reflects u to a multiple of the first coordinate axis
    reflected = kept - 2 * np.outer(kept @ mirror, mirror) / (mirror @ mirror)
    return unit_rows(reflected[:, 1:])


def derived(build: Callable[[], np.ndarray], cosine: float) -> np.ndarray:
    """The vectors of another code at a cosine, its largest one, to its first vector."""
    return section(build(), cosine)


def polygon(n: int) -> np.ndarray:
    """The regular n-gon, largest cosine cos(2 pi / n); (n, 2)."""
    angle = 2 * math.pi * np.arange(n) / n
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def ring(height: float, count: int, turn: float = 0.0) -> np.ndarray:
    """``count`` points on the unit sphere at one height, the first at ``turn`` of a step; (count, 3)."""
    angle = 2 * math.pi * (np.arange(count) + turn) / count
    radius = math.sqrt(1 - height * height)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), np.full(count, height)], axis=1)


def tammes_7() -> np.ndarray:
    """A pole and two triangles, largest cosine c with 3c^3 - 9c^2 - 3c + 1 = 0; (7, 3)."""
    c = next(r.real for r in np.roots([3, -9, -3, 1]) if 0 < r.real < 1)
    return np.concatenate([[[0.0, 0.0, 1.0]], ring(c, 3), ring(-math.sqrt((2 * c + 1) / 3), 3, 0.5)])


def square_antiprism() -> np.ndarray:
    """Two squares at 45 degrees, largest cosine 1/(1 + 2 sqrt 2); (8, 3)."""
    height = math.sqrt(1 / (1 + 2 * math.sqrt(2)))
    return np.concatenate([ring(height, 4), ring(-height, 4, 0.5)])


def tammes_9() -> np.ndarray:
    """A triangular prism with a cap on each side, largest cosine 1/3; (9, 3)."""
    height = math.sqrt(5) / 3
    return np.concatenate([ring(height, 3), ring(-height, 3), ring(0, 3, 0.5)])


def icosahedron() -> np.ndarray:
    """Cyclic shifts of (0, +-1, +-golden ratio), largest cosine 1/sqrt 5; (12, 3)."""
    base = [(0.0, a, b * _GOLDEN) for a in (1, -1) for b in (1, -1)]
    return unit_rows(np.array([np.roll(v, shift) for shift in range(3) for v in base]))


def snub_cube() -> np.ndarray:
    """Even permutations of (+-1, +-1/t, +-t) with an even number of plus signs and odd ones with an odd number.

    t is the tribonacci constant, t^3 = t^2 + t + 1; largest cosine (t-1)/(3-t); (24, 3).
    """
    t = next(r.real for r in np.roots([1, -1, -1, -1]) if abs(r.imag) < 1e-9)
    points = []
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1, -1), repeat=3):
            if (signs.count(1) % 2 == 0) == _is_even(order):
                points.append([signs[i] * (1, 1 / t, t)[order[i]] for i in range(3)])
    return unit_rows(np.array(points))


def cell_24() -> np.ndarray:
    """The D4 roots, +-e_i +- e_j, largest cosine 1/2; (24, 4)."""
    return unit_rows(signed_pairs(4))


def cell_600() -> np.ndarray:
    """+-e_i, (+-1)^4/2 and even permutations of (+-phi, +-1, +-1/phi, 0)/2, largest cosine cos(pi/5); (120, 4)."""
    axes = np.concatenate([np.eye(4), -np.eye(4)])
    halves = np.array(list(itertools.product((0.5, -0.5), repeat=4)))
    base = [(a * _GOLDEN / 2, b / 2, c / (2 * _GOLDEN), 0.0) for a, b, c in itertools.product((1, -1), repeat=3)]
    even = [p for p in itertools.permutations(range(4)) if _is_even(p)]
    return np.concatenate([axes, halves, [[v[i] for i in p] for p in even for v in base]])


def roots_e8() -> np.ndarray:
    """The E8 roots: +-e_i +- e_j and (+-1/2)^8 with an even number of minus signs, largest cosine 1/2; (240, 8)."""
    halves = [v for v in itertools.product((0.5, -0.5), repeat=8) if v.count(-0.5) % 2 == 0]
    return unit_rows(np.concatenate([signed_pairs(8), halves]))


def clebsch() -> np.ndarray:
    """The hemicube: (+-1)^5 with an even number of minus signs, largest cosine 1/5; (16, 5)."""
    return unit_rows(np.array([v for v in itertools.product((1, -1), repeat=5) if v.count(-1) % 2 == 0]))


kissing_e8 = partial(derived, roots_e8, 1 / 2)  # the E8 roots next to one of them, largest cosine 1/3; (56, 7)
schlaefli = partial(derived, kissing_e8, 1 / 3)  # the 27 lines on a cubic surface, largest cosine 1/4; (27, 6)
petersen = partial(derived, clebsch, 1 / 5)  # the midpoints of the simplex's edges, largest cosine 1/6; (10, 4)


def signed_pairs(n: int) -> np.ndarray:
    """+-e_i +- e_j, i < j; (2n(n-1), n)."""
    pairs, signs = itertools.combinations(np.eye(n), 2), tuple(itertools.product((1, -1), repeat=2))
    return np.array([a * first + b * second for first, second in pairs for a, b in signs]) + 0.0  # no -0.0


def _is_even(permutation: tuple[int, ...]) -> bool:
    return sum(a > b for a, b in itertools.combinations(permutation, 2)) % 2 == 0
