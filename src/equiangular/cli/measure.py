"""``equiangular measure FILE...``: neural collapse of stored features, one file or one for each epoch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def measure(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...",
            help="Feature files (.npz, .parquet, .safetensors) with features and labels, and weight or logits if there "
            "are; or a folder of them. Several are taken as epochs, in the order of the last number in their names.",
        ),
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="Folder for measures.json and report.html.")
    ] = None,
    global_mean: Annotated[str, typer.Option(help="Global mean: class or sample.")] = "class",
    groups: Annotated[
        bool, typer.Option("--groups/--no-groups", help="Also many-, medium- and few-shot classes, by counts.")
    ] = False,
    covariance: Annotated[
        bool, typer.Option("--covariance/--no-covariance", help="NC1 (pinv) and VCI, which need a d x d matrix.")
    ] = True,
) -> None:
    """Measure neural collapse of stored features: one pass, any size, safe near collapse."""
    from rich.console import Console
    from rich.progress import track

    from equiangular._files import prepare_folder, write_json

    if output is not None:
        prepare_folder(output)
    from equiangular._provenance import provenance
    from equiangular.measures.feature_files import SUFFIXES, epoch_of, read_features
    from equiangular.measures.from_file import measure_file
    from equiangular.report.collapse import collapse_table, write_collapse_page

    paths = [p for f in files for p in (sorted(q for q in f.iterdir() if q.suffix in SUFFIXES) if f.is_dir() else [f])]
    if not paths:
        raise ValueError(f"no feature file in {', '.join(map(str, files))}; they end in {', '.join(SUFFIXES)}.")
    numbers = [epoch_of(p) for p in paths]
    numbered = len(set(numbers)) == len(paths) and None not in numbers
    if numbered:
        paths = [p for _, p in sorted(zip(numbers, paths, strict=True))]
    rows = []
    for path in track(paths, "measuring", console=Console(stderr=True), transient=True, disable=len(paths) == 1):
        data = read_features(path)
        rows.append(measure_file(data, global_mean=global_mean, groups=groups, covariance=covariance))
    console = Console(width=None if Console().is_terminal else 150)
    console.print(collapse_table(rows[-1], str(paths[-1])))
    if output is not None:
        results = {
            "files": [str(p) for p in paths],
            "epochs": sorted(numbers) if numbered else list(range(len(paths))),
            "measures": rows,
            "global_mean": global_mean,
            "shape": {"samples": len(data.labels), "classes": data.num_classes, "dim": data.features.shape[1]},
            "provenance": provenance(),
        }
        write_json(output / "measures.json", results)
        page = write_collapse_page(results, output / "report.html")
        typer.echo(f"wrote {output / 'measures.json'} and {page}")
