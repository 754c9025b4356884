"""From files to batches that a stored model takes, and to class names and calibrated probabilities in CSV or JSON."""

import csv
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby, repeat
from pathlib import Path
from typing import IO, Any, NamedTuple

import torch

from equiangular._atomic import write_atomically
from equiangular._checks import check_data_name, path_exists
from equiangular._defaults import usual_defaults
from equiangular._files import check_output
from equiangular._validate import check_int
from equiangular.data.cells import NUMBER
from equiangular.data.columns import Told
from equiangular.data.images import in_threads
from equiangular.data.libraries import is_saved_to_disk
from equiangular.data.listing import SUFFIXES as IMAGE_SUFFIXES
from equiangular.data.listing import Found, Paths, find_files
from equiangular.data.refused import foreign_file
from equiangular.data.table_files import TABLE_FILES
from equiangular.data.texts import text_lines
from equiangular.encoders import KnownEncoder
from equiangular.inference.rejection import doubt_of, encoded, features_and_probabilities
from equiangular.inference.tables import InputBatch, decoded_batch, finite_rows, read_rows, text_batch, unreadable
from equiangular.training.model.classifier import Classifier
from equiangular.training.model.info import ModelInfo

# What each kind of model reads beside tables of rows.
FILE_SUFFIXES = {"image": IMAGE_SUFFIXES, "table": (), "text": (".txt",), "vectors": ()}
IN_FOLDERS = (".npz", *TABLE_FILES)
TABLE_SUFFIXES = (*IN_FOLDERS, ".npy", ".safetensors")  # of the last two a folder may hold labels, or a model


def list_inputs(paths: Sequence[str | Path], kind: str, *, notes: list[str] | None = None) -> list[Path]:
    """The files to read: those named, and all of a model's kind below the folders named, in alphabetical order.

    Args:
        paths: files and folders; one that ``datasets`` has saved stands for its rows. Below a folder, files that are
            hidden or that systems leave are left out, see :mod:`equiangular.data.listing`; ``.npy`` and
            ``.safetensors`` files are read where they are named.
        kind: what the model reads, see :attr:`equiangular.training.ModelInfo.reads`.
        notes: filled in with what was left out.

    Raises:
        ValueError: a path that does not exist, a file of another kind, or nothing found.

    Example:
        >>> list_inputs([], "image")
        Traceback (most recent call last):
        ValueError: nothing to read: name files or folders...
    """
    suffixes, inside_folders = ((*FILE_SUFFIXES[kind], *tables) for tables in (TABLE_SUFFIXES, IN_FOLDERS))
    files: list[Path] = []
    left = Found()
    several: Any = [paths] if isinstance(paths, (str, Path)) or hasattr(paths, "columns") else paths
    for given in several:
        check_data_name(given, "a file to read")
        path = Path(given).expanduser()
        if path.is_dir() and is_saved_to_disk(path):
            files.append(path)
        elif path.is_dir():
            found = find_files(path, inside_folders)
            files += found.files
            found.files = Paths()
            left += found
        elif not path_exists(path):
            raise ValueError(f"{str(path)!r} does not exist.")
        elif path.suffix.lower() not in suffixes:
            if foreign := foreign_file(path):
                raise ValueError(f"cannot read {str(path)!r}: {foreign}")
            raise ValueError(f"{str(path)!r} is nothing a model of kind {kind!r} reads: {', '.join(suffixes)}.")
        else:
            files.append(path)
    if not files:
        where = ", ".join(map(str, paths)) or "the command line"
        raise ValueError(f"nothing to read: name files or folders with {', '.join(suffixes)}; found none in {where}.")
    if notes is not None:
        notes += left.notes("inputs")
    return files


def read_inputs(
    files: Iterable[Path],
    info: ModelInfo,
    *,
    batch_size: int = 256,
    encoder: KnownEncoder | None = None,
    labels: Mapping[Path, str] | None = None,
    told: Told | None = None,
) -> Iterator[InputBatch]:
    """Read files in batches, in their order; memory is O(batch), save for files of arrays, which are read whole.

    Args:
        files: as :func:`list_inputs` gives them.
        info: the model's description, which says what its inputs are. Images of another size are padded to a square
            and resized as those of the training were.
        batch_size: inputs in a batch at most.
        encoder: of a model of vectors: what makes them of texts or images; by default the one that ``info`` names.
        labels: the class of each image; by default the name of its folder.
        told: what is worth telling, of columns of tables and of images, is added to it.

    Raises:
        ImportError: Pillow or pyarrow is missing.
    """
    check_int(batch_size, "batch_size", minimum=1)
    if encoder is None and info.reads != info.kind:
        encoder = KnownEncoder(info.encoder or {})
    with in_threads() as mapped:
        for tables, group in groupby(files, lambda file: file.suffix.lower() in TABLE_SUFFIXES or file.is_dir()):
            if tables or info.reads == "text":
                for file in group:
                    if tables:
                        yield from read_rows(file, info, batch_size, encoder, told)
                    else:
                        yield from _text_batches(file, info, batch_size, encoder)
                continue
            images = list(group)
            for start in range(0, len(images), batch_size):
                part = images[start : start + batch_size]
                own = [(labels or {}).get(file, file.parent.name) for file in part]
                yield decoded_batch(part, [str(file) for file in part], own, info, mapped, encoder, told)


