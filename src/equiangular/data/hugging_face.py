"""Data sets of the Hugging Face hub, and what its library ``datasets`` reads: ``hf:NAME``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from equiangular._choices import Memory
from equiangular._extras import require
from equiangular._validate import did_you_mean
from equiangular.data.base import Dataset
from equiangular.data.tables import IMAGE, LABEL, TEXT, Part, from_tables

_TRAIN = "train"
_TEST = ("test", "validation", "valid", "val", "dev")


def load_hugging_face(text: str, *, split_seed: int = 0, size: int | None = None, memory: Memory = "auto") -> Dataset:
    """Read a data set through ``datasets.load_dataset``: from the hub (downloaded once), or a local folder.

    The split ``train`` is the training pool; the test part is ``test`` if it has labels, else ``validation``; without
    either a seeded fifth of every class is taken. The columns are found by their types: the labels are the column
    ``label`` (or ``labels``), else the only one of class labels; images are the first column of images, else texts the
    column ``text``, else the only one of strings; else all columns of numbers are a table.

    Args:
        text: ``NAME``, ``NAME:CONFIGURATION``, each with ``#COLUMN`` where several columns could be the labels, such as
            ``uoft-cs/cifar100#fine_label``.
        split_seed: seed of the test split, if one is made.
        size: pad images to a square and resize them to this height and width.
        memory: see :func:`equiangular.data.load_dataset`.

    Raises:
        ValueError: nothing of that name, no connection, or columns that cannot be told.
        ImportError: ``datasets`` is missing.
    """
    library = require("datasets", extra="data", purpose="A data set of Hugging Face")
    place, _, column = text.partition("#")
    name, _, configuration = (place, "", "") if Path(place).exists() else place.partition(":")
    try:
        splits = library.load_dataset(name, configuration or None)
    except (OSError, ValueError, RuntimeError, library.exceptions.DatasetsError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ValueError(f"Hugging Face's datasets cannot load {place!r}: {reason}") from error
    if _TRAIN not in splits:
        raise ValueError(f"data set {place!r} has no split {_TRAIN!r}; its splits are {', '.join(splits)}.")
    train = splits[_TRAIN]
    label = _label_column(train.features, column, place)
    test = next((key for key in _TEST if key in splits and _is_labelled(splits[key], label)), None)
    columns = _columns(train.features, label)
    used = [_TRAIN] if test is None else [_TRAIN, test]
    return from_tables(
        [_part(splits[key], f"{place}, split {key}", columns) for key in used],
        name=Path(name).name,
        source=f"Hugging Face datasets, {place}" + ("" if test is None else f"; test: its split {test}"),
        split_seed=split_seed,
        size=size,
        memory=memory,
    )


def _label_column(features: Any, asked: str, place: str) -> str:
    names = list(features)
    if asked:
        if asked not in names:
            raise ValueError(f"data set {place!r} has no column {asked!r}{did_you_mean(asked, names)}")
        return asked
    labels = [name for name in names if hasattr(features[name], "names")]
    for choice in (LABEL, "labels"):
        if choice in names:
            return choice
    if len(labels) != 1:
        example = labels[0] if labels else names[-1]
        raise ValueError(
            f"data set {place!r} has {len(labels)} columns of class labels; its columns are {', '.join(names)}. "
            f"Name the one to learn, as in 'hf:{place}#{example}'."
        )
    return labels[0]


def _is_labelled(split: Any, label: str) -> bool:
    """Test splits of competitions have -1 for every label."""
    if label not in split.features:
        return False
    table = split.select_columns([label]).with_format("arrow")[:]
    return any(value != -1 for value in table.column(0).to_pylist())


def _columns(features: Any, label: str) -> dict[str, str]:
    """Which columns to take, and the names that :func:`from_tables` knows them by."""
    others = {name: feature for name, feature in features.items() if name != label}
    images = [name for name, feature in others.items() if type(feature).__name__ == "Image"]
    strings = [name for name, feature in others.items() if getattr(feature, "dtype", "") in ("string", "large_string")]
    if images:
        return {images[0]: IMAGE, label: LABEL}
    if TEXT in strings or len(strings) == 1:
        return {TEXT if TEXT in strings else strings[0]: TEXT, label: LABEL}
    numbers = [name for name, feature in others.items() if getattr(feature, "dtype", "string")[:3] in _NUMBERS]
    return {**{name: name for name in numbers}, label: LABEL}


_NUMBERS = ("boo", "int", "uin", "flo", "dou", "dec")


def _part(split: Any, where: str, columns: dict[str, str]) -> Part:
    names = getattr(split.features[next(c for c, new in columns.items() if new == LABEL)], "names", None)
    table = split.select_columns(list(columns)).with_format("arrow")[:]
    return Part.of(where, table.rename_columns([columns[name] for name in table.column_names]), names)
