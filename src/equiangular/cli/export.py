"""The commands on a stored model: evaluate it on a test set, predict files, export it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from equiangular._counted import counted
from equiangular.cli._drawing import can_draw
from equiangular.cli._fields import Accelerator, Prior, Run, progress_bar
from equiangular.cli._reading import show_notes
from equiangular.cli._screen import Json, Screen


def evaluate(
    run: Run,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="DATA",
            help="What to evaluate on: a folder CLASS/*.png, a file of labelled rows (.csv, .tsv, .parquet, .feather, "
            ".npz, .npy, .safetensors), or a data set by name; default: the test part of the data that the model was "
            "trained on.",
        ),
    ] = None,
    prior: Prior = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="DIR", help="Folder for the results; default: RUN/evaluation."),
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Samples at a time.")] = 256,
    skip_broken: Annotated[
        bool, typer.Option("--skip-broken", help="Leave out inputs that cannot be read, and say which.")
    ] = False,
    accelerator: Accelerator = "auto",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no table of classes.")] = False,
    as_json: Json = False,
) -> None:
    """Accuracy, balanced accuracy, many/medium/few, calibration and confusion of a trained model.

    Writes evaluation.json into the output folder, and with the extra [plot] confusion.png,
    reliability.png and report.html.
    """
    from equiangular._device import choose_device
    from equiangular._files import prepare_folder, write_json
    from equiangular._provenance import provenance
    from equiangular._validate import check_int
    from equiangular.inference import evaluate, read_prior
    from equiangular.report import evaluation as report
    from equiangular.report.figure import save_figure
    from equiangular.training import Classifier, load_model

    check_int(batch_size, "batch_size", minimum=1)
    device = choose_device(accelerator)
    task, info = load_model(run)
    classifier = Classifier(task, info, prior=read_prior(prior, info.class_names)).to(device)
    draws = can_draw()
    folder = prepare_folder(run / "evaluation" if output is None and run.is_dir() else output or Path("evaluation"))
    with progress_bar("samples", quiet=quiet) as bar:
        seen = bar.add_task("evaluating", total=None)

        def begin(total: int | None) -> None:
            bar.update(seen, total=total)
            if not quiet:
                number = "samples" if total is None else counted(total, "sample")
                print(f"evaluating {number}, {info.num_classes} classes, on {device}", file=sys.stderr)

        results = evaluate(
            classifier,
            data=data,
            batch_size=batch_size,
            skip_broken=skip_broken,
            progress=lambda n: bar.advance(seen, n),
            loaded=begin,
        )
    show_notes(results["notes"] if not quiet or results["apart"] or results["left_out"] else ())
    results = {"path": str(run), **results, "provenance": provenance()}
    screen = Screen(as_json)
    screen.print(report.score_table(results))
    if not quiet:
        screen.print(report.class_table(results))
    written = [write_json(folder / "evaluation.json", results)]
    if draws:
        written += [
            save_figure(report.confusion_figure(results), folder / "confusion.png"),
            save_figure(report.reliability_figure(results), folder / "reliability.png"),
            report.write_evaluation_page(results, folder / "report.html"),
        ]
    screen.print(f"wrote {', '.join(str(path) for path in written)}")
    screen.print(f"next: equiangular predict {run} FILES, equiangular export {run} model.onnx")
    screen.document(results)


def predict(
    run: Run,
    inputs: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILES",
            help="Images, folders of images, tables (.csv, .tsv, .parquet, .feather, .npz), arrays or features (.npy, "
            ".safetensors), what datasets has saved, or .txt files with a text in each line.",
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="File to write, .csv or .json; default: the screen."),
    ] = None,
    top_k: Annotated[int, typer.Option("--top-k", "-k", help="Classes to name for each input.")] = 1,
    prior: Prior = None,
    reject: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="Mark inputs as none of the classes: at most this share of the known ones, such as 0.05, by the run's "
            "held-out part, which is read again.",
        ),
    ] = None,
    no_formulas: Annotated[
        bool,
        typer.Option(
            "--no-formulas", help="In CSV, put ' before names that a spreadsheet would take for a formula (=, +, -, @)."
        ),
    ] = False,
    batch_size: Annotated[int, typer.Option(help="Inputs at a time.")] = 256,
    accelerator: Accelerator = "auto",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
    as_json: Json = False,
) -> None:
    """Predict images, table rows or texts: class names with calibrated probabilities.

    Inputs that cannot be read have a row that says why; the rest goes on, and the exit code is 3 in the end.
    """
    from equiangular._device import choose_device
    from equiangular._files import check_output
    from equiangular._validate import check_int
    from equiangular.data.columns import Told
    from equiangular.encoders import KnownEncoder
    from equiangular.inference import (
        list_inputs,
        predict_files,
        read_inputs,
        read_prior,
        run_rejection_threshold,
        write_predictions,
    )
    from equiangular.inference.predictions import SUFFIXES, WRITTEN, Counted, csv_lines, is_formula, json_lines
    from equiangular.posthoc.rejection import check_rate
    from equiangular.training import Classifier, load_model

    for name, value in (("top-k", top_k), ("batch-size", batch_size)):
        check_int(value, name, minimum=1)
    if reject is not None:
        check_rate(reject, "--reject")
    if output is not None:
        check_output(output, SUFFIXES, WRITTEN)
    task, info = load_model(run)
    classifier = Classifier(task, info, prior=read_prior(prior, info.class_names)).to(choose_device(accelerator))
    notes: list[str] = []
    files = list_inputs(inputs, info.reads, notes=notes)
    show_notes(notes)
    encoder = KnownEncoder(info.encoder or {}, device=accelerator) if info.reads != info.kind else None
    top_k = min(top_k, info.num_classes)
    threshold, odd = None, Told()
    if reject is not None:
        threshold = run_rejection_threshold(classifier, run, reject, batch_size=batch_size)
    with progress_bar("inputs", quiet=quiet or output is None) as bar:
        seen = bar.add_task("predicting", total=len(files) if info.reads == "image" else None)

        def batches():
            for batch in read_inputs(files, info, batch_size=batch_size, encoder=encoder, told=odd):
                yield batch
                bar.advance(seen, len(batch.names) + len(batch.failures))

        tally = Counted(predict_files(classifier, batches(), top_k=top_k, threshold=threshold))
        if output is None:
            if as_json:
                json_lines(tally, sys.stdout, top_k, reject is not None)
            else:
                csv_lines(tally, sys.stdout, top_k, reject is not None, not no_formulas)
        else:
            write_predictions(tally, output, top_k=top_k, rejects=reject is not None, formulas=not no_formulas)
    done, failed = tally.done, tally.failed
    show_notes(odd.lines() if not quiet else ())
    csv_file = output is None or output.suffix == ".csv"
    if csv_file and not no_formulas and (named := next(filter(is_formula, info.class_names), None)) is not None:
        show_notes([f"a spreadsheet takes the class name {named!r} for a formula; --no-formulas puts ' before such"])
    if reject is not None and not quiet:
        told = f"{tally.rejected} of {done} inputs taken for none of the classes; the held-out part promises that at "
        typer.echo(f"equiangular: {told}most {100 * reject:g} % of the known ones are", err=True)
    if output is not None:
        screen = Screen(as_json)
        screen.print(f"wrote {done + failed} rows to {output}")
        screen.document({"path": str(output), "predicted": done, "failed": failed, "rejected": tally.rejected})
    if failed:
        where = "the column 'error'" if output is None or output.suffix == ".csv" else "the key 'error'"
        message = f"{failed} of {counted(done + failed, 'input')} could not be read; {where} says why."
        message += " The others are done." if done else " Nothing was predicted."
        typer.echo(f"equiangular: {message}", err=True)
        raise typer.Exit(3)


def export(
    run: Run,
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="File to write: .onnx, or .pt2 for torch.export.")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="The same as FILE.")] = None,
    prior: Prior = None,
    inputs: Annotated[
        str, typer.Option(help="What images come as: uint8 (0 to 255) or float (float32 in 0 to 1); auto: uint8.")
    ] = "auto",
    head_only: Annotated[
        bool, typer.Option("--head-only", help="Leave the encoder out: the file takes its vectors.")
    ] = False,
    tolerance: Annotated[float, typer.Option(help="Largest difference of a logit, relative to the largest.")] = 1e-4,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No sign of progress.")] = False,
    as_json: Json = False,
) -> None:
    """Write one file with standardisation, network, head and calibration inside, for any batch size.

    A model of an encoder's features has the encoder inside too: token numbers of texts in, or prepared images. The file
    is run, ONNX by onnxruntime, and compared with PyTorch before it appears.
    """
    from rich.console import Console

    from equiangular.encoders import KnownEncoder
    from equiangular.export import export_model
    from equiangular.inference import read_prior
    from equiangular.training import Classifier, load_model

    if output is not None and file is not None and output != file:
        raise ValueError(f"two files to write, {file} and {output} (--output). Name one.")
    target = output or file
    if target is None:
        raise ValueError(f"no file to write. Name it: equiangular export {run} model.onnx")
    task, info = load_model(run)
    classifier = Classifier(task, info, prior=read_prior(prior, info.class_names))
    known = None if head_only or not info.encoder else KnownEncoder(info.encoder, device="cpu")
    with Console(stderr=True, quiet=quiet).status("exporting"):
        try:
            encoder = None if known is None else known.encoder
            report = export_model(classifier, target, inputs=inputs, tolerance=tolerance, encoder=encoder)
        except ValueError as error:
            if known is None:
                raise
            raise ValueError(f"{error} The classifier alone, for vectors of that encoder: --head-only") from error
    batches = ", ".join(map(str, report["batches"]))
    lines = [
        *(f"input {name}: {shape}" for name, shape in report["inputs"].items()),
        f"outputs logits and probabilities: torch.float32 (batch, {info.num_classes})",
        f"against PyTorch, batches of {batches}: logits differ by at most {report['max_logit_difference']:.2g}, "
        f"probabilities by {report['max_probability_difference']:.2g}",
        f"wrote {report['path']}, {report['bytes'] / 1e6:.2f} MB, SHA-256 {report['sha256']}",
    ]
    named = info.encoder or {}
    if known is not None:
        ready = "its tokenizer is" if known.modality == "text" else "how it prepares images is"
        lines.insert(0, f"encoder {named['name']} (weights {named['revision']}) inside; {ready} in the metadata")
    elif info.kind == "vectors":
        of = f"the encoder {named['name']}" if named else "the encoder that made the training data"
        lines.insert(0, f"no encoder inside: x are vectors of {of}")
    elif "columns" in report["inputs"]:
        lines.insert(0, "the columns of the table are inside; the metadata's 'columns' says what each number is")
    elif info.kind == "table" and info.encoding:
        lines.insert(0, "x are the numbers that the reader makes of a row; the metadata's 'equiangular' says how")
    screen = Screen(as_json)
    screen.print("\n".join(lines))
    screen.document(report)
