"""``equiangular list``: the names that the other commands take."""

from __future__ import annotations

from typing import Annotated

import typer

KINDS = ("methods", "recipes", "data", "backbones")


def catalogue(
    kind: Annotated[
        str, typer.Argument(metavar="WHAT", help="methods, recipes, data or backbones.")
    ] = "methods",
) -> None:
    """List the methods, recipes, data sets or backbones that can be named."""
    from rich.console import Console
    from rich.table import Table

    from equiangular._checks import check_choice

    rows, headings = _rows(check_choice(kind, KINDS, "what to list"))
    table = Table(*headings)
    for row in rows:
        table.add_row(*row)
    Console(width=None if Console().is_terminal else 150).print(table)


def _rows(kind: str) -> tuple[list[tuple[str, ...]], tuple[str, ...]]:
    rows: list[tuple[str, ...]]
    if kind == "methods":
        from equiangular.training.methods import METHODS

        rows = [(m.name, m.label, m.build_head(64, 10, seed=0).kind, m.source) for m in METHODS.values()]
        return rows, ("method", "what it is", "classifier", "source")
    if kind == "recipes":
        from equiangular.training.config.recipes import RECIPES

        settings = [", ".join(f"{key}={value}" for key, value in r.values.items()) for r in RECIPES.values()]
        rows = [(name, r.what, text) for (name, r), text in zip(RECIPES.items(), settings, strict=True)]
        return rows, ("recipe", "what it is", "settings")
    if kind == "data":
        from equiangular.data import dataset_names

        rows = [(name, "") for name in dataset_names()]
        rows += [
            ("PATH", ".npz, .parquet, a folder with train.parquet, an image folder train/CLASS/*.png"),
            ("hf:NAME", "a data set of the Hugging Face hub"),
            ("torchvision:NAME", "a data set of torchvision, such as torchvision:CIFAR10"),
        ]
        return rows, ("data", "what it is")
    from equiangular.models.registry import BACKBONES

    rows = [(name, "") for name in BACKBONES]
    rows += [(f"{library}:NAME", f"an image model of {library}") for library in ("timm", "torchvision", "hf")]
    return rows, ("backbone", "what it is")
