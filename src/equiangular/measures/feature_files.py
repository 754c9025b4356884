"""Features in files: .npz, .parquet and .safetensors, checked and brought to one form."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from equiangular._extras import require
from equiangular._validate import check_features, check_labels

SUFFIXES = (".npz", ".parquet", ".safetensors")


@dataclass(frozen=True)
class FeatureFile:
    """What a feature file holds.

    Attributes:
        features: (N, d) floating point.
        labels: (N,) int64.
        weight: (K, d) classifier vectors, or None.
        logits: (N, K), or None.
    """

    features: Tensor
    labels: Tensor
    weight: Tensor | None
    logits: Tensor | None

    @property
    def num_classes(self) -> int:
        """K: rows of the weight, columns of the logits, or the largest label + 1."""
        if self.weight is not None:
            return self.weight.shape[0]
        return self.logits.shape[1] if self.logits is not None else int(self.labels.max()) + 1


def read_features(path: str | Path) -> FeatureFile:
    """Read ``features`` and ``labels`` and, where there are, ``weight`` and ``logits``.

    A .parquet file has a column ``features`` of lists, or one numeric column for each feature, and a column ``labels``
    or ``label``.

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
    if source.suffix not in SUFFIXES:
        raise ValueError(f"a feature file ends in {', '.join(SUFFIXES)}, got {str(source)!r}.")
    if not source.is_file():
        raise ValueError(f"{str(source)!r} does not exist.")
    try:
        entries = _READERS[source.suffix](source)
    except ImportError:
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
    features, labels = entries["features"], entries["labels"]
    if features.ndim == 2 and not features.is_floating_point():
        features = features.float()
    check_features(features, name=f"{name}: features")
    if features.shape[0] == 0:
        raise ValueError(f"{name}: features has no rows.")
    found = FeatureFile(features, labels.long(), entries.get("weight"), entries.get("logits"))
    check_labels(labels, max(2, found.num_classes), name=f"{name}: labels", batch=features.shape[0])
    if found.weight is not None and tuple(found.weight.shape[1:]) != (features.shape[1],):
        shape = tuple(found.weight.shape)
        raise ValueError(f"{name}: weight must have shape (K, d) with d = {features.shape[1]}, got {shape}.")
    if found.logits is not None and tuple(found.logits.shape) != (features.shape[0], found.num_classes):
        shape = (features.shape[0], found.num_classes)
        raise ValueError(f"{name}: logits must have shape (N, K) = {shape}, got {tuple(found.logits.shape)}.")
    return found


def _read_npz(path: Path) -> dict[str, Tensor]:
    with np.load(path, allow_pickle=False) as arrays:
        return {key: torch.from_numpy(arrays[key]) for key in arrays.files}


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    return require("safetensors.torch", extra="train", purpose="Reading a .safetensors file").load_file(str(path))


def _read_parquet(path: Path) -> dict[str, Tensor]:
    table = require("pyarrow.parquet", extra="data", purpose="Reading a .parquet file").read_table(path)
    columns: dict[str, Any] = {name: table.column(name).to_numpy() for name in table.column_names}
    label = next((n for n in ("labels", "label") if n in columns), None)
    entries = {} if label is None else {"labels": torch.from_numpy(np.array(columns.pop(label)))}
    if "features" in columns:
        entries["features"] = torch.from_numpy(np.stack(list(columns["features"])))
    elif columns:
        entries["features"] = torch.from_numpy(np.stack(list(columns.values()), axis=1))
    return entries


_READERS = {".npz": _read_npz, ".parquet": _read_parquet, ".safetensors": _read_safetensors}
