"""Class names and calibrated probabilities for files, batch by batch, into CSV or JSON."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import torch

from equiangular._files import write_atomically
from equiangular._validate import check_int
from equiangular.inference.inputs import InputBatch
from equiangular.training.model.classifier import Classifier

SUFFIXES = (".csv", ".json")


@dataclass(frozen=True)
class Prediction:
    """What a model says about one input.

    Attributes:
        name: the input's file, and its row in a table.
        classes: the names of the most probable classes, best first; empty where the input could not be read.
        probabilities: their calibrated probabilities.
        error: why the input could not be read, or None.
    """

    name: str
    classes: tuple[str, ...] = ()
    probabilities: tuple[float, ...] = ()
    error: str | None = None


@torch.no_grad()
def predict_files(classifier: Classifier, batches: Iterable[InputBatch], *, top_k: int = 1) -> Iterator[Prediction]:
    """Predict batch by batch; nothing but the batch at hand is kept.

    Args:
        classifier: the model, on any device.
        batches: see :func:`equiangular.inference.read_inputs`.
        top_k: classes to name for each input, at most K.

    Yields:
        One prediction for each input, failures among them, those of a batch after the rest of it.

    Raises:
        ValueError: a ``top_k`` below 1.
    """
    top_k = min(check_int(top_k, "top_k", minimum=1), classifier.info.num_classes)
    names, device = classifier.info.class_names, classifier.shift.device
    for batch in batches:
        if len(batch.inputs):
            best = classifier(batch.inputs.to(device)).probabilities.topk(top_k, dim=1)
            for name, p, c in zip(batch.names, best.values.tolist(), best.indices.tolist(), strict=True):
                yield Prediction(name, tuple(names[i] for i in c), tuple(p))
        for name, reason in batch.failures:
            yield Prediction(name, error=reason)


def write_predictions(predictions: Iterable[Prediction], path: str | Path, *, top_k: int = 1) -> tuple[int, int]:
    """Write predictions as they come; the file appears when it is complete.

    Returns how many inputs were predicted, and how many could not be read.

    Args:
        predictions: see :func:`predict_files`.
        path: ``.csv`` (columns input, class, probability, class_2, probability_2 ..., error) or ``.json`` (a list of
            objects with ``input`` and ``predictions`` or ``error``).
        top_k: classes named for each input.

    Raises:
        ValueError: another suffix, or a file that cannot be written.
    """
    target = check_output(path)
    counted = Counted(predictions)
    write = csv_lines if target.suffix == ".csv" else json_lines

    def fill(temporary: Path) -> None:
        with temporary.open("w", encoding="utf-8", newline="") as stream:
            write(counted, stream, top_k)

    try:
        write_atomically(target, fill)
    except OSError as error:
        raise ValueError(f"cannot write {str(target)!r}: {error.strerror or error}.") from error
    return counted.done, counted.failed


def check_output(path: str | Path) -> Path:
    """Raise unless predictions can be written to ``path``."""
    target = Path(path).expanduser()
    if target.suffix not in SUFFIXES:
        raise ValueError(f"predictions are written to a file that ends in {' or '.join(SUFFIXES)}, got {str(path)!r}.")
    if not target.parent.is_dir():
        raise ValueError(f"the folder {str(target.parent)!r} does not exist. Create it, or choose another one.")
    return target


class Counted:
    """Predictions that are counted as they go by."""

    def __init__(self, predictions: Iterable[Prediction]) -> None:
        self.predictions = predictions
        self.done = self.failed = 0

    def __iter__(self) -> Iterator[Prediction]:
        for prediction in self.predictions:
            self.done += prediction.error is None
            self.failed += prediction.error is not None
            yield prediction


def csv_lines(predictions: Iterable[Prediction], stream: IO[str], top_k: int) -> None:
    """One row for each input."""
    writer = csv.writer(stream, lineterminator="\n")
    ranks = ["", *(f"_{rank}" for rank in range(2, top_k + 1))]
    writer.writerow(["input", *(f"{name}{rank}" for rank in ranks for name in ("class", "probability")), "error"])
    for p in predictions:
        pairs = [v for c, q in zip(p.classes, p.probabilities, strict=True) for v in (c, f"{q:.6f}")]
        writer.writerow([p.name, *pairs, *[""] * (2 * top_k - len(pairs)), p.error or ""])


def json_lines(predictions: Iterable[Prediction], stream: IO[str], top_k: int) -> None:
    """A list with one object on each line."""
    separator = "[\n"
    for p in predictions:
        named = [{"class": c, "probability": round(q, 6)} for c, q in zip(p.classes, p.probabilities, strict=True)]
        entry = {"input": p.name, **({"predictions": named} if p.error is None else {"error": p.error})}
        stream.write(separator + json.dumps(entry, ensure_ascii=False))
        separator = ",\n"
    stream.write("\n]\n" if separator != "[\n" else "[]\n")
