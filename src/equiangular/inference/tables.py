"""Rows of tables and arrays in files as batches of a model's inputs: numbers, texts, or embedded images."""

import json
import zipfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from equiangular._extras import require
from equiangular._files import check_npz, read_safetensors
from equiangular.data.folder import _as_inputs, stated_class_names
from equiangular.data.images import decode_image, quiet
from equiangular.data.libraries import TEST_PARTS
from equiangular.data.tables import LABEL, vocabulary_features
from equiangular.data.vectors import VECTOR_NAMES, labels_beside, read_labels, vector_column
from equiangular.encoders import KnownEncoder
from equiangular.encoders.base import same_encoder
from equiangular.encoders.inputs import pil_image
from equiangular.training.model.info import ModelInfo


@dataclass(frozen=True)
class InputBatch:
    """Some inputs of a model, at most as many as a batch has.

    Attributes:
        names: where each input comes from: its file, and its row in a table.
        inputs: (B, *input_shape) as the model's :class:`equiangular.training.Classifier` takes them.
        labels: the name of each input's class where the source has one: the folder of an image, a column of labels.
        failures: name and reason of everything that could not be read.
    """

    names: list[str]
    inputs: Tensor
    labels: list[str] | None = None
    failures: list[tuple[str, str]] = field(default_factory=list)


def decoded_batch(
    sources: Sequence[bytes | Path | None],
    names: list[str],
    labels: list[str] | None,
    info: ModelInfo,
    pool: ThreadPoolExecutor | None = None,
    encoder: KnownEncoder | None = None,
) -> InputBatch:
    """Decode encoded images to a batch, of vectors if there is an encoder; those that cannot be are its failures."""

    def decode(position: int) -> Any:
        try:
            if encoder is not None:
                return pil_image(decode_image(sources[position], size=None, label=names[position]))
            return decode_for(sources[position], info, names[position])
        except ValueError as error:
            return str(error)

    positions = range(len(sources))
    with quiet():
        images = list(map(decode, positions) if pool is None else pool.map(decode, positions))
    bad, good = ([i for i in positions if isinstance(images[i], str) == kind] for kind in (True, False))
    chosen = [images[i] for i in good]
    inputs = torch.empty(0, *info.input_shape, dtype=torch.float32 if encoder else torch.uint8)
    if good:
        inputs = torch.stack(chosen) if encoder is None else encoder.encode(chosen)
    return InputBatch(
        [names[i] for i in good],
        inputs,
        None if labels is None else [labels[i] for i in good],
        [(names[i], images[i]) for i in bad],
    )


