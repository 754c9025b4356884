"""``equiangular evaluate RUN``: a trained model on a test set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def evaluate(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run (or of a model, such as RUN/best).")],
    data: Annotated[
        str | None,
        typer.Option(
            metavar="DATA",
            help="What to evaluate on: a folder CLASS/*.png, a file of labelled rows (.npz, .parquet, .csv), or a data "
            "set by name; default: the test part of the data that the model was trained on.",
        ),
    ] = None,
    prior: Annotated[
        str | None,
        typer.Option(
            metavar="PRIOR",
            help="Class prior of the predictions: uniform, train (the training data's), or a JSON/YAML file with a "
            "weight for each class; default: the one that the method is made for.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="DIR", help="Folder for the results; default: RUN/evaluation."),
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Samples at a time.")] = 256,
    accelerator: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no table of classes.")] = False,
) -> None:
    """Accuracy, balanced accuracy, many/medium/few, calibration and confusion of a trained model.

    Writes evaluation.json into the output folder, and where matplotlib is installed confusion.png, reliability.png and
    report.html.
    """
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from equiangular._files import prepare_folder, write_json
    from equiangular._provenance import provenance
    from equiangular._validate import check_int
    from equiangular.inference import evaluate, read_prior
    from equiangular.inference.device import choose_device
    from equiangular.report.evaluation import class_table, score_table, write_evaluation_page
    from equiangular.report.evaluation_figures import confusion_figure, reliability_figure
    from equiangular.report.figure import save_figure
    from equiangular.training import Classifier, load_model

    check_int(batch_size, "batch_size", minimum=1)
    device = choose_device(accelerator)
    task, info = load_model(run)
    classifier = Classifier(task, info, prior=read_prior(prior, info.class_names)).to(device)
    folder = prepare_folder(run / "evaluation" if output is None and run.is_dir() else output or Path("evaluation"))
    columns = (TextColumn("{task.description}"), MofNCompleteColumn(), TextColumn("samples"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), disable=quiet, transient=True) as bar:
        seen = bar.add_task("evaluating", total=None)

        def advance(number: int) -> None:
            bar.advance(seen, number)

        results = evaluate(classifier, data=data, batch_size=batch_size, progress=advance)
    results = {"path": str(run), **results, "provenance": provenance()}
    console = Console(width=None if Console().is_terminal else 150)
    console.print(score_table(results))
    if not quiet:
        console.print(class_table(results))
    written = [write_json(folder / "evaluation.json", results)]
    try:
        written += [
            save_figure(confusion_figure(results), folder / "confusion.png"),
            save_figure(reliability_figure(results), folder / "reliability.png"),
            write_evaluation_page(results, folder / "report.html"),
        ]
    except ImportError as error:
        typer.echo(f"no pictures: {error}", err=True)
    console.print(f"wrote {', '.join(str(path) for path in written)}", highlight=False, soft_wrap=True)
