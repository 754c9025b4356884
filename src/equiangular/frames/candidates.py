"""Which construction suits K classes in d dimensions, by theory where it decides and by measure where it does not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from equiangular._validate import Device, check_choice, check_int, check_num_classes
from equiangular.frames.code_objectives import CHUNK_SIZE, cosine_range, one_vs_rest_distance
from equiangular.frames.io import cached_frame
from equiangular.frames.known_codes import (
    BEST_KNOWN_CODES,
    KNOWN_CODES,
    PROVED_COSINES,
    find_known_code,
    known_code,
    working_dtype,
)
from equiangular.frames.nonnegative import nonnegative_orthogonal_frame
from equiangular.frames.orthogonal import haar_orthonormal, orthoplex
from equiangular.frames.quadratic_code import quadratic_code, quadratic_code_rows
from equiangular.frames.simplex import simplex_etf
from equiangular.frames.spherical_code import (
    DENSE_WORK,
    OBJECTIVES,
    SMALL_PROBLEM,
    Objective,
    Progress,
    spherical_code,
    work_of_a_step,
)

HULL_CLASSES = 1024  # up to which one-vs-rest distances are measured
_ALGORITHM = 1  # part of the cache's key: raise it when spherical_code gives other numbers
_WORK = 1.5e13  # floating-point operations that an optimisation may take, minutes on one core
_MIN_STEPS, _MAX_STEPS = 48, 400  # of the momentum method; fewer are not worth starting
_FEW_STEPS = 50  # where nothing but an optimisation is left


@dataclass(frozen=True)
class Candidate:
    """A frame and what is known about it.

    Attributes:
        weight: (K, d) unit rows.
        construction: its name.
        optimal: the source of a proof that no frame of this size is better, or None.
        max_cosine: the largest cosine that the construction is proved to stay below or attain, or None.
    """

    weight: Tensor
    construction: str
    optimal: str | None = None
    max_cosine: float | None = None


def spread_candidate(
    num_classes: int,
    dim: int,
    *,
    objective: Objective = "max_cosine",
    nonnegative: bool = False,
    seed: int = 0,
    steps: int | None = None,
    restarts: int | None = None,
    cache: bool | str | Path = True,
    chunk_size: int = CHUNK_SIZE,
    progress: Progress | None = None,
    device: Device = None,
    stacklevel: int = 1,
) -> Candidate:
    """What :func:`equiangular.spread_frame` takes, by name, unmeasured; arguments and errors are documented there."""
    k = check_num_classes(num_classes)
    d = check_int(dim, "dim", minimum=1, hint="A class vector needs at least one coordinate.")
    check_choice(objective, OBJECTIVES, "objective")
    check_int(chunk_size, "chunk_size", minimum=2)
    if steps is not None:
        check_int(steps, "steps", minimum=1)
    if restarts is not None:
        check_int(restarts, "restarts", minimum=1)
    if nonnegative:
        source = "among vectors >= 0, which have no cosine below 0"
        weight = nonnegative_orthogonal_frame(k, d, seed=seed, dtype=torch.float64)
        return Candidate(weight, "non-negative orthogonal frame", source)
    found = _decided_by_theory(k, d, objective, seed)
    if found is not None:
        return found
    closed = _closed_form(k, d, seed)
    if objective == "max_cosine" and (k, d) in BEST_KNOWN_CODES and steps is None and closed is not None:
        return closed
    usual_steps, usual_restarts = _effort(k, d, objective)
    steps = usual_steps if steps is None else steps
    if steps == 0 and closed is not None:
        return closed
    settings: dict[str, Any] = {
        "objective": objective,
        "steps": steps or _FEW_STEPS,
        "restarts": usual_restarts if restarts is None else restarts,
        "seed": seed,
        "chunk_size": chunk_size,
    }
    key = {"construction": "spherical_code", "algorithm": _ALGORITHM, "num_classes": k, "dim": d, **settings}
    precise = torch.float64 if k * k * d <= SMALL_PROBLEM else torch.float32
    weight = cached_frame(
        key,
        lambda: spherical_code(k, d, **settings, progress=progress, device=device, dtype=precise),
        cache=cache,
        stacklevel=stacklevel + 1,
    )
    dense = work_of_a_step(k, d) <= DENSE_WORK
    proved = _proof(weight) if objective == "max_cosine" and (k, d) in PROVED_COSINES else None
    optimised = Candidate(weight, f"{'' if dense else 'stochastically '}optimised spherical code", proved)
    if closed is None or (objective == "softmax" and k > HULL_CLASSES):
        return optimised
    if objective == "softmax":
        better = bool(one_vs_rest_distance(closed.weight)[0].min() > one_vs_rest_distance(weight)[0].min())
    else:
        better = cast("float", closed.max_cosine) < cosine_range(weight, chunk_size=chunk_size)[1]
    return closed if better else optimised


def _decided_by_theory(k: int, d: int, objective: Objective, seed: int) -> Candidate | None:
    """The optimum for this size, if one is known. Closed forms in float64, the largest in float32."""
    by = "Rankin 1955" if objective == "max_cosine" else "Jiang et al. 2024"
    exact: dict[str, Any] = {"seed": seed, "dtype": torch.float64}
    if k <= d + 1:
        return Candidate(simplex_etf(k, d, **exact), "simplex ETF", by)
    if k <= 2 * d:
        return Candidate(orthoplex(k, d, **exact), "orthoplex", by)
    code = find_known_code(k, d)
    if code is None or (objective == "softmax" and d > 2):
        return None
    weight = known_code(k, d, seed=seed, dtype=working_dtype(k, d))
    return Candidate(weight, code.name, code.source if objective == "max_cosine" else by, code.max_cosine)


def _proof(weight: Tensor) -> str | None:
    """The source of a proof that no code is better than this one, which was optimised, by more than 1e-6."""
    k, d = weight.shape
    cosine, source = PROVED_COSINES[k, d]
    return source if cosine_range(weight)[1] <= cosine + 1e-6 else None


def _effort(k: int, d: int, objective: Objective) -> tuple[int, int]:
    """Steps and restarts of the optimisation, 0 steps where it would take too long."""
    size = k * k * d
    if size <= SMALL_PROBLEM:
        restarts = next((n for limit, n in ((2000, 40), (10**5, 12), (10**6, 6), (10**7, 2)) if size <= limit), 1)
        return (600 if size <= 10**7 else 200), restarts
    steps = int(_WORK / (work_of_a_step(k, d) * (1 if objective == "max_cosine" else 2)))
    return (min(steps, _MAX_STEPS) if steps >= _MIN_STEPS else 0), 1


def _closed_form(k: int, d: int, seed: int) -> Candidate | None:
    """The quadratic code or vectors of a larger known code, whichever has the smaller largest cosine."""
    dtype = working_dtype(k, d)
    code = quadratic_code(k, d)
    codes = [*KNOWN_CODES.values(), *BEST_KNOWN_CODES.values()]
    inside = [c for c in codes if c.num_classes >= k and c.dim <= d and c.name != "Kerdock code"]
    known = min(inside, key=lambda c: (c.max_cosine, c.num_classes), default=None)
    if known is not None and (code is None or known.max_cosine < code.max_cosine):
        turn = haar_orthonormal(d, known.dim, seed=seed).T.to(dtype)
        weight = torch.from_numpy(known.build()[:k]).to(dtype) @ turn
        name = f"{k} vectors of: {known.name}, K={known.num_classes}, d={known.dim}"
        if (known.num_classes, known.dim) == (k, d):
            name = f"{known.name} ({known.source})"
        return Candidate(weight, name, max_cosine=known.max_cosine)
    if code is None:
        return None
    turn = haar_orthonormal(d, code.dim, seed=seed).T.to(dtype)
    weight = torch.empty(k, d, dtype=dtype, device="cpu")  # filled in parts: one copy of it is all there ever is
    for ids in torch.arange(k, device="cpu").split(2048):
        torch.mm(quadratic_code_rows(code, ids, dtype=dtype), turn, out=weight[ids[0] : ids[-1] + 1])
    name = f"{k} vectors of the quadratic-form code {code.family}, K={code.size}, d={code.dim}"
    return Candidate(weight, name, max_cosine=code.max_cosine)
