"""Optimal spherical codes in 20 to 301 dimensions: Leech lattice, strongly regular graphs, elliptic quadrics."""

from __future__ import annotations

import itertools
import math
from functools import lru_cache, partial

import numpy as np
import torch

from equiangular._random import make_generator
from equiangular.frames.polytopes import derived, section, signed_pairs, unit_rows


@lru_cache(maxsize=1)
def golay_words() -> np.ndarray:
    """The extended binary Golay code: cyclic, by x^11 + x^9 + x^7 + x^6 + x^5 + x + 1, and parity; (4096, 24) int8."""
    generator = np.zeros((12, 23), dtype=np.int64)
    for shift in range(12):
        generator[shift, shift + np.array([0, 1, 5, 6, 7, 9, 11])] = 1
    messages = (np.arange(4096)[:, None] >> np.arange(12)) & 1
    words = messages @ generator % 2
    return np.concatenate([words, words.sum(1, keepdims=True) % 2], axis=1).astype(np.int8)


@lru_cache(maxsize=1)
def leech() -> np.ndarray:
    """The minimal vectors of the Leech lattice, largest cosine 1/2; (196560, 24) float64.

    Up to the factor 1/sqrt 32: (+-2^8, 0^16) on the octads of the Golay code with an even number of minus signs,
    (-+3, +-1^23) with the upper signs on a Golay word, and (+-4^2, 0^22) (Conway and Sloane, chapter 4).
    """
    words = golay_words()
    octads = words[words.sum(1) == 8]
    signs = np.array([s for s in itertools.product((2, -2), repeat=8) if s.count(-2) % 2 == 0])
    first = np.zeros((len(octads), len(signs), 24))
    places = octads.nonzero()[1].reshape(-1, 8)
    first[np.arange(len(octads))[:, None, None], np.arange(len(signs))[:, None], places[:, None]] = signs
    second = np.repeat((1 - 2.0 * words)[None], 24, axis=0)
    second[np.arange(24), :, np.arange(24)] *= -3
    return np.concatenate([first.reshape(-1, 24), second.reshape(-1, 24), 4 * signed_pairs(24)]) / math.sqrt(32)


def leech_552() -> np.ndarray:
    """276 equiangular lines: minimal vectors with inner product 3 with (5, 1^23)/sqrt 8; (552, 23), cosine 1/5."""
    axis = np.ones(24)
    axis[0] = 5
    return section(leech(), 3 / math.sqrt(4 * 6), axis)


def higman_sims() -> np.ndarray:
    """Spectral embedding of the Higman-Sims graph, largest cosine 1/11; (100, 22).

    A point, 22 points and the 77 hexads of the Steiner system S(3, 6, 22): the point is joined to the 22, each of the
    22 to the hexads that hold it, and two hexads to each other where they are disjoint.
    """
    words = golay_words()
    octads = words[words.sum(1) == 8]
    hexads = octads[(octads[:, 22] == 1) & (octads[:, 23] == 1)][:, :22].astype(np.int64)
    adjacent = np.zeros((100, 100))
    adjacent[0, 1:23] = 1
    adjacent[1:23, 23:] = hexads.T
    adjacent = adjacent + adjacent.T
    adjacent[23:, 23:] = hexads @ hexads.T == 0
    return _spectral(adjacent, 22, -4 / 11, 1 / 11)


def gewirtz() -> np.ndarray:
    """The Gewirtz graph: vertices of Higman-Sims joined to neither end of an edge, largest cosine 1/15; (56, 20)."""
    code = higman_sims()
    kept = code[(np.abs(code @ code[0] - 1 / 11) < 1e-9) & (np.abs(code @ code[1] - 1 / 11) < 1e-9)]
    both = np.concatenate([code[:2], kept])
    gram = both @ both.T
    across = gram[2:, :2] @ np.linalg.inv(gram[:2, :2]) @ gram[:2, 2:]
    return from_gram(gram[2:, 2:] - across, 20)


def hoffman_singleton() -> np.ndarray:
    """Spectral embedding of the Hoffman-Singleton graph, largest cosine 1/21; (50, 21).

    Robertson's description: pentagons P_h and pentagrams Q_i (h, i mod 5), vertex j of P_h joined to vertex h i + j
    of Q_i.
    """
    adjacent = np.zeros((50, 50))
    for h, j in itertools.product(range(5), repeat=2):
        adjacent[5 * h + j, 5 * h + (j + 1) % 5] = 1
        adjacent[25 + 5 * h + j, 25 + 5 * h + (j + 2) % 5] = 1
        for i in range(5):
            adjacent[5 * h + j, 25 + 5 * i + (h * i + j) % 5] = 1
    return _spectral(adjacent + adjacent.T, 21, -3 / 7, 1 / 21)


