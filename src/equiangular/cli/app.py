"""The commands, registered. Each imports what it needs when it runs, so that ``--help`` is instant."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated

import typer

from equiangular import __version__
from equiangular.cli.catalogue import catalogue
from equiangular.cli.compare import compare
from equiangular.cli.export import evaluate, export, predict
from equiangular.cli.frame import frame
from equiangular.cli.measure import measure
from equiangular.cli.theory import theory
from equiangular.cli.train import resume, train

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


def one_line_paragraphs(command: Callable) -> str:
    """The docstring with its paragraphs in one line each: typer would keep the line ends of the source."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in inspect.getdoc(command).split("\n\n"))


for _command in (compare, train, resume, evaluate, predict, export, frame, measure, theory):
    app.command(help=one_line_paragraphs(_command))(_command)
app.command("list", help=one_line_paragraphs(catalogue))(catalogue)
