"""Spherical codes of more than 2d vectors in closed form: those proved optimal, and the best known without proof."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import cast

import numpy as np
import torch
from torch import Tensor

from equiangular._validate import Device, Dtype, check_int, check_num_classes
from equiangular.frames import lattice_codes, minimal_vectors, polytopes
from equiangular.frames.orthogonal import haar_orthonormal
from equiangular.frames.quadratic_code import QuadraticCode, quadratic_code, quadratic_code_rows


@dataclass(frozen=True)
class KnownCode:
    """A proved optimum, or the best that is known: unit vectors with the smallest largest cosine for their number.

    Attributes:
        num_classes: K.
        dim: d.
        max_cosine: its largest cosine.
        name: what it is called.
        source: where its optimality is proved, or where it comes from.
        build: gives the coordinates, (K, d), exact to float64; in no particular orientation.
        proved: whether no code of this size can be better.
    """

    num_classes: int
    dim: int
    max_cosine: float
    name: str
    source: str
    build: Callable[[], np.ndarray]
    proved: bool = True


_COHN_KUMAR = "Cohn and Kumar 2007, table 1; Levenshtein's bound is attained"
_SCHUETTE = "Schütte and van der Waerden 1951"
_GRAPHS = "Cohn, de Laat and Leijenhorst 2024, arXiv:2403.16874"


def _kerdock(num_classes: int, dim: int) -> np.ndarray:
    code = cast("QuadraticCode", quadratic_code(num_classes, dim))  # there is one for every size in the table
    parts = torch.arange(num_classes, device="cpu").split(8192)
    # The entries are powers of two: float32 holds them exactly.
    return torch.cat([quadratic_code_rows(code, part, dtype=torch.float32) for part in parts]).numpy()


_CODES = [
    KnownCode(7, 3, 0.2101383127306031, "pole and two triangles", _SCHUETTE, polytopes.tammes_7),
    KnownCode(8, 3, 1 / (1 + 2 * math.sqrt(2)), "square antiprism", _SCHUETTE, polytopes.square_antiprism),
    KnownCode(9, 3, 1 / 3, "triaugmented triangular prism", _SCHUETTE, polytopes.tammes_9),
    KnownCode(11, 3, 5**-0.5, "icosahedron less a vertex", "Danzer 1986", lambda: polytopes.icosahedron()[:11]),
    KnownCode(12, 3, 5**-0.5, "icosahedron", _COHN_KUMAR, polytopes.icosahedron),
    KnownCode(24, 3, 0.723078468333509, "snub cube", "Robinson 1961", polytopes.snub_cube),
    KnownCode(10, 4, 1 / 6, "Petersen code", "Bachoc and Vallentin 2009", polytopes.petersen),
    KnownCode(
        24, 4, 1 / 2, "24-cell", "de Laat, Leijenhorst and de Muinck Keizer 2024, arXiv:2404.18794", polytopes.cell_24
    ),
    KnownCode(120, 4, math.cos(math.pi / 5), "600-cell", "Andreev 1999; Cohn and Kumar 2007", polytopes.cell_600),
    KnownCode(16, 5, 1 / 5, "hemicube (Clebsch graph)", _COHN_KUMAR, polytopes.clebsch),
    KnownCode(27, 6, 1 / 4, "Schläfli configuration", _COHN_KUMAR, polytopes.schlaefli),
    KnownCode(56, 7, 1 / 3, "kissing configuration of E8", _COHN_KUMAR, polytopes.kissing_e8),
    KnownCode(240, 8, 1 / 2, "E8 roots", _COHN_KUMAR, polytopes.roots_e8),
    KnownCode(288, 16, 1 / 4, "Kerdock code", _GRAPHS, partial(_kerdock, 288, 16)),
    KnownCode(56, 20, 1 / 15, "Gewirtz graph", _GRAPHS, lattice_codes.gewirtz),
    KnownCode(50, 21, 1 / 21, "Hoffman-Singleton graph", _GRAPHS, lattice_codes.hoffman_singleton),
    KnownCode(77, 21, 1 / 12, "M22 graph", _GRAPHS, lattice_codes.m22_graph),
    KnownCode(112, 21, 1 / 9, "elliptic quadric, q=3", _COHN_KUMAR, partial(lattice_codes.elliptic_quadric, 3)),
    KnownCode(162, 21, 1 / 7, "section of the McLaughlin graph", _COHN_KUMAR, lattice_codes.mclaughlin_162),
    KnownCode(100, 22, 1 / 11, "Higman-Sims graph", _COHN_KUMAR, lattice_codes.higman_sims),
    KnownCode(275, 22, 1 / 6, "McLaughlin graph", _COHN_KUMAR, lattice_codes.mclaughlin),
    KnownCode(891, 22, 1 / 4, "section of the Leech lattice", _COHN_KUMAR, lattice_codes.leech_891),
    KnownCode(552, 23, 1 / 5, "276 equiangular lines", _COHN_KUMAR, lattice_codes.leech_552),
    KnownCode(4600, 23, 1 / 3, "kissing configuration of the Leech lattice", _COHN_KUMAR, lattice_codes.leech_kissing),
    KnownCode(196560, 24, 1 / 2, "Leech lattice", _COHN_KUMAR, lattice_codes.leech),
    KnownCode(325, 52, 1 / 16, "elliptic quadric, q=4", _COHN_KUMAR, lattice_codes.elliptic_quadric_4),
    KnownCode(4224, 64, 1 / 8, "Kerdock code", _GRAPHS, partial(_kerdock, 4224, 64)),
    KnownCode(756, 105, 1 / 25, "elliptic quadric, q=5", _COHN_KUMAR, partial(lattice_codes.elliptic_quadric, 5)),
    KnownCode(66048, 256, 1 / 16, "Kerdock code", _GRAPHS, partial(_kerdock, 66048, 256)),
    KnownCode(2752, 301, 1 / 49, "elliptic quadric, q=7", _COHN_KUMAR, partial(lattice_codes.elliptic_quadric, 7)),
    KnownCode(1050624, 1024, 1 / 32, "Kerdock code", _GRAPHS, partial(_kerdock, 1050624, 1024)),
]
KNOWN_CODES = {(code.num_classes, code.dim): code for code in _CODES}


def _kissing(num_classes: int, dim: int, name: str, build: Callable[[], np.ndarray]) -> KnownCode:
    source = "Conway and Sloane 1999, table 1.5; not proved to be optimal"
    return KnownCode(num_classes, dim, 1 / 2, name, source, build, proved=False)


_BEST = [
    _kissing(40, 5, "D5 roots", minimal_vectors.roots_d5),
    _kissing(72, 6, "E6 roots", minimal_vectors.roots_e6),
    _kissing(126, 7, "E7 roots", minimal_vectors.roots_e7),
    _kissing(306, 9, "neighbours in the packing P9a", minimal_vectors.packing_9),
    _kissing(840, 12, "neighbours in the packing P12a", minimal_vectors.packing_12),
    _kissing(4320, 16, "minimal vectors of the Barnes-Wall lattice", minimal_vectors.barnes_wall_16),
]
BEST_KNOWN_CODES = {(code.num_classes, code.dim): code for code in _BEST}
# Optima without closed-form coordinates, which the optimiser finds: the proved largest cosine, and the proof.
PROVED_COSINES = {
    (10, 3): (math.cos(math.radians(66.1468219816)), "Danzer 1986"),
    (13, 3): (math.cos(math.radians(57.1367030777)), "Musin and Tarasov 2012"),
    (14, 3): (math.cos(math.radians(55.6705700030)), "Musin and Tarasov 2015"),
}


def find_known_code(num_classes: int, dim: int) -> KnownCode | None:
    """The known optimum for exactly this size, K > 2d, if there is one.

    In the plane every size has one: the regular polygon.

    Raises:
        ValueError: K < 2 or d < 1.

    Example:
        >>> find_known_code(240, 8).name, find_known_code(241, 8)
        ('E8 roots', None)
    """
    k, d = check_num_classes(num_classes), check_int(dim, "dim", minimum=1)
    if d == 2:
        cosine = math.cos(2 * math.pi / k)
        source = "the arcs between neighbours add up to 2 pi"
        return KnownCode(k, 2, cosine, "regular polygon", source, partial(polytopes.polygon, k))
    return KNOWN_CODES.get((k, d))


def known_code(
    num_classes: int, dim: int, *, seed: int | None = 0, device: Device = None, dtype: Dtype = None
) -> Tensor:
    """Coordinates (K, d) of a known optimal code in a random orientation, unit rows.

    Args:
        num_classes, dim: K and d.
        seed: seed of the Haar-random rotation; None leaves the coordinates of the construction.
        device, dtype: of the result, torch's defaults if None; built in :func:`working_dtype` and cast last.

    Raises:
        ValueError: no optimum with closed-form coordinates is known for this size.

    Example:
        >>> weight = known_code(12, 3, dtype=torch.float64)
        >>> round(float((weight @ weight.T).fill_diagonal_(-1).max()), 6)
        0.447214

    Source: Cohn and Kumar, "Universally optimal distribution of points on spheres", J. Amer. Math. Soc. 20, 2007; and
    the source named by :func:`find_known_code`.
    """
    code = find_known_code(num_classes, dim)
    if code is None:
        close = ", ".join(f"({k}, {d})" for k, d in KNOWN_CODES if d == dim) or "none"
        raise ValueError(
            f"no optimal code of {num_classes} vectors in {dim} dimensions is known in closed form "
            f"(known in {dim} dimensions: {close}). Use spread_frame({num_classes}, {dim})."
        )
    weight = torch.from_numpy(code.build()).to(working_dtype(num_classes, dim))
    if seed is not None:
        weight = weight @ haar_orthonormal(dim, dim, seed=seed).T.to(weight)
    return weight.to(device=device, dtype=dtype or torch.get_default_dtype())


def working_dtype(num_classes: int, dim: int) -> torch.dtype:
    """float64, or float32 for matrices of more than 5e7 entries, where it would take gigabytes."""
    return torch.float64 if num_classes * dim <= 5 * 10**7 else torch.float32