def _text_batches(file: Path, info: ModelInfo, batch_size: int, encoder: KnownEncoder | None) -> Iterator[InputBatch]:
    r"""One text a line. Lines end in \\n, \\r or \\r\\n; what else Unicode calls a line end is part of a text."""
    try:
        lines = text_lines(file)
        for start in range(0, len(lines), batch_size):
            part = lines[start : start + batch_size]
            names = [f"{file}:{start + i + 1}" for i in range(len(part))]
            yield text_batch(names, part, None, info, encoder)
    except (OSError, ValueError) as error:
        yield unreadable(file, info, error)


SUFFIXES = (".csv", ".json")
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a formula begins with
WRITTEN = "predictions are written"  # how a message about the suffix begins


class Prediction(NamedTuple):
    """What a model says about one input.

    Attributes:
        name: the input's file, and its row in a table.
        classes: the names of the most probable classes, best first; empty where the input could not be read.
        probabilities: their calibrated probabilities.
        error: why the input could not be read, or None.
        rejected: whether the input is taken for none of the classes; None where nobody asked.

    A tuple, of which a million are made in half the time of a million dataclasses.
    """

    name: str
    classes: tuple[str, ...] = ()
    probabilities: tuple[float, ...] = ()
    error: str | None = None
    rejected: bool | None = None


_as_prediction = partial(tuple.__new__, Prediction)  # of all fields; a third of the time of Prediction(*fields)


def predict_files(
    classifier: Classifier, batches: Iterable[InputBatch], *, top_k: int = 1, threshold: float | None = None
) -> Iterator[Prediction]:
    """One prediction for each input, in their order; nothing but the batch at hand is kept.

    Args:
        classifier: the model, on any device.
        batches: see :func:`equiangular.inference.read_inputs`.
        top_k: classes to name for each input, at most K.
        threshold: inputs with a doubt above it are rejected, see :func:`run_rejection_threshold`; None rejects nothing.

    Raises:
        ValueError: a ``top_k`` below 1.
    """
    top_k = min(check_int(top_k, "top_k", minimum=1), classifier.info.num_classes)
    for batch in batches:
        yield from _predicted(classifier, batch, top_k, threshold)


_OUT_OF_RANGE = "its numbers are so large that the network leaves the range of floating point. Look at its values."


@usual_defaults()
@torch.no_grad()  # not around the generator, which it would enter and leave for every prediction
def _predicted(classifier: Classifier, batch: InputBatch, top_k: int, threshold: float | None) -> list[Prediction]:
    """The predictions of one batch."""
    names, device = classifier.info.class_names, classifier.shift.device
    made: list[Prediction] = []
    if len(batch.inputs):
        hidden, rows = encoded(classifier, batch.inputs.to(device)), torch.arange(len(batch.inputs))
        kept = finite_rows(hidden)  # numbers far from those of the training can leave the range within the network
        hidden, rows = hidden[kept], rows[kept]
        features, probabilities = features_and_probabilities(classifier, hidden)
        kept = finite_rows(probabilities)
        features, probabilities, rows = features[kept], probabilities[kept], rows[kept]
        rejected: Iterable[bool | None] = repeat(None, len(rows))
        if threshold is not None and len(rows):
            rejected = (doubt_of(classifier, features, probabilities).cpu().double() > threshold).tolist()
        best = probabilities.topk(top_k, dim=1)
        # By columns: a rank has one list of names and one of numbers, and zip makes the tuples of all rows.
        classes = zip(*([names[i] for i in rank] for rank in best.indices.T.tolist()), strict=True)
        numbers = zip(*best.values.T.tolist(), strict=True)
        out = set(range(len(batch.inputs))).difference(rows.tolist()) if len(rows) < len(batch.inputs) else set()
        known = [name for row, name in enumerate(batch.names) if row not in out] if out else batch.names
        made += map(_as_prediction, zip(known, classes, numbers, repeat(None, len(rows)), rejected, strict=True))
        for row in sorted(out):
            made.insert(row, Prediction(batch.names[row], error=_OUT_OF_RANGE))
    for position, (name, reason) in batch.placed_failures():
        made.insert(position, Prediction(name, error=reason))
    return made


