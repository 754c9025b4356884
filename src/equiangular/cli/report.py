"""``equiangular report RUN...``: the page of a finished run again, or of any runs side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from equiangular.cli._screen import Json, Screen


def report(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN...",
            help="Folders of finished runs of compare, train, evaluate, measure or theory, or their .json files. "
            "Several are put side by side.",
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Page to write. Default: report.html in the folder of the only run, or here.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Make the page of a finished run again, or one page of any runs side by side.

    Nothing is trained or measured: the page shows what results.json, evaluation.json, measures.json and theory.json
    hold.
    """
    from equiangular._files import check_output
    from equiangular.report.page import check_library, write
    from equiangular.report.together import names_of, page_of_results, read_results

    check_library()
    paths = list(dict.fromkeys(path.expanduser() for path in runs))
    found = [(path, kind, content) for path in paths for kind, content in read_results(path)]
    names = names_of([path for path, _, _ in found])
    if output is None:
        first = found[0][0]
        output = (first if first.is_dir() else first.parent) / "report.html" if len(paths) == 1 else Path("report.html")
    target = check_output(output, (".html",), "a page is written")
    several = [(name, kind, content) for name, (_, kind, content) in zip(names, found, strict=True)]
    try:
        made = page_of_results(several)
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        shown = ", ".join(map(str, paths))
        raise ValueError(
            f"the results in {shown} are not as this version writes them ({type(error).__name__}: {error}). Make them "
            "again with the command that made them."
        ) from error
    page = write(made, target)
    screen, size = Screen(as_json), page.stat().st_size
    screen.print(f"wrote {page}, {size / 1e6:.1f} MB")
    screen.document({"path": str(page), "bytes": size, "shown": [name for name, _, _ in several]})
