"""``equiangular compare DATA``: the main job. Do you need a learnable classifier on this data?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from equiangular.cli._drawing import can_draw
from equiangular.cli._embedding import EmbeddingBar
from equiangular.cli._fields import Data, Quiet, named, names_of, options_of, own_folder, parse_texts, progress_bar
from equiangular.cli._reading import said
from equiangular.cli._screen import Json, Screen
from equiangular.cli.train import PANELS
from equiangular.training.config.options import Hardware, TrainConfig, Trial

# Fields of a trial that a comparison decides itself, and of the hardware that are a trial's or need several processes.
_OWN = ("data", "method", "head", "seed", "subset_seed", "pretrained")
_NOT_HERE = ("devices", "num_nodes", "strategy", "threads", "precision", "accumulate")
_TOLD = ("description", "completed", "total")  # what the progress bar is told of a comparison's
_DEFAULTS = {
    "imbalance": "1, the data as they are; 100 for digits",
    "epochs": "what suits the number of samples, 8 to 40",
    "batch_size": "64; 128 from 5,000 samples on",
    "width": "what suits the number of classes",
    "weight_decay": "0.0005; 0.005 for digits",
}


@options_of(Hardware, leave=_NOT_HERE, panels=PANELS, defaults={"accelerator": "cpu"})
@options_of(Trial, leave=_OWN, panels=PANELS, defaults=_DEFAULTS)
def compare(
    data: Data = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="DIR", help="Folder for the results. Default: runs/compare-NAME."),
    ] = None,
    methods: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,...",
            help="Methods to compare, see `equiangular list methods`. Default: "
            "linear-ce, linear-ce-pc, linear-la, cosine-la, random-la, etf-ce, etf-ce-pc, etf-la, etf-dr, etf-dr-pc, "
            "recommended; of an encoder's vectors: class-means, gaussian, ridge, random-features, kernel, logistic, "
            "logistic-pc, logistic-balanced; where the class names have vectors also class-means-names, ridge-names, "
            "kernel-names, logistic-pc-names, named-la, named-learned-la.",
        ),
    ] = None,
    seeds: Annotated[int | None, typer.Option(help="Paired runs of every method. Default: 5; 10 for digits.")] = None,
    subset_seed: Annotated[
        int | None, typer.Option(help="One training subset for all runs; default: a new one for every run.")
    ] = None,
    tune: Annotated[
        str | None,
        typer.Option(
            help="Tuning of learning rate, scale and norm of every head on validation data: quick (8 trainings a "
            "head; 5 where one number is tuned, and more while the best lies at an end), full (24 or 10, two seeds "
            "each) or none. Default: quick; digits are tuned already."
        ),
    ] = None,
    margin: Annotated[
        float | None,
        typer.Option(help="Points of balanced accuracy below which a difference does not matter. Default: 1."),
    ] = None,
    threads: Annotated[int, typer.Option(help="CPU threads of a training; small networks are fastest with one.")] = 1,
    jobs: Annotated[
        int,
        typer.Option(
            help="Trainings at a time, each in a process of its own, where more than 20 s of work are left; 0: one for "
            "each processor core."
        ),
    ] = 0,
    quiet: Quiet = False,
    as_json: Json = False,
    **fields: Any,
) -> None:
    """Train fixed and learnable classifiers on the same data, measure, test, and answer in a sentence.

    Of an encoder's vectors, a file of them or --encoder, the classifiers are computed or fitted in one call instead.
    The data are used as they are; a long-tail cut is made where --imbalance asks for it. Heads are tuned alike on
    validation data of the training part. Writes results.json, figure.png and report.html into the output folder. A
    killed comparison goes on where it stopped when the same command is given again.
    """
    from rich.console import Console

    from equiangular._files import prepare_folder, read_json
    from equiangular._validate import check_int

    data = named(data, "compare")
    check_int(jobs, "jobs", minimum=0)
    check_int(threads, "threads", minimum=1)
    output = (own_folder("compare", data, fields.get("encoder")) if output is None else output).expanduser()
    if not (output / "results.json").exists():  # what is finished may lie on a disk that cannot be written
        prepare_folder(output)
    errors = Console(stderr=True)
    errors.print(f"reading {data} ...", highlight=False, markup=False, soft_wrap=True)
    import torch

    torch.set_num_threads(threads)
    from equiangular.compare import Comparing, configure
    from equiangular.report import abilities_table, comparison_figure, comparison_table, save_figure, write_page

    draws = can_draw()  # said now, not after the trainings
    own = {"seeds": seeds, "subset_seed": subset_seed, "tune": tune, "margin": margin}
    config = configure(data, methods=names_of(methods), **own, **parse_texts(TrainConfig, fields))
    with EmbeddingBar(quiet=quiet) as embedding:
        comparing = Comparing(config, output, device=fields.get("accelerator") or "auto", embedding=embedding)
    plan = comparing.plan(jobs or None)
    for line in plan.lines():
        errors.print(said(line), highlight=False, markup=False, soft_wrap=True)
    with progress_bar("", quiet=quiet) as bar:
        task = bar.add_task("training", total=plan.trainings)
        results = comparing.run(plan, lambda *told: bar.update(task, **dict(zip(_TOLD, told, strict=True))))
    screen = Screen(as_json, width=210)
    screen.print(comparison_table(results, width=screen.width))
    if (abilities := abilities_table(results)) is not None:
        screen.print(abilities)
    screen.print(results.answer.sentence, style="bold")
    for note in results.notes:
        screen.print(note)
    if comparing.read_only:
        screen.print(f"\nthis comparison had finished already, and nothing can be written into {output}")
    else:
        written = [output / "results.json"]
        if draws:
            written.append(save_figure(comparison_figure(results), output / "figure.png"))
            written.append(write_page(results, output / "report.html"))
        screen.print(f"\nwrote {', '.join(map(str, written))}")
    if as_json:
        screen.document(read_json(output / "results.json"))
