"""``equiangular frame K D -o FILE``: write a frame and say how good it is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def frame(
    num_classes: Annotated[int, typer.Argument(metavar="K", help="Number of classes, at least 2.")],
    dim: Annotated[int, typer.Argument(metavar="D", help="Dimension of the class vectors, at least K - 1.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="File to write: .npy or .safetensors.")
    ],
    basis: Annotated[str, typer.Option(help="Orientation: haar, minimal, canonical or dct.")] = "haar",
    seed: Annotated[int, typer.Option(help="Seed of a random orientation.")] = 0,
    dtype: Annotated[str, typer.Option(help="Number format: float64, float32, float16 or bfloat16.")] = "float32",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing file.")] = False,
) -> None:
    """Write a simplex ETF: K unit vectors in D dimensions, every pair at cosine -1/(K-1)."""
    import torch

    from equiangular._validate import check_choice
    from equiangular.frames import frame_report, save_frame, simplex_etf

    kinds = {"float64": torch.float64, "float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
    kind = kinds[check_choice(dtype, kinds, "dtype")]
    weight = simplex_etf(num_classes, dim, basis=basis, seed=seed, dtype=kind)
    described = {"construction": "simplex_etf", "basis": basis, "seed": str(seed)}
    save_frame(output, weight, metadata=described, overwrite=overwrite)
    typer.echo(str(frame_report(weight)))
    typer.echo(f"wrote {output}")
