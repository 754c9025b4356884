"""``equiangular frame K D -o FILE``: write class vectors and say how good they are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from equiangular.cli._fields import Quiet, progress_bar
from equiangular.cli._screen import Json, Screen

if TYPE_CHECKING:
    from equiangular.frames.candidates import Candidate
    from equiangular.frames.spherical_code import Progress

CONSTRUCTIONS = ("auto", "simplex", "spread", "optimised", "orthoplex", "nonnegative", "quadratic", "hadamard")


def frame(
    num_classes: Annotated[int, typer.Argument(metavar="K", help="Number of classes, at least 2.")],
    dim: Annotated[int, typer.Argument(metavar="D", help="Dimension of the class vectors.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="File to write: .npy or .safetensors.")
    ],
    construction: Annotated[
        str,
        typer.Option(
            help="auto (simplex for K <= D+1, spread beyond), simplex, spread (by theory, else by measure), "
            "optimised (a spherical code), orthoplex, nonnegative (for features after a ReLU), quadratic or hadamard."
        ),
    ] = "auto",
    objective: Annotated[
        str,
        typer.Option(
            help="Of spread and optimised: max_cosine, the smallest largest cosine, or softmax, the largest distance "
            "of a vector from the hull of the others."
        ),
    ] = "max_cosine",
    basis: Annotated[
        str, typer.Option(help="Orientation of a simplex: haar, minimal, canonical, grouped or dct.")
    ] = "haar",
    restarts: Annotated[
        int | None, typer.Option(help="Random starts of an optimisation; default: by size for spread, else 1.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of a random orientation or start.")] = 0,
    dtype: Annotated[str, typer.Option(help="Number format: float64, float32, float16 or bfloat16.")] = "float32",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing file.")] = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Write K unit vectors in D dimensions, spread as far as they go, and report them beside the bounds for any K.

    For K <= D+1 they are a simplex ETF: every pair at cosine -1/(K-1).

    Beyond, where none exists, they are the optimum if one is known, else optimised; what took minutes is kept in
    ~/.cache/equiangular, or in $EQUIANGULAR_CACHE.
    """
    import torch

    from equiangular import frames
    from equiangular._renamed import warn_renamed
    from equiangular._validate import check_choice
    from equiangular.frames.candidates import HULL_CLASSES
    from equiangular.frames.io import check_target

    kinds = {"float64": torch.float64, "float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
    kind = kinds[check_choice(dtype, kinds, "dtype")]
    if construction == "best":
        warn_renamed("--construction best", "spread")
        construction = "spread"
    check_choice(construction, CONSTRUCTIONS, "construction")
    check_target(output, overwrite=overwrite)
    if construction == "auto":
        construction = "simplex" if num_classes <= dim + 1 else "spread"
    if construction != "simplex" and basis != "haar":
        raise ValueError(f"--basis {basis} is an orientation of a simplex ETF, got the construction {construction!r}.")
    with progress_bar(quiet=quiet) as bar:  # optimising takes minutes, and so does measuring 10^10 pairs
        work = bar.add_task("building", total=None)

        def advance(done: int, total: int, value: float) -> None:
            bar.update(work, completed=done, total=total, description=f"optimising, {objective} {abs(value):.5f}")

        built = _build(construction, num_classes, dim, objective, basis, restarts, seed, advance)
        weight = built.weight.to(kind)
        described = {"construction": built.construction, "seed": str(seed)}
        described |= {"basis": basis} if construction == "simplex" else {}
        described |= {"objective": objective} if construction in ("spread", "optimised") else {}
        frames.save_frame(output, weight, metadata=described, overwrite=overwrite)
        bar.update(work, description="measuring", completed=0)
        report = frames.frame_report(weight, progress=lambda done, total: bar.update(work, completed=done, total=total))
    screen = Screen(as_json)
    screen.print(f"{'construction':<20}{built.construction}")
    screen.print(f"{'optimal':<20}{f'yes ({built.optimal})' if built.optimal else 'not known to be'}")
    screen.print(str(report))
    told: dict[str, Any] = {"path": str(output), "construction": built.construction, "optimal": built.optimal or None}
    told |= report.as_dict()
    if objective == "softmax" and num_classes <= HULL_CLASSES:
        told["distance_to_hull"] = float(frames.one_vs_rest_distance(weight)[0].min())
        screen.print(f"{'distance to hull':<20}{told['distance_to_hull']:.6g}  (the smallest)")
    screen.print(f"wrote {output}")
    screen.document(told)


def _build(
    construction: str, k: int, d: int, objective: str, basis: str, restarts: int | None, seed: int, progress: Progress
) -> Candidate:
    """The frame by name of its construction, in float64 where it is not huge."""
    import torch

    from equiangular import frames
    from equiangular.frames.candidates import Candidate, spread_candidate

    exact: dict[str, Any] = {"seed": seed, "dtype": torch.float64}
    if construction == "spread":
        return spread_candidate(k, d, objective=objective, restarts=restarts, seed=seed, progress=progress)
    if construction == "simplex":
        return Candidate(frames.simplex_etf(k, d, basis=basis, **exact), "simplex ETF", "Rankin 1955")
    if construction == "optimised":
        options: dict[str, Any] = {"objective": objective, "restarts": restarts or 1, "progress": progress}
        return Candidate(frames.spherical_code(k, d, **options, **exact), "optimised spherical code")
    if construction == "orthoplex":
        optimal = "Rankin 1955" if d + 1 < k else None  # for fewer classes a simplex is better
        return Candidate(frames.orthoplex(k, d, **exact), "orthoplex", optimal)
    if construction == "nonnegative":
        return spread_candidate(k, d, nonnegative=True, seed=seed)
    if construction == "hadamard":
        return Candidate(frames.hadamard_frame(k, d, **exact), "Hadamard rows")
    rows = frames.implicit_rows(torch.arange(k), d, construction="quadratic", num_classes=k, **exact)
    return Candidate(rows, "quadratic-form code")
