"""From tables with a column of labels to a data set: images, numbers, or texts as TF-IDF features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from equiangular._choices import Memory
from equiangular._extras import require
from equiangular._validate import check_int
from equiangular.data.base import Dataset, make_dataset, match_labels, own_test_split, relabel, rows_at
from equiangular.data.encoded import ArrowImages, EncodedImages, ImageSource, read_images
from equiangular.data.reading import Reading
from equiangular.data.texts import Texts
from equiangular.data.vectors import VECTOR_NAMES, is_vector_type, vector_column

MAX_FEATURES = 4096


def fit_vocabulary(texts: Sequence[str], *, max_features: int = MAX_FEATURES) -> dict[str, Any]:
    """The terms of training texts and their inverse document frequencies, JSON-plain: all that new texts need.

    ``{"terms": d strings, "idf": d numbers 1 + ln((1 + n) / (1 + df))}``, of the ``max_features`` most frequent terms
    at most.

    Example:
        >>> fit_vocabulary(["lost card", "card"])["terms"]
        ['card', 'lost', 'lost card']
    """
    check_int(max_features, "max_features", minimum=1)
    vectorizer = _vectorizer(max_features=max_features)
    try:
        vectorizer.fit(list(texts))
    except ValueError as error:
        raise ValueError(f"no vocabulary can be made of {len(texts)} training texts: {error}.") from error
    return {"terms": vectorizer.get_feature_names_out().tolist(), "idf": vectorizer.idf_.tolist()}


def vocabulary_features(texts: Sequence[str], vocabulary: dict[str, Any]) -> np.ndarray:
    """TF-IDF of words and word pairs, (n, d) float32, of n texts by a vocabulary of :func:`fit_vocabulary`.

    tf-idf(t, x) = (1 + ln tf(t, x)) idf(t), rows scaled to length 1, or 0 for a text without a known term
    (scikit-learn's ``TfidfVectorizer`` with sublinear tf).

    Example:
        >>> vocabulary_features(["my card"], fit_vocabulary(["lost card", "card"]))
        array([[1., 0., 0.]], dtype=float32)
    """
    try:
        terms, idf = list(vocabulary["terms"]), np.asarray(vocabulary["idf"], dtype=np.float32)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"a vocabulary has lists 'terms' and 'idf', got {str(vocabulary)[:80]!r}.") from error
    if not len(terms) or idf.shape != (len(terms),):
        raise ValueError(f"a vocabulary has as many idf as terms, got {idf.size} for {len(terms)}.")
    vectorizer = _vectorizer(vocabulary=terms)
    vectorizer.idf_ = idf
    return vectorizer.transform(list(texts)).toarray()


def _vectorizer(**options: Any) -> Any:
    module = require("sklearn.feature_extraction.text", extra="train", purpose="TF-IDF features of texts")
    return module.TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, dtype=np.float32, **options)


LABEL, IMAGE, TEXT = "label", "image", "text"


@dataclass(frozen=True, eq=False)
class Part:
    """One table of a data set."""

    where: str  # it comes from, for messages
    table: Any  # a pyarrow.Table with a column "label"
    labels: np.ndarray  # (N,) as they stand in it
    class_names: tuple[str, ...] | None  # those it states; then integer labels are indices into them

    @classmethod
    def of(cls, where: str, table: Any, class_names: Sequence[str] | None) -> Part:
        """Read the labels of a table; none may be missing."""
        if LABEL not in table.column_names:
            raise ValueError(f"{where!r} has no column {LABEL!r}; its columns are {', '.join(table.column_names)}.")
        column = table.column(LABEL)
        if column.null_count:
            raise ValueError(f"{where!r}: row {_first_null(column)} has no label. Drop the row or label it.")
        return cls(where, table, np.asarray(column.to_pylist()), None if class_names is None else tuple(class_names))


def from_tables(
    parts: Sequence[Part],
    *,
    name: str,
    source: str,
    split_seed: int,
    size: int | None,
    memory: Memory,
    raw: bool = False,
    skip_broken: bool = False,
) -> Dataset:
    """Make a data set of a training table and, if there is one, a test table.

    A column ``image`` makes it a set of images, else a column ``text`` one of texts (TF-IDF features; with ``raw`` the
    texts), else a column of lists of numbers one of vectors, else all columns are numbers. A column of lists that is
    called ``features``, ``embeddings``, ``embedding`` or ``X`` comes first, but with ``raw``.
    """
    train = parts[0]
    columns = [column for column in train.table.column_names if column != LABEL]
    for part in parts[1:]:
        missing = [column for column in columns if column not in part.table.column_names]
        if missing:
            raise ValueError(f"{part.where!r} has no column {missing[0]!r}, which the training part has.")
    labels, names, apart = _labels(parts)
    vectors = _vector_column(train.table, columns)
    kind = "image" if IMAGE in columns else "text" if TEXT in columns else "vectors" if vectors else "table"
    if vectors in VECTOR_NAMES and not raw:
        kind = "vectors"
    about: dict[str, Any] = {"reading": Reading(apart=apart)}
    if kind == "image":
        groups = [ImageSource(ArrowImages(part.table.column(IMAGE)), part.where) for part in parts]
        read = read_images(groups, size=size, memory=memory, raw=raw, skip_broken=skip_broken)
        labels = [y[kept] for y, kept in zip(labels, read.rows, strict=True)]
        apart = match_labels(parts[-1].labels[read.rows[-1]].astype(str), names)[1] if apart else {}
        about = {"reading": replace(read.reading, apart=apart), "notes": read.notes}
    if len(parts) == 1:
        *rows, note = own_test_split(labels[0], split_seed)
        parts, labels = [train, train], [labels[0][chosen] for chosen in rows]
        source += note
    else:
        rows = [np.arange(len(y)) for y in labels]
    pairs = list(zip(parts, rows, strict=True))
    inputs: Sequence[Tensor | EncodedImages | Texts]
    if kind == "image":
        inputs = [rows_at(read.inputs[parts.index(part)], chosen) for part, chosen in pairs]
    elif kind == "text":
        texts = [_texts(part, chosen) for part, chosen in pairs]
        if raw:
            inputs = [Texts(part) for part in texts]
        else:
            about["vocabulary"] = fit_vocabulary(texts[0])
            inputs = [torch.from_numpy(vocabulary_features(part, about["vocabulary"])) for part in texts]
    elif kind == "vectors":
        full = {id(p): vector_column(p.table.column(vectors), f"{p.where!r}: column {vectors!r}") for p in parts}
        inputs = [full[id(p)][torch.from_numpy(chosen)] for p, chosen in pairs]
    else:
        about["columns"] = tuple(columns)
        inputs = [torch.from_numpy(_numbers(part, columns)[chosen]) for part, chosen in pairs]
    train_part, test_part = zip(inputs, labels, strict=True)
    return make_dataset(name, train_part, test_part, names, kind, source, **about)


def _labels(parts: Sequence[Part]) -> tuple[list[np.ndarray], tuple[str, ...], dict[str, int]]:
    """Class indices of every part, the class names of the training part, and how often others occur in the test part.

    Samples of other classes have the index -1.
    """
    stated = [part.class_names for part in parts if part.class_names is not None]
    if any(names != stated[0] for names in stated):
        raise ValueError(f"{parts[0].where!r} and {parts[1].where!r} name different classes.")
    train = parts[0]
    first, names = relabel(train.labels, stated[0] if stated else None, where=train.where)
    if len(parts) == 1:
        return [first], names, {}
    test = parts[1]
    if stated and test.labels.dtype.kind in "iu":
        return [first, relabel(test.labels, names, where=test.where)[0]], names, {}
    held, apart = match_labels(test.labels.astype(str).tolist(), names)
    return [first, held], names, apart


def _vector_column(table: Any, columns: list[str]) -> str | None:
    """The column of lists of numbers: the one with a usual name, or the only one."""
    found = [name for name in columns if is_vector_type(table.schema.field(name).type)]
    usual = [name for name in VECTOR_NAMES if name in found]
    return usual[0] if usual else found[0] if len(found) == 1 else None


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
    return int(column.is_null().to_pylist().index(True))
