"""Features by the chunk in a folder, so that a killed run goes on: each chunk knows what it belongs to."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from equiangular._files import cache_folder, read_safetensors, write_json, write_safetensors
from equiangular._guarded import parse_json

_FORMAT = 1
_VALUES = "features"


class ChunkStore:
    """The features of one part of a data set by one encoder, in files of some rows each.

    The folder is named by a hash of ``identity``: content of the inputs, encoder, revision, preprocessing and dtype.
    Every file holds the hash of its values and of what they belong to. One that is damaged, or of other data, is noted
    and made again. A disk that is full or may not be written costs the next call time, nothing else.

    Args:
        identity: JSON-plain values that decide the features.
        folder: where stores lie; None: ``embeddings`` in ``$EQUIANGULAR_CACHE``, by default ``equiangular`` in the
            user's cache folder; nothing is kept where the variable is ``off``.

    Attributes:
        folder: of this store, or None.
        notes: what was found damaged, in words.

    Example:
        >>> import tempfile, torch
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     store = ChunkStore({"content": "abc"}, folder)
        ...     store.write(0, torch.ones(2, 3), {"error": 0.0})
        ...     store.read(0, (2, 3))[0].shape
        torch.Size([2, 3])
    """

    def __init__(self, identity: Mapping[str, Any], folder: str | Path | None = None) -> None:
        self.identity = {**identity, "format": _FORMAT}
        text = json.dumps(self.identity, sort_keys=True)
        self.key = hashlib.sha256(text.encode()).hexdigest()[:32]
        base = Path(folder).expanduser() if folder is not None else cache_folder()
        base = base / "embeddings" if base is not None and folder is None else base
        label = re.sub(r"[^\w.-]+", "-", str(identity.get("name", "features")))[:40]
        self.folder = None if base is None else base / f"{label}-{self.key}"
        self.notes: list[str] = []

    def read(self, number: int, shape: tuple[int, int]) -> tuple[Tensor, dict[str, Any]] | None:
        """A chunk and what was said of it; None where there is none that can be trusted."""
        if self.folder is None or not (file := _file(self.folder, number)).exists():
            return None
        try:
            tensors, metadata = read_safetensors(file, remedy="It was made again.", extra="encoders")
        except ValueError as error:
            self.notes.append(str(error))
            return None
        values: Tensor | None = tensors.get(_VALUES)
        if values is None or metadata.get("key") != self.key:
            problem = "is of other data or another encoder"
        elif tuple(values.shape) != shape:
            problem = f"has shape {tuple(values.shape)} where {shape} is expected"
        else:
            return values, parse_json(metadata.get("said", "{}"))
        self.notes.append(f"{file} {problem}. It was made again.")
        return None

    def write(self, number: int, values: Tensor, said: Mapping[str, Any]) -> None:
        """Keep a chunk, (n, d) in the dtype of the store."""
        if self.folder is None:
            return
        metadata = {"key": self.key, "said": json.dumps(dict(said))}
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if number == 0:
                write_json(self.folder / "info.json", self.identity)
            write_safetensors(_file(self.folder, number), {_VALUES: values}, metadata, extra="encoders")
        except OSError as error:
            self.notes.append(
                f"the features could not be kept in {self.folder} ({error.strerror or error}); a next run makes them "
                "again."
            )
            self.folder = None


def _file(folder: Path, number: int) -> Path:
    return folder / f"{number:06d}.safetensors"