def decode_for(source: bytes | Path | None, info: ModelInfo, name: str) -> Tensor:
    """One encoded image as the model takes it: (C, H, W) uint8."""
    channels, height, width = info.input_shape
    array = decode_image(source, size=height if height == width else None, label=name)
    if array.shape[:2] != (height, width):
        raise ValueError(
            f"{name} has size {array.shape[0]} x {array.shape[1]}, and the model takes {height} x {width}. Resize it."
        )
    image = torch.from_numpy(array.copy()).permute(2, 0, 1)
    if channels == 3:
        return image
    if channels == 1:  # ITU-R 601 luma in the integers that Pillow uses, exact for grey images
        red, green, blue = image.long()
        return ((red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16).byte()[None]
    raise ValueError(f"{name}: the model takes {channels} channels, and image files have 1 or 3. Give an .npz file.")


def unreadable(file: Path, info: ModelInfo, error: Exception) -> InputBatch:
    """A batch without inputs: a file that cannot be read, or does not fit the model."""
    return InputBatch([], torch.empty(0, *info.input_shape), None, [(str(file), f"cannot read {file}: {error}")])


INPUT_KEYS = ("x", "test_x", "images", *VECTOR_NAMES, *(f"test_{name}" for name in VECTOR_NAMES))
LABEL_KEYS = ("y", "test_y", "labels", "test_labels", "label", "test_label", "targets", "test_targets")


def read_table(
    file: Path, info: ModelInfo, batch_size: int, encoder: KnownEncoder | None = None
) -> Iterator[InputBatch]:
    """Batches of a file's rows; a file that does not fit the model is one failure."""
    try:
        if file.suffix.lower() in (".npz", ".npy", ".safetensors"):
            yield from _array_batches(file, info, batch_size)
        else:
            yield from _column_batches(file, info, batch_size, encoder)
    except ImportError:
        raise
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:  # pyarrow's errors are ValueErrors
        yield unreadable(file, info, error)


def _read_arrays(file: Path, info: ModelInfo) -> tuple[dict[str, Any], list[str] | None]:
    """Arrays of a file by name, and the class names that it states."""
    if file.suffix.lower() == ".npy":  # the name says what it is: the inputs
        labels = labels_beside(file)
        return {"x": np.load(file, allow_pickle=False), **({"y": read_labels(labels)} if labels else {})}, None
    if file.suffix.lower() == ".safetensors":
        tensors, metadata = read_safetensors(file, remedy="Make it again.")
        theirs = json.loads(metadata["encoder"]) if metadata.get("encoder") else {}
        if info.encoder and (why := same_encoder(info.encoder, theirs)):
            raise ValueError(f"its features come from another encoder than those that the model was trained on: {why}.")
        return tensors, json.loads(metadata["class_names"]) if metadata.get("class_names") else None
    check_npz(file)
    with np.load(file, allow_pickle=False) as archive:
        arrays = {key: archive[key] for key in archive.files}
    return arrays, arrays["class_names"].tolist() if "class_names" in arrays else None


def _array_batches(file: Path, info: ModelInfo, batch_size: int) -> Iterator[InputBatch]:
    arrays, names = _read_arrays(file, info)
    key = next((key for key in INPUT_KEYS if key in arrays), None)
    if key is None:
        raise ValueError(f"it needs an array named {' or '.join(INPUT_KEYS)}, got {', '.join(arrays)}.")
    inputs = _as_inputs(np.asarray(arrays[key]), key)
    if tuple(inputs.shape[1:]) != info.input_shape:
        raise ValueError(f"its inputs have shape {tuple(inputs.shape[1:])}, the model takes {info.input_shape}.")
    labels = next((arrays[key] for key in LABEL_KEYS if key in arrays), None)
    for start in range(0, len(inputs), batch_size):
        stop = min(start + batch_size, len(inputs))
        own = None if labels is None else _label_names(labels[start:stop].tolist(), names)
        yield _finite(file, start, inputs[start:stop], own)


def _column_batches(file: Path, info: ModelInfo, batch_size: int, encoder: KnownEncoder | None) -> Iterator[InputBatch]:
    start = 0
    for batch, names in _record_batches(file, batch_size):
        columns = batch.schema.names
        labels = _label_names(batch.column(LABEL).to_pylist(), names) if LABEL in columns else None
        rows = [f"{file}:{start + i}" for i in range(batch.num_rows)]
        vectors = next((n for n in VECTOR_NAMES if n in columns), None) if info.kind == "vectors" else None
        if vectors is not None:
            inputs = vector_column(batch.column(vectors), f"column {vectors!r}")
            if inputs.shape[1] != info.input_shape[0]:
                raise ValueError(f"its vectors have {inputs.shape[1]} numbers, the model takes {info.input_shape[0]}.")
            yield _finite(file, start, inputs, labels)
        elif info.reads == "image":
            _need(columns, "image")
            values = batch.column("image").to_pylist()
            blobs = [value.get("bytes") if isinstance(value, dict) else value for value in values]
            yield decoded_batch(blobs, rows, labels, info, encoder=encoder)
        elif info.reads == "text":
            _need(columns, "text")
            texts = [text or "" for text in batch.column("text").to_pylist()]
            yield text_batch(rows, texts, labels, info, encoder)
        else:
            yield _finite(file, start, _numbers(batch, info), labels)
        start += batch.num_rows


def _record_batches(file: Path, batch_size: int) -> Iterator[tuple[Any, Sequence[str] | None]]:
    """Record batches of at most ``batch_size`` rows, and the class names that the file states."""
    if file.is_dir():
        table = _saved_table(file)
        for batch in table.to_batches(max_chunksize=batch_size):
            yield batch, stated_class_names(table.schema.metadata)
        return
    if file.suffix.lower() == ".csv":
        csv = require("pyarrow.csv", extra="data", purpose="Reading .csv files")
        with csv.open_csv(file) as reader:
            for block in reader:
                for start in range(0, block.num_rows, batch_size):
                    yield block.slice(start, batch_size), None
        return
    pq = require("pyarrow.parquet", extra="data", purpose="Reading parquet files")
    with pq.ParquetFile(file) as source:
        names = stated_class_names(source.schema_arrow.metadata)
        for batch in source.iter_batches(batch_size=batch_size):
            yield batch, names


def _saved_table(folder: Path) -> Any:
    """The Arrow table of what ``datasets`` saved: its test part, or all of it where it has no parts."""
    library = require("datasets", extra="data", purpose="Reading what datasets has saved")
    made = library.load_from_disk(str(folder))
    if hasattr(made, "keys"):
        part = next((name for name in TEST_PARTS if name in made), None)
        if part is None:
            raise ValueError(f"none of its parts {', '.join(made)} is called {' or '.join(TEST_PARTS)}.")
        made = made[part]
    return made.data.table.replace_schema_metadata(made.features.arrow_schema.metadata)


def _numbers(batch: Any, info: ModelInfo) -> Tensor:
    """The columns that the model was trained on, by name where it knows them: (B, d) float32."""
    present = [name for name in batch.schema.names if name != LABEL]
    columns = list(info.columns or present)
    for name in columns:
        _need(present, name)
    if len(columns) != info.input_shape[0]:
        raise ValueError(f"it has {len(columns)} columns of numbers, the model takes {info.input_shape[0]}.")
    arrays = []
    for name in columns:
        values = batch.column(batch.schema.names.index(name)).to_numpy(zero_copy_only=False)
        if values.dtype.kind not in "biuf":
            raise ValueError(f"column {name!r} holds {batch.schema.field(name).type}, not numbers.")
        arrays.append(values.astype(np.float32))
    return torch.from_numpy(np.stack(arrays, axis=1))


def text_batch(
    names: list[str], texts: list[str], labels: list[str] | None, info: ModelInfo, encoder: KnownEncoder | None
) -> InputBatch:
    """Texts as the model takes them; for an encoder those without a word are failures."""
    if encoder is None:
        return InputBatch(names, text_features(texts, info), labels)
    good = [i for i, text in enumerate(texts) if text.strip()]
    empty = [name for name, text in zip(names, texts, strict=True) if not text.strip()]
    return InputBatch(
        [names[i] for i in good],
        encoder.encode([texts[i] for i in good]) if good else torch.empty(0, *info.input_shape),
        None if labels is None else [labels[i] for i in good],
        [(name, "an empty text. Fill it in or drop the row.") for name in empty],
    )


def text_features(texts: list[str], info: ModelInfo) -> Tensor:
    """TF-IDF features of texts by the vocabulary that the model was trained with."""
    if info.vocabulary is None:
        raise ValueError("the model was stored without a vocabulary, so it cannot read texts. Give it their features.")
    return torch.from_numpy(vocabulary_features(texts, info.vocabulary))


def _finite(file: Path, start: int, inputs: Tensor, labels: list[str] | None) -> InputBatch:
    """A batch of the rows whose numbers are finite; the others are failures."""
    finite = torch.isfinite(inputs).flatten(1).all(1) if inputs.is_floating_point() else torch.ones(len(inputs)).bool()
    good, bad = finite.nonzero().flatten().tolist(), (~finite).nonzero().flatten().tolist()
    return InputBatch(
        [f"{file}:{start + i}" for i in good],
        inputs[finite],
        None if labels is None else [labels[i] for i in good],
        [(f"{file}:{start + i}", "a missing, NaN or infinite value. Fill it in or drop the row.") for i in bad],
    )


def _label_names(labels: list[Any], names: Sequence[str] | None) -> list[str]:
    indexed = names is not None and all(isinstance(label, int) and 0 <= label < len(names) for label in labels)
    return [names[label] if indexed else str(label) for label in labels]


def _need(columns: Sequence[str], name: str) -> None:
    if name not in columns:
        raise ValueError(f"it has no column {name!r}; its columns are {', '.join(columns)}.")
