"""Batches of inputs in a given order: indexed where they lie in memory, decoded by workers where they do not."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from equiangular._validate import check_int
from equiangular.data.encoded import EncodedImages


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
