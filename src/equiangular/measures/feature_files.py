"""Files of features and labels, read chunk by chunk, and the collapse measures of one."""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from equiangular._extras import require
from equiangular._files import read_numpy, read_safetensors
from equiangular._validate import check_features, check_labels
from equiangular.longtail import class_groups
from equiangular.measures.collapse.moments import GlobalMean
from equiangular.measures.neural_collapse import NeuralCollapse

SUFFIXES = (".npz", ".parquet", ".safetensors")


@dataclass(frozen=True)
class FeatureFile:
    """What a feature file holds."""

    features: Tensor  # (N, d) floating point
    labels: Tensor  # (N,) int64
    weight: Tensor | None = None  # (K, d) classifier vectors, or None
    logits: Tensor | None = None  # (N, K), or None
    ood_features: Tensor | None = None  # (M, d) features of samples that belong to no class, or None

    @property
    def num_classes(self) -> int:
        """K: rows of the weight, columns of the logits, or the largest label + 1."""
        if self.weight is not None:
            return self.weight.shape[0]
        return self.logits.shape[1] if self.logits is not None else int(self.labels.max()) + 1


def read_features(path: str | Path) -> FeatureFile:
    """Read ``features`` and ``labels`` and, where there are, ``weight``, ``logits`` and ``ood_features``.

    A .parquet file has a column ``features`` of lists, or one numeric column for each feature, a column ``labels`` or
    ``label``, and may have a column ``logits`` of lists.

    Raises:
        ValueError: missing or unreadable file, unknown suffix, missing entries, or entries that do not fit together.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "f.npz"
        ...     np.savez(path, features=np.eye(3, dtype="f4"), labels=np.arange(3))
        ...     read_features(path).num_classes
        3
    """
    source = Path(path)
    if not source.exists():
        raise ValueError(f"{str(source)!r} does not exist.")
    if source.suffix not in SUFFIXES:
        raise ValueError(f"a feature file ends in {', '.join(SUFFIXES)}, got {str(source)!r}.")
    try:
        entries = _READERS[source.suffix](source)
    except (ImportError, _UnfitError):
        raise
    except Exception as error:  # each format raises its own kinds for a file that is not its own
        reason = f"is not a readable {source.suffix} file ({error})"
        raise ValueError(f"{str(source)!r} {reason}. Write it again.") from error
    if "label" in entries:
        entries["labels"] = entries.pop("label")
    for name in ("features", "labels"):
        if name not in entries:
            raise ValueError(f"{str(source)!r} has no {name!r}; it has: {', '.join(entries) or 'nothing'}.")
    return _checked(str(source), entries)


def epoch_of(path: str | Path) -> int | None:
    """The last number in a file's name, such as 12 in ``epoch-12.npz``.

    Example:
        >>> epoch_of("run/epoch-12.npz")
        12
    """
    numbers = re.findall(r"\d+", Path(path).stem)
    return int(numbers[-1]) if numbers else None


def _checked(name: str, entries: dict[str, Tensor]) -> FeatureFile:
    given = {key: entries[key] for key in ("features", "weight", "ood_features", "logits") if key in entries}
    for key, value in given.items():
        given[key] = value if value.is_floating_point() or value.is_complex() else value.float()
        width = given["features"].shape[1] if key in ("weight", "ood_features") else None
        check_features(given[key], dim=width, name=f"{name}: {key}")
    if not len(given["features"]):
        raise ValueError(f"{name}: features has no rows.")
    labels = entries["labels"]
    if labels.dtype in (torch.uint16, torch.uint32, torch.uint64):  # which torch cannot compare
        labels = labels.long()
    found = FeatureFile(labels=labels, **given)
    check_labels(labels, max(2, found.num_classes), name=f"{name}: labels", batch=len(found.features))
    shape = (len(labels), found.num_classes)
    if found.logits is not None and tuple(found.logits.shape) != shape:
        raise ValueError(f"{name}: logits must have shape (N, K) = {shape}, got {tuple(found.logits.shape)}.")
    if found.num_classes > 10 * len(labels) + 1000:
        raise ValueError(
            f"{name}: labels go up to {int(labels.max())} with {len(labels)} samples, so nearly all classes would be "
            "empty. Relabel the classes 0..K-1."
        )
    return replace(found, labels=labels.long())


