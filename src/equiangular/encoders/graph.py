"""An encoder as tensors in and vectors out: what an exporter needs of it, and inputs to try it on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor, nn

from equiangular._extras import require
from equiangular.encoders.base import Encoder, Modality

_LETTERS = np.array(list("abcdefghijklmnopqrstuvwxyz"))


@dataclass(frozen=True, eq=False)
class EncoderGraph:
    """The part of an encoder that computes with tensors, and how texts or images become its inputs.

    Attributes:
        module: takes the inputs in the order of ``axes`` and returns vectors (B, d) float32. It is the encoder's own
            network, no copy.
        axes: for each input, by name, its axes: ``"batch"``, ``"length"`` or a size.
        prepare: B texts or images to the inputs, as the encoder prepares them.
        max_length: largest ``"length"``; None where no limit is known.
        files: JSON texts that whoever prepares inputs needs, such as ``tokenizer.json``.
    """

    module: nn.Module
    axes: dict[str, tuple[str | int, ...]]
    prepare: Callable[[Sequence[Any]], dict[str, Tensor]]
    max_length: int | None = None
    files: dict[str, str] = field(default_factory=dict)


def encoder_graph(encoder: Encoder) -> EncoderGraph:
    """The graph of an encoder.

    Raises:
        ValueError: an encoder without one, such as a function.

    Example:
        >>> from equiangular.encoders import CallableEncoder
        >>> encoder_graph(CallableEncoder(len, dim=1, name="length"))
        Traceback (most recent call last):
        ValueError: the encoder 'length' (CallableEncoder) has no graph of tensors that could be exported.
    """
    make = getattr(encoder, "graph", None)
    if make is None:
        kind = type(encoder).__name__
        raise ValueError(f"the encoder {encoder.name!r} ({kind}) has no graph of tensors that could be exported.")
    graph: EncoderGraph = make()
    return graph


def sample_inputs(modality: Modality, count: int, *, seed: int, words: Sequence[str] = ()) -> list[Any]:
    """Texts or images (``PIL.Image`` in RGB) of many lengths and sizes, drawn from ``seed``; ``words`` occur in texts.

    Example:
        >>> [image.mode for image in sample_inputs("image", 2, seed=0)]
        ['RGB', 'RGB']
    """
    rng = np.random.default_rng(seed)
    if modality == "image":
        image_module = require("PIL.Image", extra="encoders", purpose="Checking an encoder of images")
        sizes = rng.integers(8, 301, (count, 2))
        return [image_module.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)) for size in sizes]

    def word() -> str:
        return (
            str(rng.choice(words))
            if words and rng.random() < 0.5
            else "".join(rng.choice(_LETTERS, rng.integers(1, 9)))
        )

    lengths = [int(n) for n in rng.integers(1, 30, count)]
    lengths[-1] *= 10  # more than many encoders read
    return [" ".join(word() for _ in range(length)) for length in lengths]
