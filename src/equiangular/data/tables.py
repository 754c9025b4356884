"""From tables with a column of labels to a data set: columns of any kind, vectors, images, or texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from equiangular._choices import Memory
from equiangular._extras import require
from equiangular._validate import did_you_mean
from equiangular.data.base import Dataset, make_dataset, match_labels, own_test_split, rows_at
from equiangular.data.broken_rows import BrokenRowsError, without_broken_rows
from equiangular.data.cells import flat, is_text, nulls, plain_texts
from equiangular.data.columns import Columns, Told, UnreadableError
from equiangular.data.doubts import doubtful_labels
from equiangular.data.encoded import ArrowImages, EncodedImages, ImageSource, read_images
from equiangular.data.fit_columns import fit_columns
from equiangular.data.in_memory import arrow_table
from equiangular.data.labels import find_label, read_labels, stated_class_names
from equiangular.data.listing import PART_NAMES
from equiangular.data.reading import Reading
from equiangular.data.table_files import check_names, read_table
from equiangular.data.texts import Texts, fit_vocabulary, vocabulary_features
from equiangular.data.vectors import VECTOR_NAMES, is_vector_type, vector_column

IMAGE, TEXT = "image", "text"


@dataclass(frozen=True, eq=False)
class Part:
    """One table of a data set.

    Attributes:
        where: it comes from, for messages.
        table: a ``pyarrow.Table`` of all columns but the labels and those that are dropped.
        codes: (N,) int64 indices into ``names``.
        names: names of its classes.
        stated: whether it states them itself, as a ClassLabel does.
        label: the column that the labels were.
    """

    where: str
    table: Any
    codes: np.ndarray
    names: tuple[str, ...]
    stated: bool
    label: str

    @classmethod
    def of(
        cls,
        where: str,
        table: Any,
        class_names: Sequence[str] | None,
        *,
        label: str | None = None,
        drop: Sequence[str] = (),
    ) -> Part:
        """Take the labels and the dropped columns off a table; no label may be missing.

        Raises:
            ValueError: no column of labels, or one that holds something else; a column that is not there or is there
                twice; a row without a label.
        """
        check_names(table.column_names, repr(where))
        label = find_label(table.column_names, label, repr(where), drop)
        try:
            codes, names = read_labels(table.column(label), label, class_names)
        except ValueError as error:
            raise ValueError(f"{where!r}: {error}") from error
        broken = next((place for place, text in enumerate(names) if "\n" in text), None)
        if class_names is None and broken is not None:
            row = int(np.flatnonzero(codes == broken)[0]) + 1
            raise ValueError(
                f"{where!r}: the label of row {row} goes over several lines: {names[broken][:60]!r}. Is a quote in "
                "front of it that nobody closed?"
            )
        missing = np.flatnonzero(codes < 0) if class_names is None else np.flatnonzero(nulls(table.column(label)))
        if len(missing):
            more = f" ({len(missing):,} such rows)" if len(missing) > 1 else ""
            raise ValueError(f"{where!r}: row {missing[0] + 1} has no label{more}. Drop the row or label it.")
        if class_names is not None and tuple(names) != tuple(class_names):  # labels written as names
            place = {name.strip(): i for i, name in enumerate(class_names)}
            unknown = next((name for name in names if name not in place), None)
            if unknown is not None:
                hint = did_you_mean(unknown, class_names)
                raise ValueError(f"{where!r}: label {unknown!r} is not among the {len(class_names)} classes{hint}")
            codes, names = np.array([place[name] for name in names], dtype=np.int64)[codes], list(class_names)
        kept = table.drop_columns([label, *drop])
        return cls(where, kept, codes, tuple(names), class_names is not None, label)

    @classmethod
    def stating(cls, where: str, table: Any, *, label: str | None, drop: Sequence[str]) -> Part:
        """The same of a table whose metadata may state the names of the classes, as ``datasets`` writes them."""
        key = find_label(table.column_names, label, repr(where), drop)
        return cls.of(where, table, stated_class_names(table.schema.metadata, key), label=key, drop=drop)


def from_tables(parts: Sequence[Part], *, skip_broken: bool | None = None, **options: Any) -> Dataset:
    """:func:`_from_tables`, of the rows that can be read; with ``skip_broken`` the others are left out and told.

    Raises:
        BrokenRowsError: rows that cannot be read, all of them listed, and ``skip_broken`` is not true.
    """
    return without_broken_rows(
        lambda good: _from_tables(good, skip_broken=skip_broken, **options), parts, skip=bool(skip_broken)
    )


def _from_tables(
    parts: Sequence[Part],
    *,
    name: str,
    source: str,
    split_seed: int,
    size: int | None,
    memory: Memory,
    raw: bool = False,
    skip_broken: bool | None = None,
    encoding: dict[str, Any] | None = None,
) -> Dataset:
    """Make a data set of a training table and, if there is one, a test table.

    A column ``image`` makes it a set of images, else a column ``text``, or a single column of texts, one of texts
    (TF-IDF features; with ``raw`` the texts), else a column of lists of numbers one of vectors, else all columns
    together are a table, see :mod:`equiangular.data.columns`. A column of lists that is called ``features``,
    ``embeddings``, ``embedding`` or ``X`` comes first, but with ``raw``.

    ``encoding`` is a table's own, from a model that is to read it; by default one is found on the training rows.
    """
    train = parts[0]
    columns = list(train.table.column_names)
    for part in parts[1:]:
        missing = [column for column in columns if column not in part.table.column_names]
        if missing:
            raise ValueError(f"{part.where!r} has no column {missing[0]!r}, which the training part has.")
    labels, names = _labels(parts)
    doubtful_labels(names, sum(map(len, labels)), repr(train.where))  # refused here, told with all notes later
    kind, column = kind_of(train.table, raw=raw)
    extra: dict[str, Any] = {"encoding": {"text": column}} if kind == "text" else {}
    if kind == "image":
        groups = [ImageSource(ArrowImages(part.table.column(column)), part.where) for part in parts]
        read = read_images(groups, size=size, memory=memory, raw=raw, skip_broken=skip_broken)
        labels = [y[kept] for y, kept in zip(labels, read.rows, strict=True)]
        extra = {"reading": read.reading, "notes": read.notes}
    if len(parts) == 1:
        *rows, note = own_test_split(labels[0], split_seed)
        parts, labels = [train, train], [labels[0][chosen] for chosen in rows]
        source += note
    else:
        rows = [np.arange(len(y)) for y in labels]
        of_rows = parts[1].codes[read.rows[1]] if kind == "image" else parts[1].codes
        strange = Counter(parts[1].names[code] for code in of_rows[labels[1] < 0] if code >= 0)
        extra["reading"] = replace(extra.get("reading", Reading()), apart=dict(strange))
    pairs = list(zip(parts, rows, strict=True))
    inputs: Sequence[Tensor | EncodedImages | Texts]
    if kind == "image":
        inputs = [rows_at(read.inputs[parts.index(part)], chosen) for part, chosen in pairs]
    elif kind == "text":
        full_texts = _texts(parts, column)
        texts = [[full_texts[part.where][row] for row in chosen] for part, chosen in pairs]
        if raw:
            inputs = [Texts(part) for part in texts]
        else:
            extra["vocabulary"] = fit_vocabulary(texts[0])
            inputs = [torch.from_numpy(vocabulary_features(part, extra["vocabulary"])) for part in texts]
    elif kind == "vectors":
        full = {id(p): vector_column(p.table.column(column), f"{p.where!r}: column {column!r}") for p in parts}
        inputs = [full[id(p)][torch.from_numpy(chosen)] for p, chosen in pairs]
    else:
        inputs, found = _encoded(pairs, encoding)
        extra |= found
    if kind != "table" and len(columns) > 1:
        others = ", ".join(repr(c) for c in columns if c != column)
        told = f"the column {column!r} is what is learned from; left out: {others}"
        extra["notes"] = (told, *extra.get("notes", ()))
    train_part, test_part = zip(inputs, labels, strict=True)
    return make_dataset(name, train_part, test_part, names, kind, source, **extra)


def kind_of(table: Any, *, raw: bool = False) -> tuple[str, str]:
    """The kind of data set that a table without its labels is, and the column that holds it ("" for a table)."""
    columns = list(table.column_names)
    vectors = _vector_column(table, columns)
    if IMAGE in columns and is_text(table.schema.field(IMAGE).type):
        raise ValueError(
            f"column {IMAGE!r} holds texts, not images. Lay the files out as folders CLASS/*.png, or rename the column."
        )
    if vectors in VECTOR_NAMES and not raw and vectors is not None:
        return "vectors", vectors
    if (image := image_column(table.schema)) is not None:
        return "image", image
    if TEXT in columns:
        return "text", TEXT
    if vectors is not None:
        return "vectors", vectors
    if len(columns) == 1 and is_text(table.schema.field(columns[0]).type) and (raw or _is_prose(table.column(0))):
        return "text", columns[0]
    return "table", ""


def image_column(schema: Any) -> str | None:
    """The column of images of an Arrow schema: ``image``, or the first of structs with ``bytes``, as ``datasets`` has.

    Example:
        >>> import pyarrow as pa
        >>> image_column(pa.schema({"id": pa.int64(), "img": pa.struct({"bytes": pa.binary(), "path": pa.string()})}))
        'img'
    """
    pa = require("pyarrow", extra="data", purpose="Reading tables")
    structs = [f.name for f in schema if pa.types.is_struct(f.type) and f.type.get_field_index("bytes") >= 0]
    return IMAGE if IMAGE in schema.names else next(iter(structs), None)


def _is_prose(column: Any) -> bool:
    """Whether a column of texts holds several words in most rows, and is no column of dates."""
    compute = require("pyarrow.compute", extra="data", purpose="Reading tables")
    texts = flat(column)

    def share(pattern: str) -> float:
        return (compute.sum(compute.match_substring_regex(texts, pattern)).as_py() or 0) / max(1, len(texts))

    return share(r"\w\W+\w+\W+\w") > 0.5 >= share(r"^\s*\d+[-/.]\d+[-/.]\d+[\d\s:.+TZ-]*$")


def _encoded(
    pairs: Sequence[tuple[Part, np.ndarray]], encoding: dict[str, Any] | None
) -> tuple[list[Tensor], dict[str, Any]]:
    """The inputs of both parts of a table, and what the data set keeps of its columns."""
    train, rows = pairs[0]
    notes: list[str] = []
    try:
        if encoding is None:
            columns, notes = fit_columns(train.table, rows)
        else:
            columns = Columns.from_dict(encoding)
    except UnreadableError as error:
        raise BrokenRowsError({train.where: error.rows}, len(train.codes)) from error
    except ValueError as error:
        raise ValueError(f"{train.where!r}: {error}") from error
    full: dict[int, np.ndarray] = {}
    bad: dict[str, dict[int, str]] = {}
    told = Told()
    for part, _ in pairs:
        if id(part) in full:
            continue
        try:
            encoded = columns.encode(part.table)
        except ValueError as error:
            raise ValueError(f"{part.where!r}: {error}") from error
        if encoded.bad:
            bad[part.where] = encoded.bad
            continue
        told.add(encoded)
        full[id(part)] = encoded.values
    if bad:
        raise BrokenRowsError(bad, sum(len(part.codes) for part in {id(p): p for p, _ in pairs}.values()))
    inputs = [torch.from_numpy(full[id(part)].take(chosen, 0)) for part, chosen in pairs]
    return inputs, {"columns": columns.names, "encoding": columns.as_dict(), "notes": (*notes, *told.lines())}


def _labels(parts: Sequence[Part]) -> tuple[list[np.ndarray], tuple[str, ...]]:
    """Class indices of every part, and the class names of the training part; -1 for those of other classes."""
    stated = [part.names for part in parts if part.stated]
    if any(names != stated[0] for names in stated):
        raise ValueError(f"{parts[0].where!r} and {parts[1].where!r} name different classes.")
    names = stated[0] if stated else parts[0].names
    own = [match_labels(part.names, names)[0] for part in parts]
    if (own[0] < 0).any():
        unknown = parts[0].names[int(own[0].argmin())]
        hint = did_you_mean(unknown, names)
        raise ValueError(f"{parts[0].where!r}: label {unknown!r} is not among the {len(names)} classes{hint}")
    return [p.codes if p.names == names else place[p.codes] for p, place in zip(parts, own, strict=True)], names


def _vector_column(table: Any, columns: list[str]) -> str | None:
    """The column of lists of numbers: the one with a usual name, or the only one."""
    found = [name for name in columns if is_vector_type(table.schema.field(name).type)]
    usual = [name for name in VECTOR_NAMES if name in found]
    return usual[0] if usual else found[0] if len(found) == 1 else None


def _texts(parts: Iterable[Part], column: str) -> dict[str, list[str]]:
    """Texts of every table, whatever type they have in the file; none may be missing or blank."""
    texts: dict[str, list[str]] = {}
    empty: dict[str, dict[int, str]] = {}
    for part in parts:
        try:
            own = [text or "" for text in plain_texts(part.table.column(column), column).to_pylist()]
        except ValueError as error:
            raise ValueError(f"{part.where!r}: {error}") from error
        if blank := {row: "it has no text" for row, text in enumerate(own) if not text.strip()}:
            empty[part.where] = blank
        texts[part.where] = own
    if empty:
        raise BrokenRowsError(empty, sum(map(len, texts.values())))
    return texts


def load_table(
    path: str | Path,
    *,
    split_seed: int = 0,
    size: int | None = None,
    memory: Memory = "auto",
    raw: bool = False,
    skip_broken: bool | None = None,
    label: str | None = None,
    drop: Sequence[str] = (),
    encoding: dict[str, Any] | None = None,
) -> Dataset:
    """Read a file of rows, or ``train`` and ``test`` of a folder: CSV, TSV, parquet, feather.

    The labels are the column ``label=`` names, else ``label``, else the only one of ``labels``, ``target``, ``class``
    and ``y``. They are class names, as they stand; whole numbers are class indices where the file states names, in
    the metadata that ``datasets`` writes. The other columns, but those that ``drop=`` names, decide what the data is:

    - ``image``: structs of ``bytes`` (and ``path``), any format Pillow reads -> uint8 (N, C, H, W). Decoded once and
      cached, see :func:`equiangular.data.images.cached_images`, or streamed.
    - ``text``, or a single column of texts: -> TF-IDF features, the vocabulary from the training pool alone, see
      :func:`equiangular.data.texts.vocabulary_features`.
    - lists of numbers, of one length: an encoder's vectors -> float32 (N, d).
    - else a table of numbers, truth values, categories, dates and texts, with or without missing values -> float32
      (N, d), see :func:`equiangular.data.fit_columns.fit_columns`. Means, levels and vocabularies come from the
      training pool. ``columns`` of the data set names the d numbers, ``encoding`` says how they come about, ``notes``
      what was left out.

    Without a test file a seeded fifth of every class is taken for testing. A file ``validation`` is not read:
    validation data is taken from the training part.

    Other arguments are those of :func:`equiangular.data.load_dataset`.

    Raises:
        ValueError: a file that cannot be read, a missing column, a corrupt image (with its row), a label out of range.
    """
    given = Path(path)
    files = [given] if given.is_file() else table_parts(given)
    parts = [Part.stating(str(file), read_table(file), label=label, drop=drop) for file in files]
    name = given.stem if given.is_file() else given.name
    source = f"{given.name} ({files[0].suffix[1:].lower()})"
    images: dict[str, Any] = {"size": size, "memory": memory, "raw": raw, "skip_broken": skip_broken}
    data = from_tables(parts, name=name, source=source, split_seed=split_seed, encoding=encoding, **images)
    unread = [] if given.is_file() else [f for stem in PART_NAMES["validation"] for f in _of_any_form(given, stem)]
    notes = [f"{f.name} is not read: validation data is taken from the training part" for f in unread]
    return replace(data, notes=(*data.notes, *notes))


def load_frame(
    frame: Any,
    *,
    split_seed: int = 0,
    label: str | None = None,
    drop: Sequence[str] = (),
    encoding: dict[str, Any] | None = None,
    **images: Any,
) -> Dataset:
    """Read a table in memory as :func:`load_table` reads a file of the same content.

    ``frame`` is a DataFrame of pandas or polars, or a ``pyarrow.Table``; the arguments are those of
    :func:`equiangular.data.load_dataset`.

    Raises:
        ValueError: something else, or what :func:`load_table` refuses.
    """
    table, what, notes = arrow_table(frame)
    part = Part.stating(f"the {what}", table, label=label, drop=drop)
    source = f"a {what} in memory"
    data = from_tables([part], name="frame", source=source, split_seed=split_seed, encoding=encoding, **images)
    return replace(data, notes=(*data.notes, *notes))


_FORMS = (".parquet", ".csv", ".tsv", ".feather")


def _of_any_form(folder: Path, stem: str) -> list[Path]:
    return [file for suffix in _FORMS if (file := folder / f"{stem}{suffix}").is_file()]


def table_parts(folder: Path) -> list[Path]:
    """The files ``train`` and ``test`` of a folder, each of any form; [] where it has no ``train``."""
    train = _of_any_form(folder, "train")
    # Of several forms the one that the training part has.
    test = sorted(_of_any_form(folder, "test"), key=lambda file: file.suffix != train[0].suffix) if train else []
    return [*train[:1], *test[:1]]
