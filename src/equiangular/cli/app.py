"""The commands, registered. Each imports what it needs when it runs, so that ``--help`` is instant."""

from __future__ import annotations

from typing import Annotated

import typer

from equiangular import __version__
from equiangular.cli.catalogue import catalogue
from equiangular.cli.compare import compare
from equiangular.cli.evaluate import evaluate
from equiangular.cli.export import export
from equiangular.cli.frame import frame
from equiangular.cli.measure import measure
from equiangular.cli.predict import predict
from equiangular.cli.reproduce import reproduce
from equiangular.cli.resume import resume
from equiangular.cli.theory import theory
from equiangular.cli.train import train

app = typer.Typer(
    name="equiangular",
    help="Fixed classifier heads with the best possible geometry: do you need a learnable classifier?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"equiangular {__version__}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Fixed classifier heads with the best possible geometry: do you need a learnable classifier?"""


app.command()(compare)
app.command()(evaluate)
app.command()(export)
app.command()(frame)
app.command("list")(catalogue)
app.command()(measure)
app.command()(reproduce)
app.command()(predict)
app.command()(theory)
app.command()(train)
app.command()(resume)
