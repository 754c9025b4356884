"""Export a classifier with everything inside, and refuse a file that does not compute the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from equiangular._atomic import write_atomically
from equiangular._defaults import usual_defaults
from equiangular._files import check_output, file_sha256
from equiangular._validate import check_choice, check_positive
from equiangular.data.columns import Columns
from equiangular.encoders import Encoder, KnownEncoder
from equiangular.export.columns import columns_subject, has_graph
from equiangular.export.formats import FORMATS, Runner, exporting
from equiangular.export.subject import Subject, encoded_subject, plain_subject
from equiangular.training.model.classifier import Classifier

INPUTS = ("auto", "uint8", "float")
# The exporters specialise small sizes, so other batches are checked than the one of the example.
EXAMPLE_BATCH, CHECKED_BATCHES = 3, (1, 2, 17)


@usual_defaults()
def export_model(
    classifier: Classifier,
    path: str | Path,
    *,
    inputs: str = "auto",
    tolerance: float = 1e-4,
    encoder: Encoder | None = None,
) -> dict[str, Any]:
    """Write a classifier to one file: standardisation, backbone, head and prior correction, for any batch size.

    The file's input ``x`` is (B, C, H, W) or (B, d); its outputs are ``logits`` and ``probabilities``, (B, K) float32,
    with softmax(logits) = probabilities. Behind an encoder of texts the inputs are ``input_ids`` and
    ``attention_mask``, (B, T) int64, T up to the encoder's limit; of images ``pixel_values``, (B, C, H, W) float32, as
    the encoder's transform gives them. Of a table with columns that are more than plain numbers it is ``columns``,
    (B, C) float64, a number for each column of the data file: see :class:`equiangular.export.columns.ExportedColumns`;
    with a column of texts it stays ``x``, the numbers that the reader makes. The metadata (``.onnx``:
    ``metadata_props``; ``.pt2``: the extra file ``equiangular.json``) has ``class_names``, ``inputs``, the model's
    description under ``equiangular``, and with an encoder its name, hash of weights and preprocessing under
    ``encoder``, and ``tokenizer.json`` as the tokenizers library reads it. Before the file appears it is run, ``.onnx``
    by onnxruntime, on batches of several sizes and compared with PyTorch.

    Args:
        classifier: the model, with the class prior of its probabilities.
        path: ``.onnx``, or ``.pt2`` for ``torch.export.load``.
        inputs: what images come as: ``"uint8"`` 0 to 255, or ``"float"`` float32 in [0, 1]; ``"auto"`` is uint8 for
            images. Tables and features of texts are float32; ``"float"`` leaves the columns of a table to their reader.
        tolerance: largest difference of a logit allowed, relative to the largest logit or to 1, whichever is more.
        encoder: of a model of vectors: what made them, to be written into the file too; it is moved to the CPU. None:
            the file takes vectors.

    Returns:
        ``path``, ``inputs`` (by name, dtype and shape), ``max_logit_difference`` and ``max_probability_difference``
        (absolute), ``batches`` checked, and ``bytes`` and ``sha256`` of the file.

    Raises:
        ValueError: another suffix, a bad option, a folder that cannot be written, an encoder that is not the model's,
            a model that the exporter cannot convert, or a file that computes something else.
        ImportError: the extra ``[onnx]`` is missing.
    """
    target, info = check_output(path, FORMATS, "a model is exported"), classifier.info
    write, runner = FORMATS[target.suffix]
    check_positive(tolerance, "tolerance")
    if check_choice(inputs, INPUTS, "inputs") == "uint8" and info.kind != "image":
        raise ValueError(f"a model of kind {info.kind!r} takes float32 inputs, not bytes; leave inputs at 'auto'.")
    if encoder is None:
        remedy = "Try the other format, .onnx or .pt2."
        columns = Columns.from_dict(info.encoding) if info.kind == "table" and info.encoding else None
        if columns is not None and inputs == "auto" and has_graph(columns):
            subject = columns_subject(classifier, columns)
        else:
            dtype = torch.uint8 if inputs != "float" and info.kind == "image" else torch.float32
            subject = plain_subject(classifier, dtype)
    else:
        if info.encoder is None:
            raise ValueError("this model does not read what an encoder made; export it without one.")
        remedy = "Try the other format, .onnx or .pt2, or leave the encoder out."
        subject = encoded_subject(classifier, KnownEncoder(info.encoder, encoder=encoder).encoder)
    described = {key: value for key, value in info.as_dict().items() if key != "data"}
    metadata = {
        "class_names": json.dumps(list(info.class_names), ensure_ascii=False),
        "equiangular": json.dumps(described, ensure_ascii=False),
        "inputs": json.dumps(subject.described()),
        **subject.metadata,
    }
    report: dict[str, Any] = {"path": str(target), "inputs": subject.described()}

    def fill(temporary: Path) -> None:
        with exporting(target, remedy):
            with torch.no_grad():
                example, _ = subject.draw(EXAMPLE_BATCH, 0)
            write(subject, example, temporary, metadata)
        report.update(_compare(subject, runner(temporary), tolerance, target))

    try:
        write_atomically(target, fill)
    except OSError as error:
        raise ValueError(f"cannot write {str(target)!r}: {error.strerror or error}.") from error
    return {**report, "bytes": target.stat().st_size, "sha256": file_sha256(target)}


@torch.no_grad()
def _compare(subject: Subject, run: Runner, tolerance: float, target: Path) -> dict[str, Any]:
    """Largest differences between the file and PyTorch; raise where they are too large."""
    differences, largest = torch.zeros(2), torch.ones(())
    for seed, batch in enumerate(CHECKED_BATCHES, start=1):
        x, expected = subject.draw(batch, seed)
        found = torch.stack([(one - other).abs().max() for one, other in zip(run(x), expected, strict=True)])
        differences = torch.maximum(differences, found)  # NaN stays, where max() of Python could lose it
        largest = torch.maximum(largest, expected[0].abs().max())
    logit, probability = differences.tolist()
    allowed = tolerance * float(largest)
    if not logit <= allowed:
        raise ValueError(
            f"{target.name} was not written: its logits differ from PyTorch's by up to {logit:.3g}, where "
            f"{allowed:.3g} is allowed. Raise the tolerance if that is acceptable."
        )
    return {"max_logit_difference": logit, "max_probability_difference": probability, "batches": list(CHECKED_BATCHES)}
