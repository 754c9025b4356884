"""``python -m experiments list``: the studies that ``reproduce`` takes."""

from __future__ import annotations


def list_studies() -> None:
    """List the factorial studies: their data, imbalance factors, number of cells and seeds."""
    from rich.console import Console
    from rich.table import Table

    from experiments.studies import STUDIES

    table = Table("study", "data", "imbalance factors", "cells", "seeds")
    for study in STUDIES.values():
        factors = ", ".join(f"{i:g}" for i in study.imbalances)
        table.add_row(study.name, study.data, factors, str(len(study.cells())), str(study.seeds))
    Console(width=None if Console().is_terminal else 150).print(table)
