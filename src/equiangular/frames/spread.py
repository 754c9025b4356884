"""Class vectors spread as far as this library can, for any number of classes in any dimension."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from equiangular._random import make_generator
from equiangular._renamed import warn_renamed
from equiangular._validate import Device, Dtype
from equiangular.frames.bounds import levenshtein_bound, rankin_bound, welch_bound
from equiangular.frames.candidates import HULL_CLASSES, spread_candidate
from equiangular.frames.checks import extremes
from equiangular.frames.code_objectives import CHUNK_SIZE, cosine_range, one_vs_rest_distance
from equiangular.frames.spherical_code import Objective, Progress

_MEASURED_WORK = 2e13  # operations up to which every pair is measured, and not a sample of classes against all


def spread_frame(
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
    dtype: Dtype = None,
) -> Tensor:
    """Unit vectors (K, d), spread as well as theory or an optimisation can, in a random orientation.

    In this order:

    1. K <= d+1: the simplex ETF. K <= 2d: the orthoplex. Both are optimal, for both objectives.
    2. A code that is proved optimal for exactly this size, see :func:`equiangular.frames.find_known_code`.
    3. Otherwise the best of: an optimised code (:func:`equiangular.frames.spherical_code`) where that takes minutes
       on one core at most, the effort being a fixed number of steps by size; vectors taken from a larger known code;
       a quadratic-form code (:func:`equiangular.frames.quadratic_code`), which costs nothing at any K. Nothing is
       claimed for these: :func:`explain_frame` measures them and puts the bounds beside.

    Args:
        num_classes, dim: K >= 2 and d >= 1.
        objective: ``"max_cosine"``, the smallest largest cosine, or ``"softmax"``, the largest distance of a vector
            from the convex hull of the others.
        nonnegative: ask for vectors without negative entries, for features after a ReLU; K <= d.
        seed: orientation of a closed form, random starts of an optimisation.
        steps: of the optimisation; by size if None. Given, it is made however long it takes.
        restarts: of the optimisation; by size if None.
        cache: keep optimised codes on disk: True for ``$EQUIANGULAR_CACHE`` (``off``: nowhere) or the user's cache
            folder, a folder, or False.
        chunk_size: rows of a tile of the Gram matrix, which is never held whole.
        progress: see :func:`equiangular.frames.spherical_code`.
        device: where to optimise, and device of the result.
        dtype: dtype of the result, torch's default if None.

    Raises:
        ValueError: K < 2, d < 1, K > 2 in one dimension, K > d with ``nonnegative``, or an unknown objective.

    Example:
        >>> spread_frame(1000, 512).shape, spread_frame(5, 4, dtype=torch.float64).shape
        (torch.Size([1000, 512]), torch.Size([5, 4]))

    Source: Rankin 1955; Cohn and Kumar 2007; for the softmax objective Jiang et al., "Generalized neural collapse for a
    large number of classes", ICML 2024 (K <= 2d, and d = 2), and Alcala et al. 2026, arXiv:2603.20587 (K <= 2d).
    """
    kind: dict[str, Any] = {"objective": objective, "nonnegative": nonnegative, "seed": seed, "cache": cache}
    effort: dict[str, Any] = {"steps": steps, "restarts": restarts, "chunk_size": chunk_size, "progress": progress}
    found = spread_candidate(num_classes, dim, **kind, **effort, device=device, stacklevel=2)
    return found.weight.to(device=device, dtype=dtype or torch.get_default_dtype())


def explain_frame(
    num_classes: int,
    dim: int,
    *,
    objective: Objective = "max_cosine",
    nonnegative: bool = False,
    seed: int = 0,
    chunk_size: int = CHUNK_SIZE,
    device: Device = None,
    dtype: Dtype = None,
    **options: Any,
) -> dict[str, Any]:
    """What :func:`spread_frame` builds for the same arguments, and how good it is beside the bounds.

    Args:
        num_classes, dim, objective, nonnegative, seed, chunk_size, dtype: as for :func:`spread_frame`, errors too.
        device: where to build and to measure.
        options: its ``steps``, ``restarts``, ``cache`` and ``progress``.

    Returns:
        A JSON-plain dictionary: ``construction``; ``optimal``, the source of a proof or None; ``max_cosine``,
        ``min_cosine`` and ``coherence`` as measured; ``pairs_measured``, the fraction of the pairs that was looked at,
        1 but for huge K; ``proved_max_cosine`` where the construction has a guarantee; ``bounds``, which no K vectors
        in d dimensions can beat: ``rankin`` and ``levenshtein`` on max_cosine, ``welch`` on coherence; for the softmax
        objective ``one_vs_rest_distance`` (K <= 1024), the smallest, as certified; and the arguments.

    Example:
        >>> report = explain_frame(12, 3)
        >>> report["construction"], round(report["max_cosine"], 4), round(report["bounds"]["levenshtein"], 4)
        ('icosahedron', 0.4472, 0.4472)
    """
    options |= {"objective": objective, "nonnegative": nonnegative, "seed": seed, "chunk_size": chunk_size}
    found = spread_candidate(num_classes, dim, **options, device=device, stacklevel=2)
    weight = found.weight.to(device=device, dtype=dtype or torch.get_default_dtype())
    k, d = weight.shape
    report: dict[str, Any] = {"num_classes": k, "dim": d, "objective": objective, "seed": seed}
    report |= {"nonnegative": nonnegative, "construction": found.construction, "optimal": found.optimal}
    report |= _measure(weight, seed, chunk_size)
    report["proved_max_cosine"] = found.max_cosine
    bounds = {"rankin": rankin_bound, "levenshtein": levenshtein_bound, "welch": welch_bound}
    report["bounds"] = {name: bound(k, d) for name, bound in bounds.items()}
    if objective == "softmax" and k <= HULL_CLASSES:
        report["one_vs_rest_distance"] = float(one_vs_rest_distance(weight)[0].min())
    return report


def best_frame(
    num_classes: int, dim: int, *, explain: bool = False, **options: Any
) -> Tensor | tuple[Tensor, dict[str, Any]]:
    """The name of :func:`spread_frame` in the last release; with ``explain`` also what :func:`explain_frame` gives."""
    warn_renamed("best_frame", "spread_frame (and explain=True explain_frame)" if explain else "spread_frame")
    weight = spread_frame(num_classes, dim, **options)
    return (weight, explain_frame(num_classes, dim, **options)) if explain else weight


def _measure(weight: Tensor, seed: int, chunk_size: int) -> dict[str, float]:
    """Extreme cosines over all pairs, or over those of a random sample of classes with all."""
    k, d = weight.shape
    unit = weight if weight.dtype in (torch.float32, torch.float64) else weight.float()
    share = 1.0
    if k * k * d <= _MEASURED_WORK:
        low, high = cosine_range(unit, chunk_size=chunk_size)
    else:
        count = max(1, int(_MEASURED_WORK / (2 * k * d)))
        rows = torch.randperm(k, generator=make_generator(seed), device="cpu")[:count].to(weight.device)
        share = count * (2 * k - count - 1) / (k * (k - 1))
        ranges = [extremes(unit[part] @ unit.T, part) for part in rows.split(max(1, chunk_size**2 // k))]
        low, high = min(low for low, _ in ranges), max(high for _, high in ranges)
    return {"max_cosine": high, "min_cosine": low, "coherence": max(abs(low), abs(high)), "pairs_measured": share}
