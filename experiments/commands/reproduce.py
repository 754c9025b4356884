"""``python -m experiments reproduce NAME``: a factorial study, tuned on validation data and run over seeds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def reproduce(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Study; they are listed by: python -m experiments list.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="Folder for results; runs/NAME by default.")
    ] = None,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="Trainings at a time, one thread each.")] = 1,
    imbalance: Annotated[
        list[float] | None,
        typer.Option(help="This imbalance factor instead of the study's own; may be given several times."),
    ] = None,
    seeds: Annotated[int | None, typer.Option(min=2, help="Paired runs of every cell.")] = None,
    tuning_seeds: Annotated[int | None, typer.Option(min=1, help="Runs of every candidate of the tuning.")] = None,
    accelerator: Annotated[
        str | None, typer.Option(help="cpu, cuda, mps or auto; trainings at a time share it. Default: cpu.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")] = False,
) -> None:
    """Run a factorial study: head x features x loss x correction x mixup, and say which factor carries the gain.

    Every cell is tuned alike on validation data of the training pool. Finished trainings are kept: a study that was
    stopped goes on where it was.
    """
    from experiments.studies.registry import get_study

    study = get_study(name).changed(
        imbalances=tuple(imbalance) if imbalance else None, seeds=seeds, tuning_seeds=tuning_seeds,
        accelerator=accelerator,
    )  # fmt: skip
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from equiangular.report import save_figure
    from experiments.report.study import effects_table, study_figure
    from experiments.studies.run import run_factorial

    folder = output or Path("runs") / name
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), disable=quiet, transient=True) as bar:
        trainings = bar.add_task("loading", total=None)

        def advance(stage: str, done: int, planned: int) -> None:
            bar.update(trainings, description=stage, completed=done, total=planned)

        results = run_factorial(study, folder, jobs=jobs, progress=advance)
    console = Console(width=None if Console().is_terminal else 150)
    for part in results["parts"]:
        console.print(effects_table(part, study.data))
    save_figure(study_figure(results), folder / "figure.png")
    typer.echo(f"wrote {folder / 'results.json'} and {folder / 'figure.png'}")
