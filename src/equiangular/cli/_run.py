"""A run on the screen: progress while it lasts, its scores afterwards. Shared by ``train`` and ``resume``."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from equiangular.training import TrainConfig, Training

# Keys of the scores and their headings, in the order of the table.
SCORES = (
    ("accuracy", "accuracy"),
    ("balanced_accuracy", "balanced"),
    ("many", "many"),
    ("medium", "medium"),
    ("few", "few"),
    ("ece", "ECE"),
)


def show_run(config: TrainConfig, output: Path, *, quiet: bool) -> None:
    """Run, or go on, with a progress bar; then print the scores of the test part and where everything is."""
    from rich.console import Console

    from equiangular.training.engine.stopping import Stopped
    from equiangular.training.run.folder import RunFolder
    from equiangular.training.run.train import train

    finished = RunFolder(output).results.exists()
    bar = ProgressBar(config.epochs, quiet=quiet)
    try:
        with bar:
            results = train(config, output, progress=bar)
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
    names = ["results.json", "metrics.csv", *draw(results, output)]
    console.print(f"wrote {', '.join(names)} and model/ into {output}", highlight=False)


def draw(results: dict[str, Any], output: Path) -> list[str]:
    """Draw the curves of the run, where matplotlib is installed; the names of what was written."""
    from importlib.util import find_spec

    if find_spec("matplotlib") is None:
        return []
    from equiangular.report.figure import save_figure
    from equiangular.report.training_figure import training_figure

    save_figure(training_figure(results), output / "curves.png")
    return ["curves.png"]


class ProgressBar:
    """Epochs and steps on standard error; without a terminal, one line for each epoch.

    Args:
        epochs: epochs of the run.
        quiet: show nothing.
    """

    def __init__(self, epochs: int, *, quiet: bool) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        self.console = Console(stderr=True)
        self.epochs, self.first_process = epochs, True
        self.lines = not quiet and not self.console.is_terminal
        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
        self.bar = Progress(
            *columns, console=self.console, disable=quiet or not self.console.is_terminal, transient=True
        )
        self.task = self.bar.add_task("loading", total=None)

    def __enter__(self) -> ProgressBar:
        self.bar.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.bar.stop()

    def __call__(self, training: Training, row: dict[str, Any] | None) -> None:
        """After a step (``row`` is None) or an epoch."""
        self.first_process = training.fabric.is_global_zero
        steps = len(training.batches)
        if row is None:
            self.bar.update(
                self.task, total=self.epochs * steps, completed=training.epoch * steps + training.step
            )
            return
        score = row.get("validation_balanced_accuracy")
        text = f"epoch {training.epoch}/{self.epochs}, loss {row['loss']:.4f}"
        text += "" if score is None else f", validation {score:.1f} % balanced"
        self.bar.update(self.task, description=text)
        if self.lines and self.first_process:
            self.console.print(text, highlight=False)


def scores_table(results: dict[str, Any]) -> Any:
    """The scores of the last epoch, and of the epoch that was best on the validation part."""
    from rich.table import Table

    names = results["method"]["label"], results["data"]["name"]
    table = Table(title=f"{names[0]} on {names[1]}, test part, %", title_justify="left")
    table.add_column("epoch", no_wrap=True)
    for _, heading in SCORES:
        table.add_column(heading, justify="right")
    for key, meaning in (("test", "last"), ("best", "best")):
        scores = results[key]
        if scores is not None:
            numbers = (scores[k] for k, _ in SCORES)
            cells = ("-" if n is None or math.isnan(n) else f"{n:.1f}" for n in numbers)
            table.add_row(f"{scores['epoch']} ({meaning})", *cells)
    return table
