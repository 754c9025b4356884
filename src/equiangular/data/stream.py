"""Batches of inputs that need not be in memory, and what data are in a hash: inputs and labels, not path or date."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from equiangular._validate import check_int
from equiangular.data.base import Dataset
from equiangular.data.encoded import EncodedImages
from equiangular.data.images import read_source


def stream_batches(
    inputs: Tensor | EncodedImages, index_batches: Iterable[Tensor], workers: int = 0
) -> Iterator[Tensor]:
    """Batches of ``inputs`` for one tensor of positions after the other.

    A tensor is indexed. Encoded images are decoded a whole batch at a time, in this process or ahead of time in
    ``workers`` others; the order is that of ``index_batches``, which may be a generator. Nothing is drawn, so the
    number of workers changes nothing but the speed, and the global generators are left alone.

    Args:
        inputs: (N, ...) tensor, or encoded images.
        index_batches: int64 tensors of positions.
        workers: number of processes that decode; 0 decodes here.

    Yields:
        (B, ...) tensors in the dtype of ``inputs``, on its device.

    Raises:
        ValueError: an image that cannot be decoded, named; or a negative number of workers.

    Example:
        >>> [batch.tolist() for batch in stream_batches(torch.arange(5), [torch.tensor([4, 0]), torch.tensor([2])])]
        [[4, 0], [2]]
    """
    check_int(workers, "workers", minimum=0)
    if isinstance(inputs, Tensor):
        for index in index_batches:
            yield inputs[index.to(inputs.device)]
        return
    loader = DataLoader(
        _Batches(inputs),
        batch_size=None,  # the sampler's items are whole batches
        sampler=index_batches,  # type: ignore[arg-type]
        num_workers=workers,
        generator=torch.Generator(),  # the loader draws a seed for its workers; not from the global generator
    )
    with warnings.catch_warnings():
        # Python 3.12 warns of every fork beside threads, such as those of pyarrow; workers use none of them.
        warnings.filterwarnings("ignore", message=".*multi-threaded.*fork", category=DeprecationWarning)
        batches = iter(loader)
    for batch in batches:
        if isinstance(batch, str):
            raise ValueError(batch)
        yield batch


def select(inputs: Tensor | EncodedImages, index: Tensor) -> Tensor | EncodedImages:
    """The inputs at these positions: a tensor is copied, encoded images stay encoded.

    Example:
        >>> select(torch.arange(5), torch.tensor([3, 1])).tolist()
        [3, 1]
    """
    return inputs.select(index) if isinstance(inputs, EncodedImages) else inputs[index]


class _Batches:
    """Encoded images by the batch. An error comes back as its text, without the worker's traceback around it."""

    def __init__(self, images: EncodedImages) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: Tensor) -> Tensor | str:
        try:
            return self.images[index]
        except ValueError as error:
            return str(error)


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
