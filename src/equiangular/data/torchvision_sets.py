"""torchvision's data sets, where that library is installed: ``torchvision:NAME``."""

from __future__ import annotations

import inspect
import io
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from equiangular._choices import Memory
from equiangular._extras import require
from equiangular._validate import did_you_mean
from equiangular.data.arrays import from_arrays
from equiangular.data.base import Dataset
from equiangular.data.tables import Part, from_tables

_TEST = ("test", "val", "valid")


def load_torchvision(
    name: str, *, root: str | Path, split_seed: int = 0, size: int | None = None, memory: Memory = "auto"
) -> Dataset:
    """Read a classification set of torchvision, which downloads it on the first use where it can.

    Sets that hold their images in one array (MNIST and its kin, CIFAR, SVHN, STL-10) are taken as they are. Of the
    others, and with ``size``, every image is read through torchvision and kept as PNG, without loss.

    Args:
        name: name of the class in ``torchvision.datasets``, such as ``"CIFAR10"``.
        root: folder for the data.
        split_seed: seed of the test split, where the set has no test part.
        size: pad images to a square and resize them to this height and width.
        memory: see :func:`equiangular.data.load_dataset`.

    Raises:
        ValueError: torchvision has no such set, or cannot read or download it.
        ImportError: torchvision is missing.
    """
    library = _library()
    kind = getattr(library, name, None)
    if not inspect.isclass(kind):
        known = [key for key in library.__all__ if inspect.isclass(getattr(library, key, None))]
        raise ValueError(f"torchvision has no data set {name!r}{did_you_mean(name, known)}")
    parts = _open(kind, name, Path(root))
    classes = getattr(parts[0], "classes", None)
    names = None if classes is None else tuple(c if isinstance(c, str) else ", ".join(c) for c in classes)
    source = f"torchvision.datasets.{name}"
    arrays = [_arrays(part) for part in parts]
    if size is None and all(array is not None for array in arrays):
        flat = [values for array in arrays for values in array or ()]
        return from_arrays(*flat, name=name, class_names=names, source=source, split_seed=split_seed)
    tables = [
        _table(part, f"{source}, {word} part", names) for part, word in zip(parts, ("train", "test"), strict=False)
    ]
    return from_tables(tables, name=name, source=source, split_seed=split_seed, size=size, memory=memory)


def _library() -> Any:
    try:
        return import_module("torchvision.datasets")
    except (ImportError, RuntimeError) as error:  # a build for another torch raises RuntimeError
        raise ImportError(
            f"a data set of torchvision needs 'torchvision', which could not be imported ({error}). "
            "Install the version that belongs to your torch: pip install torchvision"
        ) from error


def _open(kind: Any, name: str, root: Path) -> list[Any]:
    """The training part and, if there is one, the test part: torchvision has ``train=`` or ``split=``."""
    known = inspect.signature(kind).parameters
    options = {"download": True} if "download" in known else {}
    try:
        if "train" in known:
            return [kind(root, train=train, **options) for train in (True, False)]
        if "split" not in known:
            return [kind(root, **options)]
        parts = [kind(root, split="train", **options)]
        for split in _TEST:
            try:
                return [*parts, kind(root, split=split, **options)]
            except ValueError:  # torchvision's answer to a split that the set does not have
                continue
        return parts
    except (OSError, RuntimeError, ValueError, TypeError) as error:
        raise ValueError(f"torchvision cannot make {name!r} in {str(root)!r}: {error}") from error


def _arrays(part: Any) -> tuple[Any, Any] | None:
    """Images and labels of a set that holds them as arrays of bytes."""
    images = getattr(part, "data", None)
    labels = getattr(part, "targets", getattr(part, "labels", None))
    if not isinstance(images, (np.ndarray, Tensor)) or labels is None:
        return None
    images = np.asarray(images)
    return (images, np.asarray(labels)) if images.dtype == np.uint8 and images.ndim in (3, 4) else None


def _table(part: Any, where: str, names: tuple[str, ...] | None) -> Part:
    pa = require("pyarrow", extra="data", purpose="Keeping encoded images")
    blobs, labels = [], []
    for image, label in part:
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        blobs.append(buffer.getvalue())
        labels.append(int(label))
    return Part.of(where, pa.table({"image": pa.array(blobs, pa.large_binary()), "label": labels}), names)
