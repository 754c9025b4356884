"""What data are, in a hash: inputs and labels of every part, not their path, name or date."""

from __future__ import annotations

import hashlib

import numpy as np
from torch import Tensor

from equiangular.data.base import Dataset
from equiangular.data.encoded import EncodedImages
from equiangular.data.images import read_source

_ROWS = 4096


def content_digest(dataset: Dataset) -> dict[str, str]:
    """SHA-256 of the content of a data set, part by part.

    Order, shape, dtype and every value count. Images that stay encoded are hashed as they are encoded, without being
    decoded, together with the size they are brought to; so an image saved anew in another form is another image.

    Args:
        dataset: the data.

    Returns:
        ``"training inputs"``, ``"training labels"``, ``"test inputs"``, ``"test labels"`` and ``"class names"``, each a
        hexadecimal digest.

    Raises:
        ValueError: an image file that cannot be read any more.

    Example:
        >>> from equiangular.data import load_dataset
        >>> iris = load_dataset("iris")
        >>> content_digest(iris) == content_digest(load_dataset("iris"))
        True
    """
    names = hashlib.sha256("\0".join([dataset.kind, *dataset.class_names]).encode())
    return {
        "training inputs": _digest(dataset.train_x),
        "training labels": _digest(dataset.train_y),
        "test inputs": _digest(dataset.test_x),
        "test labels": _digest(dataset.test_y),
        "class names": names.hexdigest(),
    }


def _digest(values: Tensor | EncodedImages) -> str:
    hasher = hashlib.sha256(f"{values.dtype} {tuple(values.shape)}".encode())
    if isinstance(values, EncodedImages):
        hasher.update(str(values.size).encode())
        for row in values.index:
            content = read_source(values.sources[int(row)]) or b""
            hasher.update(len(content).to_bytes(8, "little"))
            hasher.update(content)
    else:
        for part in values.split(_ROWS):  # in parts: a copy of all would double the memory
            hasher.update(np.ascontiguousarray(part.cpu().numpy()).data)
    return hasher.hexdigest()
