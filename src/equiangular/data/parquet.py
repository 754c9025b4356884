"""Parquet files in the layout of Hugging Face ``datasets``: images, tables and texts."""

from __future__ import annotations

import json
from pathlib import Path

from equiangular._choices import Memory
from equiangular._extras import require
from equiangular.data.base import Dataset
from equiangular.data.tables import LABEL, Part, from_tables


def load_parquet(path: str | Path, *, split_seed: int = 0, size: int | None = None, memory: Memory = "auto") -> Dataset:
    """Read ``train.parquet`` and ``test.parquet`` of a folder, or a single file.

    The column ``label`` holds class indices, with names in the metadata that ``datasets`` writes (without names, or as
    strings, the labels are numbered in ascending order). The other columns decide what the data is:

    - ``image``: structs of ``bytes`` (and ``path``), any format Pillow reads -> uint8 (N, C, H, W). Decoded once and
      cached, see :func:`equiangular.data.images.cached_images`, or streamed.
    - ``text``: strings -> TF-IDF features, the vocabulary from the training pool alone, see
      :func:`equiangular.data.text.tfidf_features`.
    - numbers only: a table -> float32 (N, d), columns in the order of the training file.

    Without a test file a seeded fifth of every class is taken for testing. A ``validation.parquet`` is not read:
    validation data is taken from the training part.

    Args:
        path: a folder or a ``.parquet`` file.
        split_seed: seed of the test split, if one is made.
        size: pad images to a square and resize them to this height and width.
        memory: see :func:`equiangular.data.load_dataset`.

    Raises:
        ValueError: a file that cannot be read, a missing column, a corrupt image (with its row), a label out of range.
        ImportError: pyarrow, Pillow or scikit-learn is missing.
    """
    given = Path(path)
    files = [given] if given.is_file() else [given / "train.parquet", given / "test.parquet"]
    return from_tables(
        [_read(file) for file in files if file.exists()],
        name=given.stem if given.is_file() else given.name,
        source=f"{given.name} (parquet)",
        split_seed=split_seed,
        size=size,
        memory=memory,
    )


def _read(file: Path) -> Part:
    pq = require("pyarrow.parquet", extra="data", purpose="Reading parquet files")
    try:
        table = pq.read_table(file)
    except (OSError, ValueError) as error:  # pyarrow's own errors are among them
        raise ValueError(f"cannot read {str(file)!r} as parquet: {error}") from error
    return Part.of(str(file), table, _class_names(table.schema.metadata))


def _class_names(metadata: dict[bytes, bytes] | None) -> tuple[str, ...] | None:
    """The names of a ClassLabel feature in the metadata that ``datasets`` writes into a parquet schema."""
    try:
        features = json.loads((metadata or {})[b"huggingface"])["info"]["features"]
        return tuple(str(name) for name in features[LABEL]["names"])
    except (KeyError, TypeError, ValueError):
        return None
