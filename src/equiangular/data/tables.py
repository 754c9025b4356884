"""Arrow tables with a column of labels to a data set: images, texts or numbers, by their columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from equiangular._choices import Memory
from equiangular.data.arrays import TEST_FRACTION
from equiangular.data.base import Dataset, relabel
from equiangular.data.encoded import EncodedImages
from equiangular.data.sources import ArrowImages, ImageSource, image_inputs
from equiangular.data.text import fit_vocabulary, vocabulary_features
from equiangular.longtail import holdout_indices

LABEL, IMAGE, TEXT = "label", "image", "text"


@dataclass(frozen=True, eq=False)
class Part:
    """One table of a data set.

    Attributes:
        where: where it comes from, for messages.
        table: a ``pyarrow.Table`` with a column ``label``.
        labels: (N,) labels as they stand in it.
        class_names: the class names it states, if any; then integer labels are indices into them.
    """

    where: str
    table: Any
    labels: np.ndarray
    class_names: tuple[str, ...] | None

    @classmethod
    def of(cls, where: str, table: Any, class_names: Sequence[str] | None) -> Part:
        """Read the labels of a table.

        Raises:
            ValueError: no column ``label``, or a row without a label.
        """
        if LABEL not in table.column_names:
            raise ValueError(f"{where!r} has no column {LABEL!r}; its columns are {', '.join(table.column_names)}.")
        column = table.column(LABEL)
        if column.null_count:
            raise ValueError(f"{where!r}: row {_first_null(column)} has no label. Drop the row or label it.")
        return cls(where, table, np.asarray(column.to_pylist()), None if class_names is None else tuple(class_names))


def from_tables(
    parts: Sequence[Part], *, name: str, source: str, split_seed: int, size: int | None, memory: Memory
) -> Dataset:
    """Make a data set of a training table and, if there is one, a test table.

    A column ``image`` makes it a set of images, else a column ``text`` one of texts, else all columns are numbers.

    Args:
        parts: training part, and test part; without one a seeded fifth of every class is taken for testing.
        name: short name.
        source: where the data comes from.
        split_seed: seed of the test split, if one is made.
        size: pad images to a square and resize them to this height and width.
        memory: see :func:`equiangular.data.load_dataset`.

    Raises:
        ValueError: tables that do not fit together, a missing value, a corrupt image (with its row), a label out of
            range.
    """
    train = parts[0]
    columns = [column for column in train.table.column_names if column != LABEL]
    for part in parts[1:]:
        missing = [column for column in columns if column not in part.table.column_names]
        if missing:
            raise ValueError(f"{part.where!r} has no column {missing[0]!r}, which the training part has.")
    labels, names = _labels(parts)
    if len(parts) == 1:
        test = holdout_indices(labels[0], TEST_FRACTION, seed=split_seed)
        rows = [np.setdiff1d(np.arange(len(labels[0])), test), test]
        parts, labels = [train, train], [labels[0][chosen] for chosen in rows]
        source += f"; test: {TEST_FRACTION:.0%} of each class, split seed {split_seed}"
    else:
        rows = [np.arange(len(part.labels)) for part in parts]
    kind = "image" if IMAGE in columns else "text" if TEXT in columns else "table"
    inputs: Sequence[Tensor | EncodedImages]
    vocabulary = None
    if kind == "image":
        groups = {id(p): ImageSource(ArrowImages(p.table.column(IMAGE)), p.where) for p in parts}
        inputs = image_inputs(
            [(groups[id(p)], chosen) for p, chosen in zip(parts, rows, strict=True)], size=size, memory=memory
        )
    elif kind == "text":
        texts = [_texts(part, chosen) for part, chosen in zip(parts, rows, strict=True)]
        vocabulary = fit_vocabulary(texts[0])
        inputs = [torch.from_numpy(vocabulary_features(part, vocabulary)) for part in texts]
    else:
        inputs = [torch.from_numpy(_numbers(part, columns)[chosen]) for part, chosen in zip(parts, rows, strict=True)]
    targets = [torch.from_numpy(y) for y in labels]
    parts_of_it = (inputs[0], targets[0], inputs[1], targets[1])
    named = tuple(columns) if kind == "table" else None
    return Dataset(name, *parts_of_it, names, kind, source, columns=named, vocabulary=vocabulary)


def _labels(parts: Sequence[Part]) -> tuple[list[np.ndarray], tuple[str, ...]]:
    """Class indices of every part and the class names, which all parts must share."""
    stated = [part.class_names for part in parts if part.class_names is not None]
    if any(names != stated[0] for names in stated):
        raise ValueError(f"{parts[0].where!r} and {parts[1].where!r} name different classes.")
    train = parts[0]
    first, names = relabel(train.labels, stated[0] if stated else None, where=train.where)
    others = [relabel(p.labels if stated else p.labels.astype(str), names, where=p.where)[0] for p in parts[1:]]
    return [first, *others], names


def _texts(part: Part, rows: np.ndarray) -> list[str]:
    column = part.table.column(TEXT)
    if column.null_count:
        raise ValueError(f"{part.where!r}: row {_first_null(column)} has no text. Drop the row.")
    texts = column.to_pylist()
    return [str(texts[row]) for row in rows]


def _numbers(part: Part, columns: list[str]) -> np.ndarray:
    if not columns:
        raise ValueError(f"{part.where!r} has no column beside {LABEL!r}: nothing to learn from.")
    arrays = []
    for column in columns:
        values = np.asarray(part.table.column(column))
        if values.dtype.kind not in "biuf":
            raise ValueError(
                f"{part.where!r}: column {column!r} holds {part.table.schema.field(column).type}, not numbers. "
                f"Encode it as numbers, or name it {TEXT!r} or {IMAGE!r} if it is one."
            )
        arrays.append(values.astype(np.float32))
    return np.stack(arrays, axis=1)


def _first_null(column: Any) -> int:
    return column.is_null().to_pylist().index(True)