class _UnfitError(ValueError):
    """A file that can be read and does not hold what is needed."""


def _read_npz(path: Path) -> dict[str, Tensor]:
    native = read_numpy(path)
    return {key: torch.from_numpy(a.astype(a.dtype.newbyteorder("="), copy=False)) for key, a in native.items()}


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return read_safetensors(path, remedy="Write it again.")[0]
    except ValueError as error:
        raise _UnfitError(str(error)) from error


def _read_parquet(path: Path) -> dict[str, Tensor]:
    table = require("pyarrow.parquet", extra="data", purpose="Reading a .parquet file").read_table(path)
    names = [name for name in ("features", "labels", "label", "logits", "ood_features") if name in table.column_names]
    entries = {name: _column(path, name, table.column(name)) for name in names}
    if "features" not in entries:
        others = {name: _column(path, name, table.column(name)) for name in table.column_names if name not in names}
        if others:
            entries["features"] = torch.stack([column.double() for column in others.values()], dim=1)
    return entries


def _column(path: Path, name: str, column: Any) -> Tensor:
    """A numeric column as (N,), a column of lists of one length as (N, d)."""
    if column.null_count:
        empty = column.null_count
        raise _UnfitError(f"{str(path)!r}: column {name!r} has {empty} empty cells. Fill them or drop the rows.")
    values = column.combine_chunks()
    length = None
    if hasattr(values, "flatten") and str(values.type).startswith(("list", "large_list", "fixed_size_list")):
        length = len(values.flatten()) // max(1, len(values))
        if len(set(values.value_lengths().to_pylist())) > 1:
            raise _UnfitError(f"{str(path)!r}: column {name!r} has lists of different lengths; a row needs one vector.")
        values = values.flatten()
    array = values.to_numpy(zero_copy_only=False)
    if array.dtype.kind not in "iuf":
        raise _UnfitError(
            f"{str(path)!r}: column {name!r} holds {column.type}, not numbers. Drop it, or turn it into numbers; "
            "labels are integers from 0."
        )
    tensor = torch.from_numpy(np.array(array))
    return tensor if length is None else tensor.view(-1, length)


_READERS = {".npz": _read_npz, ".parquet": _read_parquet, ".safetensors": _read_safetensors}


def measure_file(
    data: FeatureFile,
    *,
    global_mean: GlobalMean = "class",
    groups: bool = False,
    covariance: bool = True,
    batch_size: int = 8192,
) -> dict[str, float]:
    """Measures by name; with logits also NC4, by a second pass over the rows, and with unknown samples NC5.

    Example:
        >>> data = FeatureFile(torch.eye(3).repeat(2, 1), torch.arange(3).repeat(2))
        >>> measure_file(data)["nc1"]
        0.0
    """
    classes = max(2, data.num_classes)
    options: dict[str, Any] = {"weight": data.weight, "global_mean": global_mean, "covariance": covariance}
    if groups:
        options["groups"] = class_groups(torch.bincount(data.labels, minlength=classes).numpy())
    metric = NeuralCollapse(classes, data.features.shape[1], **options)
    chunks = list(zip(data.features.split(batch_size), data.labels.split(batch_size), strict=True))
    for features, labels in chunks:
        metric.update(features, labels)
    if data.ood_features is not None:
        for features in data.ood_features.split(batch_size):
            metric.update_ood(features)
    results = metric.compute()
    if data.logits is not None:
        options |= {"reference_means": metric.class_means(), "covariance": False}
        second = NeuralCollapse(classes, data.features.shape[1], **options)
        for (features, labels), logits in zip(chunks, data.logits.split(batch_size), strict=True):
            second.update(features, labels, logits)
        results |= second.agreement()
    return {key: float(value) for key, value in results.items()}
