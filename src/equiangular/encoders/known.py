"""The encoder that a model or a file names: loaded when it is first needed, and made sure to be the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from equiangular.encoders.base import Encoder, describe, same_encoder
from equiangular.encoders.registry import load_encoder


class KnownEncoder:
    """An encoder by its description.

    Args:
        described: see :func:`equiangular.encoders.describe`.
        device: what it computes on; ``"auto"`` takes a GPU if there is one.
        encoder: the encoder itself, where it is at hand; needed for one that has no name to load it by.

    Example:
        >>> KnownEncoder({"name": "minilm", "modality": "text", "dim": 384}).modality
        'text'
    """

    def __init__(
        self, described: Mapping[str, Any], *, device: str | torch.device = "auto", encoder: Encoder | None = None
    ) -> None:
        self.described, self.device, self.given = dict(described), device, encoder

    @property
    def modality(self) -> str | None:
        """``"text"`` or ``"image"``; None where a file of somebody else does not say."""
        value = self.described.get("modality")
        return None if value is None else str(value)

    @cached_property
    def encoder(self) -> Encoder:
        """The encoder.

        Raises:
            ValueError: it cannot be loaded by its name, or is another one by now: other weights, other preprocessing.
            ImportError: its library is missing.
        """
        name = str(self.described.get("name"))
        if self.given is None:
            try:
                found = load_encoder(name, device=self.device)
            except ValueError as error:
                raise ValueError(
                    f"the features came from the encoder {name!r}, which cannot be loaded: {error} Or give the "
                    "features themselves, as a .npz or .parquet file."
                ) from error
        else:
            found = self.given.to(self.device) if self.device != "auto" else self.given
        if why := same_encoder(self.described, describe(found)):
            raise ValueError(
                f"the encoder {name!r} is not the one that the features came from: {why}. Embed the data and train "
                "again with this one, or bring the old one back."
            )
        return found

    def encode(self, batch: Sequence[Any]) -> Tensor:
        """Vectors (B, d) float32 on the CPU of B texts or images."""
        return self.encoder.encode(batch)
