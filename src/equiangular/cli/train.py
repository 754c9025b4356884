"""The commands train and resume: one method on one data set, into a run folder; progress and scores on the screen."""

from __future__ import annotations

import math
import sys
from contextlib import nullcontext, suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from equiangular.cli._embedding import EmbeddingBar
from equiangular.cli._fields import Quiet, options_of, parse_texts, progress_bar
from equiangular.cli._reading import show_data
from equiangular.training.config.budget import Budget
from equiangular.training.config.catalogue import method_name, refuse_unknown_data
from equiangular.training.config.options import DataOptions, Hardware, TrainConfig

if TYPE_CHECKING:
    from equiangular.training import Training

# Keys of the scores and their headings, in the order of the table.
SCORES = ("accuracy", "balanced_accuracy", "many", "medium", "few", "ece")
HEADINGS = ("accuracy", "balanced", "many", "medium", "few", "ECE")


def show_run(config: TrainConfig, output: Path, *, quiet: bool) -> None:
    """Run, or go on, with a progress bar; then print the scores of the test part and where everything is."""
    from rich.console import Console

    from equiangular._atomic import sweep
    from equiangular.data.reading import apart_note
    from equiangular.report.figure import save_figure, training_figure
    from equiangular.training.engine.stopping import Stopped
    from equiangular.training.methods import FittedMethod, get_method
    from equiangular.training.run.folder import RunFolder
    from equiangular.training.run.train import train

    finished = RunFolder(output).results.exists()
    fitted = isinstance(get_method(config.method), FittedMethod)
    bar = ProgressBar(0 if fitted else config.epochs, quiet=quiet)
    try:
        with bar, EmbeddingBar(quiet=quiet, bar=bar.bar) as embedding:
            results = train(config, output, progress=bar, embedding=embedding, loaded=partial(show_data, quiet=quiet))
    except Stopped as stopped:
        if bar.first_process:
            print(f"equiangular: {stopped}", file=sys.stderr)
        raise typer.Exit(128 + stopped.signal) from None
    if not bar.first_process:
        return
    console = Console()
    if finished:
        console.print(f"this run had finished already; its results, from {output / 'results.json'}:", highlight=False)
    console.print(scores_table(results))
    if note := results["test"].get("note"):
        console.print(note, highlight=False, markup=False)
    if apart := results["data"].get("apart"):
        console.print(apart_note(apart), highlight=False, markup=False)
    curves, names = output / "curves.png", ["results.json", "metrics.csv"]
    if find_spec("matplotlib") is not None and not fitted and not (finished and curves.exists()):
        with suppress(OSError) if finished else nullcontext():  # it may lie on a disk that cannot be written
            names.append(save_figure(training_figure(results), curves).name)
    if finished:
        sweep(output)
        return
    console.print(f"wrote {', '.join(names)} and model/ into {output}", highlight=False)


class ProgressBar:
    """Epochs and steps on standard error; without a terminal, one line for each epoch. 0 epochs: a fit in one call."""

    def __init__(self, epochs: int, *, quiet: bool) -> None:
        from rich.console import Console

        self.console = Console(stderr=True)
        self.epochs, self.first_process = epochs, True
        self.lines = not quiet and not self.console.is_terminal
        self.bar = progress_bar(quiet=quiet or not self.console.is_terminal)
        self.task = self.bar.add_task("loading", total=None)

    def __enter__(self) -> ProgressBar:
        self.bar.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.bar.stop()

    def __call__(self, training: Training, row: dict[str, Any] | None) -> None:
        """After a step (``row`` is None) or an epoch."""
        self.first_process = training.fabric.is_global_zero
        if row is None:
            steps = len(training.batches)
            self.bar.update(self.task, total=self.epochs * steps, completed=training.epoch * steps + training.step)
            return
        score = row.get("validation_balanced_accuracy")
        text = f"epoch {training.epoch}/{self.epochs}" if self.epochs else "fitted"
        text += f", loss {row['loss']:.4f}"
        text += "" if score is None else f", validation {score:.1f} % balanced"
        self.bar.update(self.task, description=text)
        if self.lines and self.first_process:
            self.console.print(text, highlight=False)


def scores_table(results: dict[str, Any]) -> Any:
    """The scores of the last epoch, and of the epoch that was best on the validation part; of a fit, which has none."""
    from equiangular.report.table import new_table

    title = f"{results['method']['label']} on {results['data']['name']}, test part, %"
    table = new_table(title, "" if results["test"]["epoch"] is None else "epoch", numbers=HEADINGS)
    for key, meaning in (("test", "last"), ("best", "best")):
        scores = results[key]
        if scores is not None:
            cells = ("-" if n is None or math.isnan(n) else f"{n:.1f}" for n in map(scores.get, SCORES))
            if scores["epoch"] is None:
                table.add_row("fitted", *cells)
                break
            table.add_row(f"{scores['epoch']} ({meaning})", *cells)
    return table


PANELS = {"Data": DataOptions, "Optimisation, the same for every method": Budget, "Where it runs": Hardware}


@options_of(TrainConfig, leave=("data",), panels=PANELS)
def train(
    data: Annotated[str | None, typer.Argument(help="Data set: digits, another name, or a path.")] = None,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="RUN", help="Folder of the run.")] = Path(
        "runs/train"
    ),
    config: Annotated[
        Path | None, typer.Option("--config", "-c", metavar="FILE", help="YAML file with defaults; options win.")
    ] = None,
    recipe: Annotated[
        str,
        typer.Option(help="Starting point: recommended, rival or paper, see equiangular list recipes; all else wins."),
    ] = "recommended",
    quiet: Quiet = False,
    **fields: Any,
) -> None:
    """Train one method on one data set, and measure it on the test part.

    Writes config.yaml, metrics.csv, model/, best/ and results.json into the folder of the run. An interrupted run goes
    on with the same command, or with: equiangular resume RUN.
    """
    from equiangular.training.config.files import make_config, read_yaml, recipe_values

    given = parse_texts(TrainConfig, {"data": data, **fields})
    layers = [recipe_values(recipe)]
    if config is not None:
        layers.append(read_yaml(config))
        make_config(TrainConfig, layers[-1], where=str(config))  # a message about the file names it
    settings = make_config(TrainConfig, *layers, given, where="the options")
    method_name(settings.method)  # a mistyped name is refused before torch is imported
    refuse_unknown_data(settings.data, settings.root)
    show_run(settings, output, quiet=quiet)


@options_of(Hardware, leave=("precision", "accumulate", "compile", "channels_last"))
def resume(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of the run.")], quiet: Quiet = False, **fields: Any
) -> None:
    """Go on with an interrupted run; it ends with the weights it would have had without the interruption.

    The configuration is the one the run was started with; only where it runs can be changed.
    """
    from dataclasses import replace

    from equiangular.training.run.folder import RunFolder

    changes = {name: value for name, value in fields.items() if value is not None}
    show_run(replace(RunFolder(run).read_config(), **changes), run, quiet=quiet)
