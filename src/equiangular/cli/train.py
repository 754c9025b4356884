"""``equiangular train DATA``: one method on one data set, into a run folder that can be resumed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from equiangular.cli._fields import options_of, parse_texts
from equiangular.training.config.budget import Budget
from equiangular.training.config.hardware import Hardware
from equiangular.training.config.options import DataOptions, TrainConfig

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
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")] = False,
    **fields: Any,
) -> None:
    """Train one method on one data set, and measure it on the test part.

    Writes config.yaml, metrics.csv, model/, best/ and results.json into the folder of the run. An interrupted run goes
    on with the same command, or with: equiangular resume RUN.
    """
    from equiangular.cli._run import show_run
    from equiangular.training.config.files import make_config, read_yaml
    from equiangular.training.config.recipes import recipe_values

    given = parse_texts(TrainConfig, {"data": data, **fields})
    layers = [recipe_values(recipe)]
    layers += [] if config is None else [make_layer(read_yaml(config), str(config))]
    show_run(make_config(TrainConfig, *layers, given, where="the options"), output, quiet=quiet)


def make_layer(values: dict[str, Any], where: str) -> dict[str, Any]:
    """The values of a file, checked here so that a message names the file."""
    from equiangular.training.config.files import make_config

    make_config(TrainConfig, values, where=where)
    return values
