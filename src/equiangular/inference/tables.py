"""Rows of .npz, .parquet and .csv files as batches of a model's inputs: numbers, texts, or embedded images."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from equiangular._extras import require
from equiangular._files import check_npz
from equiangular.data.arrays import _as_inputs
from equiangular.data.parquet import LABEL, _class_names
from equiangular.inference.batches import InputBatch, decoded_batch, unreadable
from equiangular.training.model.info import ModelInfo

INPUT_KEYS = ("x", "test_x", "features", "images")
LABEL_KEYS = ("y", "test_y", "labels")


def read_table(file: Path, info: ModelInfo, batch_size: int) -> Iterator[InputBatch]:
    """Batches of a file's rows; a file that does not fit the model is one failure."""
    try:
        if file.suffix.lower() == ".npz":
            yield from _npz_batches(file, info, batch_size)
        else:
            yield from _column_batches(file, info, batch_size)
    except ImportError:
        raise
    except (OSError, ValueError, zipfile.BadZipFile) as error:  # pyarrow's errors are ValueErrors
        yield unreadable(file, info, error)


def _npz_batches(file: Path, info: ModelInfo, batch_size: int) -> Iterator[InputBatch]:
    check_npz(file)
    with np.load(file, allow_pickle=False) as archive:
        arrays = {key: archive[key] for key in archive.files}
    key = next((key for key in INPUT_KEYS if key in arrays), None)
    if key is None:
        raise ValueError(f"it needs an array named {' or '.join(INPUT_KEYS)}, got {', '.join(arrays)}.")
    inputs = _as_inputs(arrays[key], key)
    if tuple(inputs.shape[1:]) != info.input_shape:
        raise ValueError(f"its inputs have shape {tuple(inputs.shape[1:])}, the model takes {info.input_shape}.")
    labels = next((arrays[key] for key in LABEL_KEYS if key in arrays), None)
    names = arrays["class_names"].tolist() if "class_names" in arrays else None
    for start in range(0, len(inputs), batch_size):
        stop = min(start + batch_size, len(inputs))
        own = None if labels is None else _label_names(labels[start:stop].tolist(), names)
        yield _finite(file, start, inputs[start:stop], own)


def _column_batches(file: Path, info: ModelInfo, batch_size: int) -> Iterator[InputBatch]:
    start = 0
    for batch, names in _record_batches(file, batch_size):
        columns = batch.schema.names
        labels = _label_names(batch.column(LABEL).to_pylist(), names) if LABEL in columns else None
        rows = [f"{file}:{start + i}" for i in range(batch.num_rows)]
        if info.kind == "image":
            _need(columns, "image")
            values = batch.column("image").to_pylist()
            blobs = [value.get("bytes") if isinstance(value, dict) else value for value in values]
            yield decoded_batch(blobs, rows, labels, info)
        elif info.kind == "text":
            _need(columns, "text")
            texts = [text or "" for text in batch.column("text").to_pylist()]
            yield InputBatch(rows, text_features(texts, info), labels)
        else:
            yield _finite(file, start, _numbers(batch, info), labels)
        start += batch.num_rows


def _record_batches(file: Path, batch_size: int) -> Iterator[tuple[Any, Sequence[str] | None]]:
    """Record batches of at most ``batch_size`` rows, and the class names that the file states."""
    if file.suffix.lower() == ".csv":
        csv = require("pyarrow.csv", extra="data", purpose="Reading .csv files")
        with csv.open_csv(file) as reader:
            for block in reader:
                for start in range(0, block.num_rows, batch_size):
                    yield block.slice(start, batch_size), None
        return
    pq = require("pyarrow.parquet", extra="data", purpose="Reading parquet files")
    with pq.ParquetFile(file) as source:
        names = _class_names(source.schema_arrow.metadata)
        for batch in source.iter_batches(batch_size=batch_size):
            yield batch, names


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


def text_features(texts: list[str], info: ModelInfo) -> Tensor:
    """TF-IDF features of texts by the vocabulary that the model was trained with.

    Raises:
        ValueError: the model is none of texts, or was stored without its vocabulary.
    """
    if info.vocabulary is None:
        raise ValueError("the model was stored without a vocabulary, so it cannot read texts. Give it their features.")
    from equiangular.data.text import vocabulary_features

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