def write_predictions(
    predictions: Iterable[Prediction], path: str | Path, *, top_k: int = 1, rejects: bool = False, formulas: bool = True
) -> tuple[int, int]:
    """Write predictions as they come; the file appears when it is complete.

    Returns how many inputs were predicted, and how many could not be read.

    Args:
        predictions: see :func:`predict_files`.
        path: ``.csv`` (columns input, class, probability, class_2, probability_2 ..., error) or ``.json`` (a list of
            objects with ``input`` and ``predictions`` or ``error``).
        top_k: classes named for each input.
        rejects: whether a CSV has the column ``rejected``, yes or no, before ``error``. In JSON it is a key of the
            inputs for which it was asked.
        formulas: whether a CSV has names as they are; False puts ``'`` before those that a spreadsheet would take for a
            formula, see :func:`is_formula`.

    Raises:
        ValueError: another suffix, or a file that cannot be written.
    """
    target = check_output(path, SUFFIXES, WRITTEN)
    counted = Counted(predictions)

    def fill(temporary: Path) -> None:
        # A name of a file that is no UTF-8 is written with its bytes as \\udcXX.
        with temporary.open("w", encoding="utf-8", errors="backslashreplace", newline="") as stream:
            if target.suffix == ".csv":
                csv_lines(counted, stream, top_k, rejects, formulas)
            else:
                json_lines(counted, stream, top_k, rejects)

    try:
        write_atomically(target, fill)
    except OSError as error:
        raise ValueError(f"cannot write {str(target)!r}: {error.strerror or error}.") from error
    return counted.done, counted.failed


class Counted:
    """Predictions that are counted as they go by."""

    def __init__(self, predictions: Iterable[Prediction]) -> None:
        self.predictions = predictions
        self.done = self.failed = self.rejected = 0

    def __iter__(self) -> Iterator[Prediction]:
        for prediction in self.predictions:
            self.done += prediction.error is None
            self.failed += prediction.error is not None
            self.rejected += bool(prediction.rejected)
            yield prediction


def is_formula(text: str) -> bool:
    """Whether a spreadsheet that opens a CSV takes a cell for a formula: ``=``, ``+``, ``-``, ``@``, or a tab, first.

    Source: OWASP, "CSV injection". A number is none.

    Example:
        >>> [is_formula(text) for text in ("=1+1", "@sum", "-1.5", "-x", "cat")]
        [True, True, False, True, False]
    """
    return text[:1] in FORMULA and text != "" and re.fullmatch(NUMBER, text) is None


def csv_lines(
    predictions: Iterable[Prediction], stream: IO[str], top_k: int, rejects: bool = False, formulas: bool = True
) -> None:
    """One row for each input."""

    def cell(text: str) -> str:
        return f"'{text}" if not formulas and is_formula(text) else text

    writer = csv.writer(stream, lineterminator="\n")
    ranks = ["", *(f"_{rank}" for rank in range(2, top_k + 1))]
    columns = [f"{name}{rank}" for rank in ranks for name in ("class", "probability")]
    writer.writerow(["input", *columns, *["rejected"] * rejects, "error"])
    for p in predictions:
        pairs = [v for c, q in zip(p.classes, p.probabilities, strict=True) for v in (cell(c), f"{q:.6f}")]
        answer = [{True: "yes", False: "no", None: ""}[p.rejected]] * rejects
        writer.writerow([cell(p.name), *pairs, *[""] * (2 * top_k - len(pairs)), *answer, cell(p.error or "")])


def json_lines(predictions: Iterable[Prediction], stream: IO[str], top_k: int, rejects: bool = False) -> None:
    """A list with one object on each line."""
    separator = "[\n"
    for p in predictions:
        named = [{"class": c, "probability": round(q, 6)} for c, q in zip(p.classes, p.probabilities, strict=True)]
        entry: dict[str, Any] = {"input": p.name, **({"predictions": named} if p.error is None else {"error": p.error})}
        if p.rejected is not None:
            entry["rejected"] = p.rejected
        stream.write(separator + json.dumps(entry, ensure_ascii=False))
        separator = ",\n"
    stream.write("\n]\n" if separator != "[\n" else "[]\n")
