"""The commands train and resume: one method on one data set, into a run folder; progress and scores on the screen."""

from __future__ import annotations

import math
import sys
import time
from contextlib import nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from equiangular.cli._drawing import can_draw
from equiangular.cli._embedding import EmbeddingBar
from equiangular.cli._fields import Data, Quiet, named, options_of, own_folder, parse_texts, progress_bar
from equiangular.cli._reading import show_data
from equiangular.cli._screen import Json, Screen
from equiangular.training.config.budget import Budget
from equiangular.training.config.catalogue import method_name, refuse_unknown_data
from equiangular.training.config.options import DataOptions, Hardware, TrainConfig

if TYPE_CHECKING:
    from equiangular.data import Dataset
    from equiangular.training import Training

QUIET_FOR = 60.0  # seconds without a line of progress
# Keys of the scores and their headings, in the order of the table.
SCORES = ("accuracy", "balanced_accuracy", "many", "medium", "few", "ece")
HEADINGS = ("accuracy", "balanced", "many", "medium", "few", "ECE")


def show_run(config: TrainConfig, output: Path, *, quiet: bool, as_json: bool) -> None:
    """Run, or go on, with a progress bar; then print the scores of the test part and where everything is."""
    from equiangular._atomic import sweep
    from equiangular.data.reading import apart_note
    from equiangular.report.figure import save_figure, training_figure
    from equiangular.report.page import write
    from equiangular.report.together import page_of_results
    from equiangular.training.engine.stopping import Stopped
    from equiangular.training.methods import FittedMethod, get_method
    from equiangular.training.run.folder import RunFolder
    from equiangular.training.run.train import train

    draws, finished = can_draw(), RunFolder(output).results.exists()
    fitted = isinstance(get_method(config.method), FittedMethod)
    bar = ProgressBar(0 if fitted else config.epochs, quiet=quiet)
    try:
        with bar, EmbeddingBar(quiet=quiet, bar=bar.bar) as embedding:
            results = train(
                config, output, progress=bar, embedding=embedding, loaded=partial(show_plan, config, quiet=quiet)
            )
    except Stopped as stopped:
        if bar.first_process:
            print(f"equiangular: {stopped}", file=sys.stderr)
        raise typer.Exit(128 + stopped.signal) from None
    if not bar.first_process:
        return
    screen = Screen(as_json, width=80)
    if finished:
        screen.print(f"this run had finished already; its results, from {output / 'results.json'}:")
    screen.print(scores_table(results))
    if note := results["test"].get("note"):
        screen.print(note)
    if apart := results["data"].get("apart"):
        screen.print(apart_note(apart))
    curves, page, names = output / "curves.png", output / "report.html", ["results.json", "metrics.csv"]
    with suppress(OSError) if finished else nullcontext():  # what is finished may lie on a disk that cannot be written
        if draws and not fitted and not (finished and curves.exists()):
            names.append(save_figure(training_figure(results), curves).name)
        if draws and not (finished and page.exists()):
            names.append(write(page_of_results([("", "training", results)]), page).name)
    if finished:
        sweep(output)
    else:
        screen.print(f"wrote {', '.join(names)} and model/ into {output}")
    screen.print(f"next: equiangular evaluate {output}, equiangular predict {output} FILES")
    screen.document(results)


def show_plan(config: TrainConfig, dataset: Dataset, *, quiet: bool) -> None:
    """Print on standard error what was read, and what will be done with it where."""
    from equiangular._device import choose_device
    from equiangular.training.methods import FittedMethod, get_method

    show_data(dataset, quiet=quiet)
    if quiet:
        return
    method = get_method(config.method)
    work = "one fit" if isinstance(method, FittedMethod) else f"{config.epochs} epochs, batches of {config.batch_size}"
    print(f"{method.label}: {work}, on {choose_device(config.accelerator)}", file=sys.stderr)


class ProgressBar:
    """Epochs and steps on standard error; without a terminal a line for each epoch, and one a minute in long epochs.

    0 epochs: a fit in one call.
    """

    def __init__(self, epochs: int, *, quiet: bool) -> None:
        from rich.console import Console

        self.console = Console(stderr=True)
        self.epochs, self.first_process = epochs, True
        self.lines, self.said = not quiet and not self.console.is_terminal, time.monotonic()
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
            if self.lines and self.first_process and time.monotonic() > self.said + QUIET_FOR:
                self._say(f"epoch {training.epoch + 1}/{self.epochs}, step {training.step} of {steps}")
            return
        score = row.get("validation_balanced_accuracy")
        text = f"epoch {training.epoch}/{self.epochs}" if self.epochs else "fitted"
        text += f", loss {row['loss']:.4f}"
        text += "" if score is None else f", validation {score:.1f} % balanced"
        self.bar.update(self.task, description=text)
        if self.lines and self.first_process:
            self._say(text)

    def _say(self, text: str) -> None:
        self.said = time.monotonic()
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
    data: Data = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="RUN",
            help="Folder of the run. Default: runs/train-NAME-1, -2 and so on, a new one for every run; the last, if "
            "it is this run and was interrupted.",
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", metavar="FILE", help="YAML file with defaults; options win.")
    ] = None,
    recipe: Annotated[
        str,
        typer.Option(
            help="Starting point: recommended, fast, rival or paper (equiangular list recipes); all else wins."
        ),
    ] = "recommended",
    quiet: Quiet = False,
    as_json: Json = False,
    **fields: Any,
) -> None:
    """Train one method on one data set, and measure it on the test part.

    Writes config.yaml, metrics.csv, model/, best/, results.json and report.html into the folder of the run. An
    interrupted run goes on with the same command, or with: equiangular resume RUN.
    """
    from equiangular.training.config.files import make_config, read_yaml, recipe_values

    given = parse_texts(TrainConfig, {"data": data, **fields})
    layers = [recipe_values(recipe)]
    if config is not None:
        layers.append(read_yaml(config))
        make_config(TrainConfig, layers[-1], where=str(config))  # a message about the file names it
    if not any("data" in layer for layer in layers):
        named(data, "train")
    settings = make_config(TrainConfig, *layers, given, where="the options")
    method_name(settings.method)  # a mistyped name is refused before torch is imported
    refuse_unknown_data(settings.data, settings.root)
    show_run(settings, output or next_run(settings), quiet=quiet, as_json=as_json)


def next_run(config: TrainConfig) -> Path:
    """The folder of a run where none is named: the last of its name if that is this run, interrupted; or a new one."""
    from equiangular.training.run.folder import RunFolder
    from equiangular.training.run.train import goes_on

    stem = own_folder("train", config.data, config.encoder)
    endings = (path.name.removeprefix(f"{stem.name}-") for path in stem.parent.glob(f"{stem.name}-*"))
    number = max(map(int, filter(str.isdecimal, endings)), default=0)
    last = RunFolder(stem.with_name(f"{stem.name}-{number}"))
    return last.path if number and goes_on(config, last) else stem.with_name(f"{stem.name}-{number + 1}")


@options_of(Hardware, leave=("precision", "accumulate", "compile", "channels_last"))
def resume(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of the run.")],
    quiet: Quiet = False,
    as_json: Json = False,
    **fields: Any,
) -> None:
    """Go on with an interrupted run; it ends with the weights it would have had without the interruption.

    The configuration is the one the run was started with; only where it runs can be changed.
    """
    from dataclasses import replace

    from equiangular.training.run.folder import RunFolder

    changes = {name: value for name, value in fields.items() if value is not None}
    show_run(replace(RunFolder(run).read_config(), **changes), run, quiet=quiet, as_json=as_json)
