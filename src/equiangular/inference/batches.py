"""A batch of a stored model's inputs, and encoded images made into one."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from equiangular.data.images import decode_image, quiet
from equiangular.training.model.info import ModelInfo


@dataclass(frozen=True)
class InputBatch:
    """Some inputs of a model, at most as many as a batch has.

    Attributes:
        names: where each input comes from: its file, and its row in a table.
        inputs: (B, *input_shape) as the model's :class:`equiangular.training.Classifier` takes them.
        labels: the name of each input's class where the source has one: the folder of an image, a column of labels.
        failures: name and reason of everything that could not be read.
    """

    names: list[str]
    inputs: Tensor
    labels: list[str] | None = None
    failures: list[tuple[str, str]] = field(default_factory=list)


def decoded_batch(
    sources: Sequence[bytes | Path | None],
    names: list[str],
    labels: list[str] | None,
    info: ModelInfo,
    pool: ThreadPoolExecutor | None = None,
) -> InputBatch:
    """Decode encoded images to a batch; the ones that cannot be are its failures."""

    def decode(position: int) -> Tensor | str:
        try:
            return decode_for(sources[position], info, names[position])
        except ValueError as error:
            return str(error)

    positions = range(len(sources))
    with quiet():
        images = list(map(decode, positions) if pool is None else pool.map(decode, positions))
    good = [i for i in positions if isinstance(images[i], Tensor)]
    bad = [i for i in positions if not isinstance(images[i], Tensor)]
    return InputBatch(
        [names[i] for i in good],
        torch.stack([images[i] for i in good]) if good else torch.empty(0, *info.input_shape, dtype=torch.uint8),
        None if labels is None else [labels[i] for i in good],
        [(names[i], images[i]) for i in bad],
    )


def decode_for(source: bytes | Path | None, info: ModelInfo, name: str) -> Tensor:
    """One encoded image as the model takes it: (C, H, W) uint8.

    Raises:
        ValueError: it cannot be decoded, or brought to the model's shape.
    """
    channels, height, width = info.input_shape
    array = decode_image(source, size=height if height == width else None, label=name)
    if array.shape[:2] != (height, width):
        raise ValueError(
            f"{name} has size {array.shape[0]} x {array.shape[1]}, and the model takes {height} x {width}. Resize it."
        )
    image = torch.from_numpy(array.copy()).permute(2, 0, 1)
    if channels == 3:
        return image
    if channels == 1:  # ITU-R 601 luma in the integers that Pillow uses, exact for grey images
        red, green, blue = image.long()
        return ((red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16).byte()[None]
    raise ValueError(f"{name}: the model takes {channels} channels, and image files have 1 or 3. Give an .npz file.")


def unreadable(file: Path, info: ModelInfo, error: Exception) -> InputBatch:
    """A batch without inputs: a file that cannot be read, or does not fit the model."""
    return InputBatch([], torch.empty(0, *info.input_shape), None, [(str(file), f"cannot read {file}: {error}")])
