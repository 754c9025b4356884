"""Features that an encoder made, in files: safetensors of our own, and the npz, npy and parquet files of others."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from equiangular._extras import require
from equiangular._files import check_output, read_numpy, read_safetensors, write_safetensors
from equiangular._guarded import json_in
from equiangular._validate import check_choice
from equiangular.data.base import SCALINGS, Dataset, make_dataset, match_labels, names_in_array, relabel, to_array
from equiangular.data.listing import PART_NAMES
from equiangular.data.reading import Reading
from equiangular.data.texts import text_lines

VECTOR_NAMES = ("features", "embeddings", "embedding", "X")
_LABEL_NAMES = ("labels", "label", "y", "targets")
WRITTEN = (".safetensors",), "vectors are written"  # for check_output
_LABEL_FILES = ("labels.npy", "label.npy", "y.npy", "targets.npy")


def has_vectors(arrays: Mapping[str, Any]) -> bool:
    """Whether there is an array of features by one of its usual names.

    Example:
        >>> has_vectors({"train_embeddings": 0}), has_vectors({"x": 0})
        (True, False)
    """
    return any(_find(arrays, prefix, VECTOR_NAMES)[1] for prefix in ("train_", ""))


def vector_dataset(
    arrays: Mapping[str, Any], metadata: Mapping[str, str], *, name: str, where: str, split_seed: int = 0
) -> Dataset:
    """A data set of an encoder's features.

    Args:
        arrays: ``features`` (or ``embeddings``, ``embedding``, ``X``) (N, d) floating point, and ``labels`` (or
            ``label``, ``y``, ``targets``) (N,), each with ``train_`` before it or without; ``test_`` ones if there are;
            ``class_names`` (K,) and ``names_features`` (K, d) if there are; ``scaling``, see :class:`Dataset`.
        metadata: ``class_names`` and ``encoder`` as JSON, and ``scaling``, if they are known.
        name: short name.
        where: the file, for messages.
        split_seed: of the test part, where the file has none.

    Raises:
        ValueError: no labels, shapes that do not fit, values that are NaN or infinite.

    Example:
        >>> arrays = {"X": np.eye(4).repeat(5, 0), "y": np.arange(4).repeat(5)}
        >>> data = vector_dataset(arrays, {}, name="demo", where="demo.npz")
        >>> data.kind, tuple(data.train_x.shape), data.num_classes
        ('vectors', (16, 4), 4)
    """
    if beside := [n for n in PART_NAMES["validation"] if _find(arrays, f"{n}_", VECTOR_NAMES)[1]]:
        raise ValueError(
            f"{where} holds features of a part {beside[0]!r}, and in a file of features the validation part is told by "
            "validation_rows, its positions in the training part. Append it to the training part, and give those."
        )
    prefix = "train_" if _find(arrays, "train_", VECTOR_NAMES)[1] else ""
    names = json_in(metadata, "class_names", list, where)
    if names is None and "class_names" in arrays:
        names = names_in_array(arrays["class_names"], where)
    stated = None if names is None else tuple(str(n) for n in names)
    x, y = _part(arrays, prefix, where)
    labels, class_names = relabel(y, stated, where=where)
    test: tuple[Tensor, np.ndarray] | None = None
    apart: dict[str, int] = {}
    if _find(arrays, "test_", VECTOR_NAMES)[1]:
        test_x, test_y = _part(arrays, "test_", where)
        if stated and test_y.dtype.kind in "iu":
            test = test_x, test_y.astype(np.int64)
        else:
            held, apart = match_labels(test_y.astype(str).tolist(), class_names)
            test = test_x, held
    scaling = str(metadata.get("scaling") or np.asarray(arrays.get("scaling", "auto")))
    of_names, rows = arrays.get("names_features"), arrays.get("validation_rows")
    return make_dataset(
        name,
        (x, labels),
        test,
        class_names,
        "vectors",
        metadata.get("source") or where,
        holdout=None if rows is None else np.asarray(rows, dtype=np.int64),
        split_seed=split_seed,
        reading=Reading(apart=apart),
        encoder=json_in(metadata, "encoder", dict, where),
        names_features=None if of_names is None else _as_vectors(of_names, f"{where}: names_features"),
        scaling=check_choice(scaling, SCALINGS, f"{where}: scaling"),
    )


def load_safetensors(path: str | Path, *, split_seed: int = 0) -> Dataset:
    """Read what ``equiangular embed`` writes, or any ``.safetensors`` file with ``features`` and ``labels``.

    Raises:
        ValueError: the file cannot be read, or holds something else, such as the weights of a model.
    """
    file = Path(path)
    arrays, metadata = read_safetensors(file, remedy="Embed the data again.")
    if not has_vectors(arrays):
        shown = ", ".join(list(arrays)[:4])
        raise ValueError(
            f"{str(file)!r} holds no features: it needs train_features and train_labels (or features and labels), got "
            f"{shown or 'nothing'}."
        )
    return vector_dataset(
        arrays, metadata, name=metadata.get("name") or file.stem, where=str(file), split_seed=split_seed
    )


def load_npy(path: str | Path, *, split_seed: int = 0) -> Dataset:
    """Read features (N, d) of a ``.npy`` file and their labels (N,) from a file beside it.

    The labels of ``NAME.npy`` are in ``NAME_labels.npy``, or in ``labels.npy`` or ``y.npy``; in
    place of ``.npy`` also ``.txt`` with a label in each line.

    Raises:
        ValueError: a file that cannot be read, or no labels.
    """
    file = Path(path)
    labels = labels_beside(file)
    if labels is None:
        raise ValueError(
            f"found no labels of {str(file)!r}: they belong into {file.stem}_labels.npy or labels.npy beside it, or "
            "into a .txt file of that name with a label in each line."
        )
    arrays = {"features": read_numpy(file)["x"], "labels": read_labels(labels)}
    return vector_dataset(arrays, {}, name=file.stem, where=str(file), split_seed=split_seed)


def labels_beside(file: Path) -> Path | None:
    """The file with the labels of a ``.npy`` file, see :func:`load_npy`."""
    stems = [f"{file.stem}_labels.npy", *_LABEL_FILES]
    beside = [file.with_name(name).with_suffix(suffix) for name in stems for suffix in (".npy", ".txt")]
    return next((other for other in beside if other.exists() and other != file), None)


def read_labels(file: Path) -> np.ndarray:
    """Labels (N,) of a ``.npy`` file, or of a ``.txt`` file with one in each line.

    Raises:
        ValueError: the file cannot be read.
    """
    if file.suffix == ".npy":
        labels: np.ndarray = read_numpy(file)["x"]
        return labels
    try:
        return np.array(text_lines(file))
    except (OSError, ValueError) as error:
        raise ValueError(f"cannot read {str(file)!r}: {error}.") from error


def write_vectors(dataset: Dataset, path: str | Path, *, dtype: torch.dtype = torch.float32) -> Path:
    """Write a data set of vectors as one ``.safetensors`` file that every command takes as DATA.

    It holds ``train_features`` (N, d), ``train_labels`` (N,) int64, ``test_features``, ``test_labels`` and, where there
    are, ``names_features`` (K, d) and ``validation_rows`` (V,), positions in the training part; and as metadata
    ``class_names`` and ``encoder`` in JSON, ``name`` and ``source``.

    Raises:
        ValueError: data of another kind, another suffix, or a file that cannot be written.
    """
    target = check_output(path, *WRITTEN)
    if dataset.kind != "vectors":
        raise ValueError(f"{dataset.name!r} is of kind {dataset.kind!r}, not 'vectors'. Embed it first.")
    tensors = {"train_labels": dataset.train_y, "test_labels": dataset.test_y}
    features = {"train_features": dataset.train_x, "test_features": dataset.test_x}
    features |= {} if dataset.names_features is None else {"names_features": dataset.names_features}
    tensors |= {} if dataset.holdout is None else {"validation_rows": dataset.holdout}
    tensors |= {key: value.to(dtype) for key, value in features.items() if isinstance(value, Tensor)}
    metadata = {"class_names": json.dumps(dataset.class_names), "name": dataset.name, "source": dataset.source}
    metadata |= {} if dataset.scaling == "shared" else {"scaling": dataset.scaling}
    metadata |= {} if dataset.encoder is None else {"encoder": json.dumps(dataset.encoder)}
    try:
        return write_safetensors(target, tensors, metadata)
    except OSError as error:
        raise ValueError(f"cannot write {str(target)!r}: {error.strerror or error}.") from error


def is_vector_type(kind: Any) -> bool:
    """Whether an Arrow type is a list, or a list of fixed size, of floating-point numbers."""
    types = require("pyarrow.types", extra="data", purpose="Reading tables")
    lists = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
    return bool(lists and types.is_floating(kind.value_type))


def vector_column(column: Any, where: str, start: int = 0) -> Tensor:
    """An Arrow column of lists of one length as (N, d) float32; ``start`` rows of the file come before it."""
    if not is_vector_type(column.type):
        raise ValueError(f"{where} must hold lists of numbers, got {column.type}. Drop it, or write it as lists.")
    values = column.combine_chunks() if hasattr(column, "combine_chunks") else column  # a batch has no chunks
    if values.null_count:
        row = start + values.is_null().to_pylist().index(True) + 1
        raise ValueError(f"{where}: row {row} is empty. Fill it or drop the row.")
    lengths = (
        np.asarray(values.value_lengths()) if hasattr(values, "value_lengths") else np.array([values.type.list_size])
    )
    wrong = np.flatnonzero(lengths != lengths[:1])
    if len(wrong):
        row = int(wrong[0])
        raise ValueError(
            f"{where}: row {start + row + 1} has {lengths[row]} numbers, the first {lengths[0]}; all need as many."
        )
    flat = values.flatten().to_numpy(zero_copy_only=False)
    return _as_vectors(flat.reshape(len(values), -1), where)


def _part(arrays: Mapping[str, Any], prefix: str, where: str) -> tuple[Tensor, np.ndarray]:
    features, name = _find(arrays, prefix, VECTOR_NAMES)
    labels, label_name = _find(arrays, prefix, _LABEL_NAMES)
    if labels is None:
        wanted = " or ".join(f"{prefix}{n}" for n in _LABEL_NAMES[:3])
        raise ValueError(f"{where}: no labels beside {name!r}; add {wanted}. It has {', '.join(arrays)}.")
    x = _as_vectors(features, f"{where}: {name}")
    y = to_array(labels)
    y = y[:, 0] if y.shape == (len(x), 1) else y
    if y.shape != (len(x),) or y.dtype.kind not in "iuUS":
        raise ValueError(
            f"{where}: {label_name} must hold {len(x)} integers or strings, one for each row of {name}, got {y.dtype} "
            f"of shape {y.shape}."
        )
    return x, y


def _as_vectors(values: Any, where: str) -> Tensor:
    """(N, d) float32 of floating-point values in any precision."""
    value = values if isinstance(values, Tensor) else np.array(values)
    floating = value.is_floating_point() if isinstance(value, Tensor) else value.dtype.kind == "f"
    if value.ndim != 2 or not floating:
        raise ValueError(
            f"{where} must be floating-point numbers (N, d), got {value.dtype} of shape {tuple(value.shape)}."
        )
    return value.float() if isinstance(value, Tensor) else torch.from_numpy(value.astype(np.float32))


def _find(arrays: Mapping[str, Any], prefix: str, names: tuple[str, ...]) -> tuple[Any, str]:
    return next(((arrays[prefix + n], prefix + n) for n in names if prefix + n in arrays), (None, ""))
