"""``equiangular export RUN -o FILE``: a trained model for use without this library."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run (or of a model, such as RUN/best).")],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="File to write: .onnx, or .pt2 for torch.export.")
    ],
    prior: Annotated[
        str | None,
        typer.Option(
            metavar="PRIOR",
            help="Class prior of the probabilities: uniform, train (the training data's), or a JSON/YAML file with a "
            "weight for each class; default: the one that the method is made for.",
        ),
    ] = None,
    inputs: Annotated[
        str, typer.Option(help="What images come as: uint8 (0 to 255) or float (float32 in 0 to 1); auto: uint8.")
    ] = "auto",
    tolerance: Annotated[float, typer.Option(help="Largest difference of a logit, relative to the largest.")] = 1e-4,
) -> None:
    """Write one file with standardisation, network, head and calibration inside, for any batch size.

    The file is run, ONNX by onnxruntime, and compared with PyTorch before it appears.
    """
    from rich.console import Console

    from equiangular.export import export_model
    from equiangular.inference import read_prior
    from equiangular.training import Classifier, load_model

    task, info = load_model(run)
    classifier = Classifier(task, info, prior=read_prior(prior, info.class_names))
    with Console(stderr=True).status("exporting"):
        report = export_model(classifier, output, inputs=inputs, tolerance=tolerance)
    batches = ", ".join(map(str, report["batches"]))
    lines = (
        f"input x: {report['inputs']}; outputs logits and probabilities: torch.float32 (B, {info.num_classes})",
        f"against PyTorch, batches of {batches}: logits differ by at most {report['max_logit_difference']:.2g}, "
        f"probabilities by {report['max_probability_difference']:.2g}",
        f"wrote {report['path']}, {report['bytes'] / 1e6:.2f} MB",
    )
    typer.echo("\n".join(lines))
