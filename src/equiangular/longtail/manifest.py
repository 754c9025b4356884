"""The manifest of a subset: which samples, of what, chosen how, with a hash that settles whether two are the same."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from equiangular._checks import check_imbalance_factor
from equiangular._files import read_json, write_text
from equiangular.longtail.labels import label_array

_FORMAT = "equiangular-subset-1"
_ORIGIN = ("source", "source_size", "seed", "protocol", "imbalance_factor")


@dataclass(frozen=True, eq=False)
class SubsetManifest:
    """A subset of a labelled set, to be saved beside a result and shared.

    Make one with :meth:`from_indices`. Two manifests are equal when their hashes are.

    Attributes:
        indices: (n,) int64 positions in the source, in training order.
        labels: (n,) labels of those samples, int64 or strings.
        source: name of the labelled set.
        source_size: number of samples of the source.
        seed: subset seed.
        protocol: ``"local"``, ``"cao2019"`` or another name for how the samples were chosen.
        imbalance_factor: the imbalance asked for; :attr:`counts` shows what resulted.
    """

    indices: np.ndarray
    labels: np.ndarray
    source: str
    source_size: int
    seed: int
    protocol: str
    imbalance_factor: float

    @classmethod
    def from_indices(
        cls, indices: Any, targets: Any, *, source: str, seed: int, protocol: str, imbalance_factor: float
    ) -> SubsetManifest:
        """Describe the subset ``indices`` of the set with labels ``targets``.

        Args:
            indices: (n,) distinct positions in ``targets``.
            targets: (N,) labels of the whole source.
            source, seed, protocol, imbalance_factor: see the attributes.

        Raises:
            ValueError: an index out of range or repeated, or a bad label array.

        Example:
            >>> manifest = SubsetManifest.from_indices(
            ...     [0, 2], [0, 0, 1], source="demo", seed=0, protocol="local", imbalance_factor=1
            ... )
            >>> manifest.counts, manifest.sha256[:8]
            ({0: 1, 1: 1}, '7db7deb0')
        """
        every = label_array(targets)
        chosen = label_array(indices, name="indices")
        if chosen.dtype != np.int64:
            raise ValueError(f"indices must be integers, got {chosen[0]!r}.")
        if chosen.min() < 0 or chosen.max() >= len(every):
            raise ValueError(
                f"indices must lie in [0, {len(every) - 1}] for {len(every)} targets, got values from "
                f"{chosen.min()} to {chosen.max()}. Were they made from another set?"
            )
        times = np.bincount(chosen)
        if times.max() > 1:
            raise ValueError(f"indices must be distinct, got {times.argmax()} more than once.")
        factor = check_imbalance_factor(imbalance_factor)
        return cls(chosen.copy(), every[chosen], str(source), len(every), int(seed), str(protocol), factor)

    @property
    def sha256(self) -> str:
        """Hash of the indices and labels in their order: equal hashes mean the same training array.

        The bytes are a format line, n, the indices as little-endian int64, and the labels as little-endian int64 or,
        for strings, as JSON. How the subset came about (source, seed, protocol) does not enter.
        """
        digest = hashlib.sha256(f"{_FORMAT}\n{len(self.indices)}\n".encode())
        digest.update(self.indices.astype("<i8").tobytes())
        if self.labels.dtype.kind == "i":
            digest.update(self.labels.astype("<i8").tobytes())
        else:
            digest.update(json.dumps(self.labels.tolist()).encode())
        return digest.hexdigest()

    @property
    def counts(self) -> dict[Any, int]:
        """Samples per class, by label."""
        labels, counts = np.unique(self.labels, return_counts=True)
        return dict(zip(labels.tolist(), counts.tolist(), strict=True))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SubsetManifest) and self.sha256 == other.sha256

    def __hash__(self) -> int:
        return hash(self.sha256)

    def __len__(self) -> int:
        return len(self.indices)

    def check(self, targets: Any) -> None:
        """Make sure that ``targets`` are the labels this subset was cut from.

        Raises:
            ValueError: another size, or another label at one of the indices.
        """
        every = label_array(targets)
        if len(every) != self.source_size:
            raise ValueError(
                f"the manifest was cut from {self.source_size} samples of {self.source!r}, got {len(every)} targets."
            )
        wrong = np.flatnonzero(every[self.indices] != self.labels)
        if len(wrong):
            index = self.indices[wrong[0]]
            raise ValueError(
                f"the manifest of {self.source!r} has label {self.labels[wrong[0]]} at index {index}, the targets have "
                f"{every[index]} ({len(wrong)} such samples): this is other data, or in another order."
            )

    def save(self, path: str | Path) -> Path:
        """Write the manifest as JSON, to a temporary name and renamed.

        Raises:
            ValueError: the file cannot be written.
        """
        fields = {
            "format": _FORMAT,
            **{key: getattr(self, key) for key in _ORIGIN},
            "counts": [[label, count] for label, count in self.counts.items()],
            "sha256": self.sha256,
            "indices": self.indices.tolist(),
            "labels": self.labels.tolist(),
        }
        lines = ",\n".join(f" {json.dumps(key)}: {json.dumps(value)}" for key, value in fields.items())
        try:
            return write_text(path, f"{{\n{lines}\n}}\n")
        except OSError as error:
            raise ValueError(
                f"cannot write the manifest {str(path)!r}: {error.strerror or error}. Choose a folder that exists and "
                "can be written to."
            ) from error

    @classmethod
    def load(cls, path: str | Path) -> SubsetManifest:
        """Read a manifest and verify its hash.

        Raises:
            ValueError: the file is missing, is no manifest, or its content does not match its hash.
        """
        fields = read_json(path)
        if not isinstance(fields, dict) or fields.get("format") != _FORMAT:
            raise ValueError(f"{str(path)!r} is no subset manifest: its format is not {_FORMAT!r}.")
        try:
            indices, labels = (label_array(fields[name], name=name) for name in ("indices", "labels"))
            if indices.dtype != np.int64 or len(indices) != len(labels):
                raise ValueError(f"{len(labels)} labels need as many indices, got {len(indices)} {indices.dtype}")
            manifest = cls(indices, labels, **{key: fields[key] for key in _ORIGIN})
            recorded = fields["sha256"]
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"the manifest {str(path)!r} is damaged: {error}. Make it again from the seed.") from error
        if manifest.sha256 != recorded:
            raise ValueError(
                f"the manifest {str(path)!r} does not match its hash: recorded {recorded}, found {manifest.sha256}. "
                "It was changed after it was written; make it again from its seed."
            )
        return manifest
