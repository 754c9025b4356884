"""``python -m experiments redraw``: every table and figure again, from the records alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def redraw(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for the tables and figures.")],
    check: Annotated[
        bool, typer.Option("--check", help="Exit 1 where a document lacks a line of its tables or is not up to date.")
    ] = False,
    figures: Annotated[bool, typer.Option(help="Draw the figures, too.")] = True,
) -> None:
    """Make every table and figure of the documents again from experiments/results; nothing is trained.

    Tables of questions and studies as Markdown, the leaderboard, the table of the recipe, figures. --check also finds
    tables of figures in the documents that no record makes; experiments/report/sources.py lists those of benchmarks.
    """
    from equiangular._files import prepare_folder, write_text
    from experiments.commands.summarise import summarise
    from experiments.common import DOCS, HERE, RESULTS
    from experiments.leaderboard import leaderboard
    from experiments.recipe.table import document
    from experiments.report.questions import TABLES, draw
    from experiments.report.sources import unaccounted

    prepare_folder(output)
    whole = {"LEADERBOARD.md": leaderboard(RESULTS), "RECIPE.md": document()}
    stale = [name for name, text in whole.items() if (HERE / name).read_text(encoding="utf-8") != text]
    for name, text in whole.items():
        write_text(output / name, text)
    drawn: set[tuple[str, str]] = set()
    for name, (page, make) in TABLES.items():
        text = make()
        drawn |= {(f"docs/{page}", line) for line in text.splitlines()}
        write_text(output / f"{name}.md", text + "\n")
        shown = set((DOCS / page).read_text(encoding="utf-8").splitlines())
        missing = [line for line in text.splitlines() if line not in shown]
        if missing:
            stale.append(f"docs/{page} lacks {len(missing)} lines of {name}.md, first: {missing[0]}")
    stale += unaccounted(drawn)
    if figures:
        draw(prepare_folder(output / "figures"))
        summarise([RESULTS / "studies"], output / "studies")
    typer.echo(f"wrote {len(whole) + len(TABLES)} tables{' and the figures' * figures} into {output}")
    if check and stale:
        raise typer.Exit(_tell(stale))


def _tell(stale: list[str]) -> int:
    for line in stale:
        typer.echo(line, err=True)
    return 1
