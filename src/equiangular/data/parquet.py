"""Parquet files in the layout of Hugging Face ``datasets``: images, tables and texts."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from equiangular._extras import require
from equiangular.data.arrays import TEST_FRACTION
from equiangular.data.base import Dataset, relabel
from equiangular.data.images import cached_images
from equiangular.data.text import tfidf_features
from equiangular.longtail import holdout_indices

LABEL = "label"


@dataclass(frozen=True)
class Part:
    """One parquet file: its table, its labels as they stand in it, and the class names it states, if any."""

    file: Path
    table: Any
    labels: np.ndarray
    class_names: tuple[str, ...] | None


def load_parquet(path: str | Path, *, split_seed: int = 0, size: int | None = None) -> Dataset:
    """Read ``train.parquet`` and ``test.parquet`` of a folder, or a single file.

    The column ``label`` holds class indices, with names in the metadata that ``datasets`` writes (without names, or as
    strings, the labels are numbered in ascending order). The other columns decide what the data is:

    - ``image``: structs of ``bytes`` (and ``path``), any format Pillow reads -> uint8 (N, C, H, W). Decoded once and
      cached, see :func:`equiangular.data.images.cached_images`.
    - ``text``: strings -> TF-IDF features, the vocabulary from the training pool alone, see
      :func:`equiangular.data.text.tfidf_features`.
    - numbers only: a table -> float32 (N, d), columns in the order of the training file.

    Without a test file a seeded fifth of every class is taken for testing. A ``validation.parquet`` is not read:
    validation data is taken from the training part.

    Args:
        path: a folder or a ``.parquet`` file.
        split_seed: seed of the test split, if one is made.
        size: pad images to a square and resize them to this height and width.

    Raises:
        ValueError: a file that cannot be read, a missing column, a corrupt image (with its row), a label out of range.
        ImportError: pyarrow, Pillow or scikit-learn is missing.
    """
    given = Path(path)
    files = [given] if given.is_file() else [given / "train.parquet", given / "test.parquet"]
    parts = [_read(file) for file in files if file.exists()]
    name = given.stem if given.is_file() else given.name
    train = parts[0]
    columns = [column for column in train.table.column_names if column != LABEL]
    for part in parts[1:]:
        missing = [column for column in columns if column not in part.table.column_names]
        if missing:
            raise ValueError(f"{str(part.file)!r} has no column {missing[0]!r}, which {train.file.name} has.")
    kind = "image" if "image" in columns else "text" if "text" in columns else "table"
    labels, names = _labels(parts)
    source = f"{given.name} (parquet)"
    if len(parts) == 1:
        test = holdout_indices(labels[0], TEST_FRACTION, seed=split_seed)
        rows = [np.setdiff1d(np.arange(len(labels[0])), test), test]
        parts, labels = [train, train], [labels[0][chosen] for chosen in rows]
        source += f"; test: {TEST_FRACTION:.0%} of each class, split seed {split_seed}"
    else:
        rows = [np.arange(len(part.labels)) for part in parts]
    if kind == "image":
        inputs = _images(parts, rows, size)
    elif kind == "text":
        texts = [_texts(part, chosen) for part, chosen in zip(parts, rows, strict=True)]
        inputs = [torch.from_numpy(x) for x in tfidf_features(*texts)]
    else:
        inputs = [torch.from_numpy(_numbers(part, columns)[chosen]) for part, chosen in zip(parts, rows, strict=True)]
    targets = [torch.from_numpy(y) for y in labels]
    return Dataset(name, inputs[0], targets[0], inputs[1], targets[1], names, kind, source)


def _read(file: Path) -> Part:
    pq = require("pyarrow.parquet", extra="data", purpose="Reading parquet files")
    try:
        table = pq.read_table(file)
    except (OSError, ValueError) as error:  # pyarrow's own errors are among them
        raise ValueError(f"cannot read {str(file)!r} as parquet: {error}") from error
    if LABEL not in table.column_names:
        raise ValueError(f"{str(file)!r} has no column {LABEL!r}; its columns are {', '.join(table.column_names)}.")
    column = table.column(LABEL)
    if column.null_count:
        raise ValueError(f"{str(file)!r}: row {_first_null(column)} has no label. Drop the row or label it.")
    return Part(file, table, np.asarray(column.to_pylist()), _class_names(table.schema.metadata))


def _class_names(metadata: dict[bytes, bytes] | None) -> tuple[str, ...] | None:
    """The names of a ClassLabel feature in the metadata that ``datasets`` writes into a parquet schema."""
    try:
        features = json.loads((metadata or {})[b"huggingface"])["info"]["features"]
        return tuple(str(name) for name in features[LABEL]["names"])
    except (KeyError, TypeError, ValueError):
        return None


def _labels(parts: list[Part]) -> tuple[list[np.ndarray], tuple[str, ...]]:
    """Class indices of every part and the class names, which all parts must share."""
    stated = [part.class_names for part in parts if part.class_names is not None]
    if any(names != stated[0] for names in stated):
        raise ValueError(f"{str(parts[0].file.parent)!r}: the parquet files name different classes.")
    train = parts[0]
    first, names = relabel(train.labels, stated[0] if stated else None, where=str(train.file))
    others = [relabel(p.labels if stated else p.labels.astype(str), names, where=str(p.file))[0] for p in parts[1:]]
    return [first, *others], names


def _images(parts: list[Part], rows: list[np.ndarray], size: int | None) -> list[torch.Tensor]:
    files = {part.file: part for part in parts}
    arrays = {}
    for file, part in files.items():
        column = part.table.column("image").to_pylist()
        blobs = [value.get("bytes") if isinstance(value, dict) else value for value in column]
        arrays[file] = cached_images(blobs, size=size, where=str(file))
    channels = max(array.shape[1] for array in arrays.values())
    full = [np.broadcast_to(a, (len(a), channels, *a.shape[2:])) if a.shape[1] == 1 else a for a in arrays.values()]
    by_file = dict(zip(arrays, full, strict=True))
    return [torch.from_numpy(by_file[part.file][chosen].copy()) for part, chosen in zip(parts, rows, strict=True)]


def _texts(part: Part, rows: np.ndarray) -> list[str]:
    column = part.table.column("text")
    if column.null_count:
        raise ValueError(f"{str(part.file)!r}: row {_first_null(column)} has no text. Drop the row.")
    texts = column.to_pylist()
    return [str(texts[row]) for row in rows]


def _numbers(part: Part, columns: list[str]) -> np.ndarray:
    if not columns:
        raise ValueError(f"{str(part.file)!r} has no column beside {LABEL!r}: nothing to learn from.")
    arrays = []
    for column in columns:
        values = np.asarray(part.table.column(column))
        if values.dtype.kind not in "biuf":
            raise ValueError(
                f"{str(part.file)!r}: column {column!r} holds {part.table.schema.field(column).type}, not numbers. "
                "Encode it as numbers, or name it 'text' or 'image' if it is one."
            )
        arrays.append(values.astype(np.float32))
    return np.stack(arrays, axis=1)


def _first_null(column: Any) -> int:
    return column.is_null().to_pylist().index(True)