def elliptic_quadric(q: int) -> np.ndarray:
    """(q+1)(q^3+1) points in q(q^3+1)/(q+1) dimensions, cosines -1/q and 1/q^2, for an odd prime q.

    The points of the elliptic quadric in the projective space PG(5, q), cosine -1/q where their line lies on the
    quadric: the spectral embedding of the generalised quadrangle GQ(q, q^2).
    """
    residues = {x * x % q for x in range(1, q)}
    other = next(x for x in range(2, q) if x not in residues)
    form = np.zeros((6, 6), dtype=np.int64)  # Q(x) = x0 x1 + x2 x3 + x4^2 - other x5^2, twice its polarisation
    form[[0, 1, 2, 3], [1, 0, 3, 2]] = 1
    form[4, 4], form[5, 5] = 2, -2 * other
    found = []
    for lead in range(6):
        rest = np.array(list(itertools.product(range(q), repeat=5 - lead)), dtype=np.int64)
        rest = rest.reshape(q ** (5 - lead), 5 - lead)
        vectors = np.concatenate([np.zeros((len(rest), lead), np.int64), np.ones((len(rest), 1), np.int64), rest], 1)
        found.append(vectors[np.einsum("ni,ij,nj->n", vectors, form, vectors) % q == 0])
    points = np.concatenate(found)
    adjacent = (points @ form @ points.T % q == 0).astype(np.float64)
    np.fill_diagonal(adjacent, 0)
    return _spectral(adjacent, q * (q**3 + 1) // (q + 1), -1 / q, 1 / q**2)


def elliptic_quadric_4() -> np.ndarray:
    """:func:`elliptic_quadric` over the field of four elements; (325, 52), cosines -1/4 and 1/16.

    Numbers are 0, 1, w, w + 1 as 0, 1, 2, 3 with w^2 = w + 1: a sum is the exclusive or. The form is
    Q(x) = x0 x1 + x2 x3 + x4^2 + x4 x5 + w x5^2, whose last part has no zero but 0 since t^2 + t = w has no solution.
    """
    times = np.array([[0, 0, 0, 0], [0, 1, 2, 3], [0, 2, 3, 1], [0, 3, 1, 2]])
    vectors = np.array(list(itertools.product(range(4), repeat=6)))[1:]
    leading = vectors[np.arange(len(vectors)), (vectors > 0).argmax(1)]
    x = vectors[leading == 1].T  # a point of the projective space is a vector up to a factor
    form = times[x[0], x[1]] ^ times[x[2], x[3]] ^ times[x[4], x[4]] ^ times[x[4], x[5]] ^ times[2, times[x[5], x[5]]]
    x = x[:, form == 0]
    pairs = ((0, 1), (1, 0), (2, 3), (3, 2), (4, 5), (5, 4))  # of the polar form
    polar = np.bitwise_xor.reduce([times[x[i][:, None], x[j][None]] for i, j in pairs])
    adjacent = (polar == 0).astype(np.float64)
    np.fill_diagonal(adjacent, 0)
    return _spectral(adjacent, 52, -1 / 4, 1 / 16)


leech_kissing = partial(derived, leech, 1 / 2)  # minimal vectors next to one of them, largest cosine 1/3; (4600, 23)
leech_891 = partial(derived, leech_kissing, 1 / 3)  # the 4600 next to one of them, largest cosine 1/4; (891, 22)
mclaughlin = partial(derived, leech_552, 1 / 5)  # McLaughlin graph: the 552 next to one, largest cosine 1/6; (275, 22)
mclaughlin_162 = partial(derived, mclaughlin, 1 / 6)  # the 275 next to one of them, largest cosine 1/7; (162, 21)
m22_graph = partial(derived, higman_sims, 1 / 11)  # 77 hexads joined where disjoint, largest cosine 1/12; (77, 21)


def _spectral(adjacent: np.ndarray, dim: int, joined: float, apart: float) -> np.ndarray:
    """The code whose Gram matrix has two values, by adjacency in a strongly regular graph."""
    gram = np.where(adjacent > 0, joined, apart)
    np.fill_diagonal(gram, 1)
    return from_gram(gram, dim)


def from_gram(gram: np.ndarray, dim: int) -> np.ndarray:
    """Vectors with a Gram matrix that is N/dim times a projector: an orthonormal basis of its range, (N, dim)."""
    start = torch.randn(len(gram), dim, generator=make_generator(0), dtype=torch.float64, device="cpu").numpy()
    basis, _ = np.linalg.qr(gram @ start)
    basis, _ = np.linalg.qr(gram @ basis)  # once more: the first product is as ill-conditioned as its random start
    return unit_rows(basis)
