"""The commands, registered. Each imports what it needs when it runs, so that --help is instant."""

from __future__ import annotations

import inspect
import logging
import os
import sys
from collections.abc import Callable, Sequence
from typing import Annotated

import typer

from equiangular import __version__
from equiangular.cli._screen import Json, Screen
from equiangular.cli.compare import compare
from equiangular.cli.doctor import doctor
from equiangular.cli.embed import embed
from equiangular.cli.export import evaluate, export, predict
from equiangular.cli.frame import frame
from equiangular.cli.measure import measure
from equiangular.cli.report import report
from equiangular.cli.theory import theory
from equiangular.cli.train import resume, train

KINDS = ("methods", "recipes", "data", "encoders", "backbones")


def catalogue(
    kind: Annotated[
        str, typer.Argument(metavar="WHAT", help="methods, recipes, data, encoders or backbones.")
    ] = "methods",
    as_json: Json = False,
) -> None:
    """List the methods, recipes, data sets, encoders or backbones that can be named."""
    from rich.table import Table

    from equiangular._checks import ROOT_VARIABLE, check_choice

    rows: list[tuple[str, ...]]
    headings: tuple[str, ...] = (kind.removesuffix("s"), "what it is")
    if check_choice(kind, KINDS, "what to list") == "methods":
        from equiangular.training.config.catalogue import ENTRIES

        rows = [(name, *entry) for name, entry in ENTRIES.items()]
        headings += ("class vectors", "source")
    elif kind == "recipes":
        from equiangular.training.config.files import RECIPES

        settings = [", ".join(f"{key}={value}" for key, value in r.values.items()) for r in RECIPES.values()]
        rows = [(name, r.what, text) for (name, r), text in zip(RECIPES.items(), settings, strict=True)]
        headings += ("settings",)
    elif kind == "data":
        from equiangular.training.config.catalogue import BUNDLED_DATA

        names: Sequence[str] = list(BUNDLED_DATA)
        if os.environ.get(ROOT_VARIABLE):  # what lies there only the loaders know
            from equiangular.data import dataset_names

            names = dataset_names()
        rows = [(name, BUNDLED_DATA.get(name, f"under ${ROOT_VARIABLE}")) for name in names]
        rows += [
            (
                "PATH",
                ".csv, .tsv, .parquet, .feather, .npz, a folder with train.parquet, an image folder train/CLASS/*.png",
            ),
            ("FEATURES", ".safetensors of equiangular embed, .npz, .parquet with lists, .npy with labels.npy"),
            ("hf:NAME", "a data set of the Hugging Face hub"),
            ("torchvision:NAME", "a data set of torchvision, such as torchvision:CIFAR10"),
        ]
    elif kind == "encoders":
        from equiangular.encoders.registry import ENCODERS, LIBRARIES

        headings = ("encoder", "takes", "what it is")
        rows = [(name, encodes, what) for name, (encodes, what, _) in ENCODERS.items()]
        rows += [(f"{prefix}:NAME", encodes, what) for prefix, (encodes, what, _) in LIBRARIES.items()]
    else:
        from equiangular.training.config.catalogue import BACKBONES

        rows = list(BACKBONES.items())
        rows += [(f"{library}:NAME", f"an image model of {library}") for library in ("timm", "torchvision", "hf")]
    table = Table(*headings)
    for row in rows:
        table.add_row(*row)
    screen = Screen(as_json)
    screen.print(table)
    if kind == "methods":
        screen.print("class vectors: fixed, learned, mapped (fixed behind a learned map), computed in one call")
    screen.print(f"also: {', '.join(f'equiangular list {other}' for other in KINDS if other != kind)}")
    screen.document([dict(zip(headings, row, strict=True)) for row in rows])


app = typer.Typer(
    name="equiangular",
    help="Fixed classifier heads with the best possible geometry: do you need a learnable classifier?",
    no_args_is_help=True,
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
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Full reports of errors, and what libraries log; also after the command.")
    ] = False,
) -> None:
    """Fixed classifier heads with the best possible geometry: do you need a learnable classifier?"""
    if verbose:
        os.environ["EQUIANGULAR_DEBUG"] = "1"
        logging.basicConfig(level=logging.INFO, stream=sys.stderr)


def one_line_paragraphs(command: Callable) -> str:
    """The docstring with its paragraphs in one line each: typer would keep the line ends of the source."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in inspect.getdoc(command).split("\n\n"))


for _command in (compare, embed, train, resume, evaluate, predict, export, frame, measure, report, theory, doctor):
    app.command(help=one_line_paragraphs(_command))(_command)
app.command("list", help=one_line_paragraphs(catalogue))(catalogue)
