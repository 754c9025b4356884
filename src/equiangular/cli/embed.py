"""``equiangular embed DATA``: texts or images through a pretrained encoder, once, into a file that is data itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from equiangular.cli._drawing import can_draw
from equiangular.cli._embedding import EmbeddingBar
from equiangular.cli._fields import Quiet
from equiangular.cli._reading import said
from equiangular.cli._screen import Json, Screen


def embed(
    data: Annotated[str, typer.Argument(metavar="DATA", help="Data set of texts or images: a name, or a path.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="File to write; it ends in .safetensors.")
    ],
    encoder: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="minilm (texts), efficientnet-lite0 (images), st:NAME, hf-text:NAME, timm:NAME, torchvision:NAME or "
            "hf-image:NAME; a folder can stand for NAME. auto: one of the first two.",
        ),
    ] = "auto",
    batch_size: Annotated[int, typer.Option(help="Inputs at a time.")] = 64,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    dtype: Annotated[
        str, typer.Option(help="What features are kept in: float32, or float16, half the size.")
    ] = "float32",
    cache: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder for features as they are made. Default: embeddings in $EQUIANGULAR_CACHE, or in "
            "~/.cache/equiangular.",
        ),
    ] = None,
    root: Annotated[
        str | None, typer.Option(help="Folder of named data sets; default: the variable EQUIANGULAR_DATA.")
    ] = None,
    label: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Of a file of rows: the column of labels.")
    ] = None,
    drop: Annotated[
        str | None, typer.Option(metavar="COLUMN,...", help="Of a file of rows: columns to leave out.")
    ] = None,
    split_seed: Annotated[int, typer.Option(help="Seed of the test part, where the data have none.")] = 0,
    skip_broken: Annotated[
        bool, typer.Option("--skip-broken", help="Leave out images and texts that cannot be read, and say which.")
    ] = False,
    class_texts: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help='JSON, {"class": "text", ...} or {"class": ["text", ...], ...}: what classes are called or described '
            "as. Default: their names. For methods that take names.",
        ),
    ] = None,
    template: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TEXT", help='What a class text is put into, such as "a question about {}"; several are averaged.'
        ),
    ] = None,
    threads: Annotated[int, typer.Option(help="CPU threads; 0 leaves it to PyTorch.")] = 0,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Compute the features of a data set with a pretrained encoder.

    The file has the features of the training and the test part, labels, class names and what the encoder was; every
    command takes it as DATA. A page beside it, FILE.html, shows how the classes lie. A killed run goes on where it
    stopped when the same command is given again.
    """
    import torch

    from equiangular._files import check_output
    from equiangular._provenance import provenance
    from equiangular._validate import check_choice, check_int
    from equiangular.data import load_dataset, write_vectors
    from equiangular.data.vectors import WRITTEN
    from equiangular.encoders import EmbedReport, embed
    from equiangular.encoders.class_names import PLAIN, read_class_texts
    from equiangular.encoders.embedding import STORED_DTYPES
    from equiangular.encoders.overview import overview
    from equiangular.report.embedding import write_embedding_page

    check_output(output, *WRITTEN)
    if check_int(threads, "threads", minimum=0):
        torch.set_num_threads(threads)
    draws = can_draw(figures=False, later="the same command then makes the page from the cached features")
    report = EmbedReport()
    with EmbeddingBar(quiet=quiet) as bar:
        made = embed(
            load_dataset(
                data, root=root, split_seed=split_seed, label=label, drop=drop or (), raw=True, skip_broken=skip_broken
            ),
            encoder,
            batch_size=batch_size,
            device=device,
            dtype=check_choice(dtype, STORED_DTYPES, "dtype"),
            class_texts=None if class_texts is None else read_class_texts(class_texts),
            templates=template or PLAIN,
            cache=cache,
            progress=bar,
            report=report,
        )
    for note in (*made.notes, *report.notes):
        typer.echo(f"equiangular: {said(note)}", err=True)
    file = write_vectors(made, output, dtype=torch.float16 if dtype == "float16" else torch.float32)
    page = None
    if draws:
        shown = {**overview(made), "file": str(file), "provenance": provenance()}
        page = write_embedding_page(shown, file.with_suffix(".html"))
    new = report.inputs - report.from_cache
    speed = f" in {report.seconds:.1f} s, {new / report.seconds:.0f}/s" if new else ""
    described = made.encoder or {}
    lines = [
        f"{made.name}: {len(made.train_y):,} to train on, {len(made.test_y):,} to test on, {made.num_classes} classes",
        f"encoder {described['name']} (weights {described['revision']}): {made.input_shape[0]} numbers each, {dtype}",
        f"{new:,} encoded{speed}; {report.from_cache:,} taken from the cache",
    ]
    if "class_texts" in described:
        of = described["class_texts"]
        given = "class names" if not of["given"] else f"texts of {of['given']} of {made.num_classes} classes"
        lines.append(f"class vectors from {given}, in {', '.join(map(repr, of['templates']))}")
    if dtype == "float16":
        lines.append(f"float16 moves no vector by more than {report.error:.2g} of its length")
    beside = "" if page is None else f", and {page}, how the classes lie"
    lines += [f"wrote {file}, {file.stat().st_size / 1e6:.1f} MB{beside}", f"next: equiangular compare {file}"]
    screen = Screen(as_json)
    screen.print("\n".join(lines))
    screen.document(
        {
            "path": str(file),
            "data": made.name,
            "encoder": described,
            "train": len(made.train_y),
            "test": len(made.test_y),
            "classes": made.class_names,
            "encoded": new,
            "from_cache": report.from_cache,
            "seconds": report.seconds,
            "float16_error": report.error,
            "notes": [*made.notes, *report.notes],
        }
    )
