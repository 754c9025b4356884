"""``python -m experiments summarise RESULTS...``: several factorial studies put together."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def summarise(
    results: Annotated[
        list[Path],
        typer.Argument(
            metavar="RESULTS...",
            help="Studies: the results.json of 'reproduce', the folder it is in, or a folder of several.",
        ),
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="Folder for the tables and figures.")
    ] = None,
) -> None:
    """Put studies together: fixed against learnable on every data set, the effect of each factor, mean ranks.

    Every study at every imbalance factor is one data set. With -o, writes summary.json, summary.md and figures of what
    is printed.
    """
    from rich.console import Console

    from equiangular._files import prepare_folder, write_json, write_text

    if output is not None:
        prepare_folder(output)
    from experiments.report.across import grids, summary_markdown
    from experiments.studies.across import summarise_across
    from experiments.studies.compact import read_studies

    summary = summarise_across(read_studies(results))
    console = Console(width=None if Console().is_terminal else 210)
    for grid in grids(summary, short=console.width < 180):
        console.print(grid.rich())
    if summary["left_out"]:
        typer.echo(f"left out, the same data at the same imbalance factor: {', '.join(summary['left_out'])}")
    if output is not None:
        from equiangular._provenance import provenance
        from equiangular.report import save_figure
        from experiments.report.across_figures import figures

        write_json(output / "summary.json", {**summary, "provenance": provenance()})
        write_text(output / "summary.md", summary_markdown(summary))
        drawn = [save_figure(figure, output / f"{name}.png").name for name, figure in figures(summary).items()]
        typer.echo(f"wrote {', '.join(['summary.json', 'summary.md', *drawn])} into {output}")
