"""``equiangular compare DATA``: the main job. Do you need a learnable classifier on this data?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from equiangular.cli._fields import options_of
from equiangular.training.config.budget import Budget
from equiangular.training.config.hardware import Hardware

PANELS = {"Optimisation, the same for every method": Budget, "Where it runs": Hardware}


@options_of(Hardware, leave=("devices", "num_nodes", "strategy", "threads"), panels=PANELS)
@options_of(Budget, panels=PANELS)
def compare(
    data: Annotated[str, typer.Argument(help="Data set: digits, another name, or a path.")] = "digits",
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for the results.")] = Path(
        "runs/compare"
    ),
    methods: Annotated[
        str | None, typer.Option(metavar="NAME,...", help="Methods to compare; default: the ten of the table.")
    ] = None,
    imbalance: Annotated[float, typer.Option(help="Imbalance factor n_max/n_min of the cut; 1: as it is.")] = 100,
    profile: Annotated[str, typer.Option(help="Profile of the class sizes: exp or step.")] = "exp",
    protocol: Annotated[str, typer.Option(help="Choice of the samples: local, or cao2019 (CIFAR-LT).")] = "local",
    seeds: Annotated[int, typer.Option(help="Paired runs of every method.")] = 10,
    subset_seed: Annotated[
        int | None, typer.Option(help="One training subset for all runs; default: a new one for every run.")
    ] = None,
    root: Annotated[str | None, typer.Option(help="Folder of named data sets; default: EQUIANGULAR_DATA.")] = None,
    size: Annotated[int | None, typer.Option(help="Height and width to bring images to, in pixels.")] = None,
    backbone: Annotated[str | None, typer.Option(help="Backbone; default: one that fits the data.")] = None,
    width: Annotated[float, typer.Option(help="Multiplies the sizes of the backbone's layers.")] = 1.0,
    threads: Annotated[int, typer.Option(help="CPU threads; small networks are fastest with one.")] = 1,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")] = False,
    **fields: Any,
) -> None:
    """Train fixed and learnable classifiers on the same data, measure, test, and answer in a sentence.

    On digits the defaults are those tuned for it, elsewhere those shown here. Writes results.json, figure.png and
    report.html into the output folder. A killed comparison goes on where it stopped when the same command is given
    again.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    from equiangular._files import prepare_folder
    from equiangular._validate import check_int

    prepare_folder(output)
    import torch

    torch.set_num_threads(check_int(threads, "threads", minimum=1))
    from equiangular.compare import COLUMNS, configure, planned_runs, run_study
    from equiangular.report import comparison_figure, comparison_table, save_figure, write_page

    config = configure(
        data,
        imbalance=imbalance,
        profile=profile,
        protocol=protocol,
        methods=tuple(filter(None, (methods or "").replace(" ", "").split(","))),
        seeds=seeds,
        subset_seed=subset_seed,
        root=root,
        size=size,
        backbone=backbone,
        width=width,
        **fields,
    )
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), disable=quiet, transient=True) as bar:
        trainings = bar.add_task("loading", total=len(planned_runs(config)))
        started = False

        def advance(description: str) -> None:
            nonlocal started
            bar.update(trainings, advance=int(started), description=description or "done")
            started = True

        results = run_study(config, output, progress=advance)
    console = Console(width=None if Console().is_terminal else 210)
    console.print(comparison_table(results, COLUMNS, width=console.width))
    console.print(results["answer"]["sentence"], style="bold", highlight=False)
    save_figure(comparison_figure(results), output / "figure.png")
    page = write_page(results, COLUMNS, output / "report.html")
    console.print(f"\nwrote {output / 'results.json'}, {output / 'figure.png'} and {page}", highlight=False)
