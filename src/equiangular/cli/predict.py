"""``equiangular predict RUN FILES``: class names and calibrated probabilities."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def predict(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run (or of a model, such as RUN/best).")],
    inputs: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILES",
            help="Images, folders of images, tables (.npz, .parquet, .csv), or .txt files with a text in each line.",
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="File to write, .csv or .json; default: the screen."),
    ] = None,
    top_k: Annotated[int, typer.Option("--top-k", "-k", help="Classes to name for each input.")] = 1,
    prior: Annotated[
        str | None,
        typer.Option(
            metavar="PRIOR",
            help="Class prior where the model is used: uniform, train (the training data's), or a JSON/YAML file with "
            "a weight for each class; default: the one that the method is made for.",
        ),
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Inputs at a time.")] = 256,
    accelerator: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Predict images, table rows or texts: class names with calibrated probabilities.

    Inputs that cannot be read have a row that says why; the rest goes on, and the exit code is 3 in the end.
    """
    import sys

    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from equiangular._validate import check_int
    from equiangular.inference import list_inputs, predict_files, read_inputs, read_prior, write_predictions
    from equiangular.inference.device import choose_device
    from equiangular.inference.predictions import Counted, check_output, csv_lines
    from equiangular.training import Classifier, load_model

    for name, value in (("top-k", top_k), ("batch-size", batch_size)):
        check_int(value, name, minimum=1)
    if output is not None:
        check_output(output)
    task, info = load_model(run)
    classifier = Classifier(task, info, prior=read_prior(prior, info.class_names)).to(choose_device(accelerator))
    files = list_inputs(inputs, info.kind)
    top_k = min(top_k, info.num_classes)
    columns = (TextColumn("{task.description}"), MofNCompleteColumn(), TextColumn("inputs"), TimeElapsedColumn())
    silent = quiet or output is None
    with Progress(*columns, console=Console(stderr=True), disable=silent, transient=True) as bar:
        seen = bar.add_task("predicting", total=None)

        def batches():
            for batch in read_inputs(files, info, batch_size=batch_size):
                yield batch
                bar.advance(seen, len(batch.names) + len(batch.failures))

        predictions = predict_files(classifier, batches(), top_k=top_k)
        if output is None:
            counted = Counted(predictions)
            csv_lines(counted, sys.stdout, top_k)
            done, failed = counted.done, counted.failed
        else:
            done, failed = write_predictions(predictions, output, top_k=top_k)
    if output is not None:
        typer.echo(f"wrote {done + failed} rows to {output}")
    if failed:
        where = "the column 'error'" if output is None or output.suffix == ".csv" else "the key 'error'"
        message = f"{failed} of {done + failed} inputs could not be read; {where} says why. The others are done."
        typer.echo(f"equiangular: {message}", err=True)
        raise typer.Exit(3)
