"""``equiangular theory``: the layer-peeled model, run and drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from equiangular.cli._drawing import can_draw
from equiangular.cli._fields import Folder, Quiet, progress_bar
from equiangular.cli._screen import Json, Screen


def theory(
    output: Folder = Path("runs/theory"),
    seed: Annotated[int, typer.Option(help="Seed of starting points and frames.")] = 0,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer steps: seconds, for a first look.")] = False,
    class_counts: Annotated[
        str | None,
        typer.Option(metavar="N,N,...", help="Class sizes of your own to solve the layer-peeled model for as well."),
    ] = None,
    dim: Annotated[int | None, typer.Option(help="Dimension of the features for them; K-1 by default.")] = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Run the theory: minority collapse, the common optimum, pull and push, convergence, and collapse in 3-D.

    Writes theory.json, three figures and report.html, a self-contained page, into the output folder.
    """
    from equiangular._files import prepare_folder, write_json

    prepare_folder(output)
    draws = can_draw()
    from equiangular.report import save_figure, theory_figures, write_theory_page
    from equiangular.report.theory import peeled_table
    from equiangular.theory.run import PARTS, compute_theory

    counts = _numbers(class_counts)
    with progress_bar("parts", quiet=quiet) as bar:
        task = bar.add_task("starting", total=len(PARTS) + (counts is not None), completed=-1)

        def begin(part: str) -> None:
            bar.update(task, description=part, advance=1)

        results = compute_theory(seed=seed, quick=quick, class_counts=counts, dim=dim, progress=begin)
    written = [write_json(output / "theory.json", results)]
    if draws:
        written += [save_figure(figure, output / f"{name}.svg") for name, figure in theory_figures(results).items()]
        written.append(write_theory_page(results, output / "report.html"))
    screen = Screen(as_json)
    if "own" in results:
        screen.print(peeled_table(results["own"]))
    last = results["minority"][-1]
    worst = max(abs(row["excess"]) for row in results["optimum"].values())
    lines = (
        f"minority collapse at R = {last['ratio']}: mean cosine of minority classifier vectors "
        f"{last['learnable_weight_minority_cosine']:+.3f} learned, {last['fixed_weight_minority_cosine']:+.3f} fixed",
        f"distance of the features to an ETF: {last['learnable_etf_distance']:.2g} learned, "
        f"{last['fixed_etf_distance']:.1g} fixed",
        f"common optimum of CE and DR: objective within {worst:.1g} of its value at the vertices",
        f"wrote {', '.join(map(str, written))}",
    )
    screen.print("\n".join(lines))
    screen.document(results)


def _numbers(text: str | None) -> list[float] | None:
    if text is None:
        return None
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(f"--class-counts takes numbers with commas, such as 500,100,20,5; got {text!r}.") from None
