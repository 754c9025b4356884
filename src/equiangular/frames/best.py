"""The best class vectors known to this library for any number of classes in any dimension."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from equiangular._random import make_generator
from equiangular._validate import check_choice, check_int, check_num_classes
from equiangular.frames.bounds import rankin_bound, welch_bound
from equiangular.frames.cache import cached_frame
from equiangular.frames.code_objectives import CHUNK_SIZE, cosine_range
from equiangular.frames.haar import haar_orthonormal
from equiangular.frames.hull_distance import one_vs_rest_distance
from equiangular.frames.known_codes import KNOWN_CODES, find_known_code, known_code, working_dtype
from equiangular.frames.levenshtein import levenshtein_bound
from equiangular.frames.nonnegative import nonnegative_orthogonal_frame
from equiangular.frames.orthoplex import orthoplex
from equiangular.frames.quadratic_code import quadratic_code, quadratic_code_rows
from equiangular.frames.simplex import simplex_etf
from equiangular.frames.spherical_code import (
    DENSE_WORK,
    OBJECTIVES,
    SMALL_PROBLEM,
    Progress,
    spherical_code,
    work_of_a_step,
)

_ALGORITHM = 1  # part of the cache's key: raise it when spherical_code gives other numbers
_WORK = 1.5e13  # floating-point operations that an optimisation may take, minutes on one core
_MIN_STEPS, _MAX_STEPS = 48, 400  # of the momentum method; fewer are not worth starting
_HULL_CLASSES = 1024  # up to which one-vs-rest distances are measured
_MEASURED_WORK = 2e13  # operations up to which every pair is measured, and not a sample of classes against all


def best_frame(
    num_classes: int,
    dim: int,
    *,
    objective: str = "max_cosine",
    nonnegative: bool = False,
    seed: int = 0,
    steps: int | None = None,
    restarts: int | None = None,
    cache: bool | str | Path = True,
    explain: bool = False,
    chunk_size: int = CHUNK_SIZE,
    progress: Progress | None = None,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> Tensor | tuple[Tensor, dict[str, Any]]:
    """K unit vectors in d dimensions, spread as well as theory or an optimisation can, in a random orientation.

    In this order:

    1. K <= d+1: the simplex ETF. K <= 2d: the orthoplex. Both are optimal, for both objectives.
    2. A code that is proved optimal for exactly this size, see :func:`equiangular.frames.find_known_code`.
    3. Otherwise the best of: an optimised code (:func:`equiangular.frames.spherical_code`) where that takes minutes
       on one core at most, the effort being a fixed number of steps by size; vectors taken from a larger known code;
       a quadratic-form code (:func:`equiangular.frames.quadratic_code`), which costs nothing at any K. Nothing is
       claimed for these: ``explain=True`` measures them and puts the bounds beside.

    Args:
        num_classes: K >= 2.
        dim: d >= 1.
        objective: ``"max_cosine"``, the smallest largest cosine, or ``"softmax"``, the largest distance of a vector
            from the convex hull of the others.
        nonnegative: ask for vectors without negative entries, for features after a ReLU; K <= d.
        seed: orientation of a closed form, random starts of an optimisation.
        steps: of the optimisation; by size if None. Given, it is made however long it takes.
        restarts: of the optimisation; by size if None.
        cache: keep optimised codes on disk: True for :func:`equiangular.frames.cache_folder`, a folder, or False.
        explain: also return what was built and how good it is.
        chunk_size: rows of a tile of the Gram matrix, which is never held whole.
        progress: see :func:`equiangular.frames.spherical_code`.
        device: where to optimise, and device of the result.
        dtype: dtype of the result, torch's default if None.

    Returns:
        (K, d) with unit rows; with ``explain`` the pair of it and a JSON-plain dictionary:
        ``construction``; ``optimal``, the source of a proof or None; ``max_cosine``, ``min_cosine`` and ``coherence``
        as measured; ``pairs_measured``, the fraction of the pairs that was looked at, 1 but for huge K;
        ``proved_max_cosine`` where the construction has a guarantee; ``bounds``, which no K vectors in d dimensions
        can beat: ``rankin`` and ``levenshtein`` on max_cosine, ``welch`` on coherence; for the softmax objective
        ``one_vs_rest_distance`` (K <= 1024), the smallest, as certified; and the arguments.

    Raises:
        ValueError: K < 2, d < 1, K > 2 in one dimension, K > d with ``nonnegative``, or an unknown objective.

    Example:
        >>> best_frame(1000, 512).shape, best_frame(5, 4, dtype=torch.float64).shape
        (torch.Size([1000, 512]), torch.Size([5, 4]))
        >>> weight, report = best_frame(12, 3, explain=True)
        >>> report["construction"], round(report["max_cosine"], 4), round(report["bounds"]["levenshtein"], 4)
        ('icosahedron', 0.4472, 0.4472)

    Source:
        Rankin 1955; Cohn and Kumar 2007; for the softmax objective Jiang et al., "Generalized neural collapse for a
        large number of classes", ICML 2024 (K <= 2d, and d = 2), and Alcala et al. 2026, arXiv:2603.20587 (K <= 2d).
    """
    k = check_num_classes(num_classes)
    d = check_int(dim, "dim", minimum=1, hint="A class vector needs at least one coordinate.")
    check_choice(objective, OBJECTIVES, "objective")
    check_int(chunk_size, "chunk_size", minimum=2)
    if steps is not None:
        check_int(steps, "steps", minimum=1)
    if d == 1 and k > 2:
        raise ValueError(f"one dimension has two unit vectors, got num_classes={k}. Use at least 2 dimensions.")
    exact = {"seed": seed, "dtype": torch.float64}
    proved: float | None = None
    by = "Rankin 1955" if objective == "max_cosine" else "Jiang et al. 2024"
    if nonnegative:
        name, source = "non-negative orthogonal frame", "the largest cosine of vectors >= 0 is at least 0"
        weight = nonnegative_orthogonal_frame(k, d, **exact)
    elif k <= d + 1:
        name, source, weight = "simplex ETF", by, simplex_etf(k, d, **exact)
    elif k <= 2 * d:
        name, source, weight = "orthoplex", by, orthoplex(k, d, **exact)
    elif d == 2 or (objective == "max_cosine" and find_known_code(k, d)):
        code = find_known_code(k, d)
        weight = known_code(k, d, seed=seed, dtype=working_dtype(k, d))
        name, proved = code.name, code.max_cosine
        source = code.source if objective == "max_cosine" else by
    else:
        source = None
        effort = _effort(k, d, objective)
        effort = (effort[0] if steps is None else steps, effort[1] if restarts is None else restarts)
        weight, name, proved = _search(k, d, objective, seed, effort, cache, chunk_size, progress, device)
    weight = weight.to(device=device, dtype=dtype or torch.get_default_dtype())
    if not explain:
        return weight
    report = {"num_classes": k, "dim": d, "objective": objective, "nonnegative": nonnegative, "seed": seed}
    report |= {"construction": name, "optimal": source, **_measure(weight, seed, chunk_size)}
    report["proved_max_cosine"] = proved
    report["bounds"] = {
        "rankin": rankin_bound(k, d),
        "levenshtein": levenshtein_bound(k, d),
        "welch": welch_bound(k, d),
    }
    if objective == "softmax" and k <= _HULL_CLASSES:
        report["one_vs_rest_distance"] = float(one_vs_rest_distance(weight)[0].min())
    return weight, report


def explain_frame(num_classes: int, dim: int, **options: Any) -> dict[str, Any]:
    """What :func:`best_frame` builds for this size, and how good it is beside the bounds.

    Args:
        num_classes: K >= 2.
        dim: d >= 1.
        options: as for :func:`best_frame`.

    Returns:
        The dictionary that ``best_frame(..., explain=True)`` describes.

    Example:
        >>> report = explain_frame(100, 64)
        >>> report["construction"], report["optimal"], round(report["max_cosine"], 6), report["bounds"]["rankin"]
        ('orthoplex', 'Rankin 1955', 0.0, 0.0)
    """
    return best_frame(num_classes, dim, **{**options, "explain": True})[1]


def _effort(k: int, d: int, objective: str) -> tuple[int, int]:
    """Steps and restarts of the optimisation, 0 steps where it would take too long."""
    size = k * k * d
    if size <= SMALL_PROBLEM:
        restarts = next((n for limit, n in ((2000, 40), (10**5, 12), (10**6, 6), (10**7, 2)) if size <= limit), 1)
        return (600 if size <= 10**7 else 200), restarts
    steps = int(_WORK / (work_of_a_step(k, d) * (1 if objective == "max_cosine" else 2)))
    return (min(steps, _MAX_STEPS) if steps >= _MIN_STEPS else 0), 1


def _search(
    k: int,
    d: int,
    objective: str,
    seed: int,
    effort: tuple[int, int],
    cache: bool | str | Path,
    chunk_size: int,
    progress: Progress | None,
    device: torch.device | str | None,
) -> tuple[Tensor, str, float | None]:
    """The best of the candidates by measure: the weight, its name and the largest cosine it is proved to have."""
    closed = _closed_form(k, d, seed)
    steps, restarts = effort
    if steps == 0 and closed is not None:
        weight, name, proved = closed
        return weight, name, proved
    if steps == 0:
        steps = 50
    settings = {"objective": objective, "steps": steps, "restarts": restarts, "seed": seed, "chunk_size": chunk_size}
    key = {"construction": "spherical_code", "algorithm": _ALGORITHM, "num_classes": k, "dim": d, **settings}
    precise = torch.float64 if k * k * d <= SMALL_PROBLEM else torch.float32
    weight = cached_frame(
        key,
        lambda: spherical_code(k, d, **settings, progress=progress, device=device, dtype=precise),
        cache=cache,
        stacklevel=3,
    )
    dense = work_of_a_step(k, d) <= DENSE_WORK
    name = "optimised spherical code" if dense else "stochastically optimised spherical code"
    best = (weight, name, None)
    if closed is None or (objective == "softmax" and k > _HULL_CLASSES):
        return best
    if objective == "softmax":
        worse = one_vs_rest_distance(closed[0])[0].min() <= one_vs_rest_distance(weight)[0].min()
    else:
        worse = closed[2] >= cosine_range(weight, chunk_size=chunk_size)[1]
    return best if worse else closed


def _closed_form(k: int, d: int, seed: int) -> tuple[Tensor, str, float] | None:
    """The quadratic code or vectors of a larger known code, whichever has the smaller largest cosine."""
    dtype = working_dtype(k, d)
    code = quadratic_code(k, d)
    inside = [c for c in KNOWN_CODES.values() if c.num_classes >= k and c.dim <= d and c.name != "Kerdock code"]
    known = min(inside, key=lambda c: (c.max_cosine, c.num_classes), default=None)
    if known is not None and (code is None or known.max_cosine < code.max_cosine):
        weight = torch.from_numpy(known.build()[:k].copy()).to(dtype)
        name, proved = f"{k} vectors of: {known.name}, K={known.num_classes}, d={known.dim}", known.max_cosine
    elif code is not None:
        parts = [quadratic_code_rows(code, ids, dtype=dtype) for ids in torch.arange(k).split(8192)]
        weight, proved = torch.cat(parts), code.max_cosine
        name = f"{k} vectors of the quadratic-form code {code.family}, K={code.size}, d={code.dim}"
    else:
        return None
    turn = haar_orthonormal(d, weight.shape[1], seed=seed).T.to(dtype)
    return weight @ turn, name, proved


def _measure(weight: Tensor, seed: int, chunk_size: int) -> dict[str, float]:
    """Extreme cosines over all pairs, or over those of a random sample of classes with all."""
    k, d = weight.shape
    unit = weight if weight.dtype in (torch.float32, torch.float64) else weight.float()
    share = 1.0
    if k * k * d <= _MEASURED_WORK:
        low, high = cosine_range(unit, chunk_size=chunk_size)
    else:
        count = max(1, int(_MEASURED_WORK / (2 * k * d)))
        rows = torch.randperm(k, generator=make_generator(seed))[:count].to(weight.device)
        share = count * (2 * k - count - 1) / (k * (k - 1))
        low, high = math.inf, -math.inf
        for part in rows.split(max(1, chunk_size**2 // k)):
            tile = unit[part] @ unit.T
            own = torch.arange(len(part), device=weight.device)
            tile[own, part] = -math.inf
            high = max(high, float(tile.max()))
            tile[own, part] = math.inf
            low = min(low, float(tile.min()))
    return {"max_cosine": high, "min_cosine": low, "coherence": max(abs(low), abs(high)), "pairs_measured": share}
