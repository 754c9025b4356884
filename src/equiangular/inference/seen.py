"""Which samples a model was trained on, told by their contents: in any order, any part, any form of file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from equiangular._counted import counted
from equiangular.closed_form.sketch import Hashes, content_hashes
from equiangular.data.base import Dataset
from equiangular.data.encoded import EncodedImages
from equiangular.data.images import Source, read_source
from equiangular.data.texts import Texts

_ROWS = 4096
_USUAL = 0.5  # of a test part: from here on equal rows are how the data are, as with a few columns of categories


def row_hashes(inputs: Any) -> Hashes:
    """One 64-bit number a sample: of rows and decoded images their values, of texts the text.

    Args:
        inputs: (n, ...) tensor, :class:`EncodedImages` or :class:`Texts`.

    Example:
        >>> one, other = row_hashes(Texts(["a", "b"])), row_hashes(Texts(["b"]))
        >>> bool(one[1] == other[0])
        True
    """
    if isinstance(inputs, Texts):
        return source_hashes(text.encode() for text in inputs.values)
    parts = []
    for start in range(0, len(inputs), _ROWS):
        rows = inputs[start : start + _ROWS]
        parts.append(content_hashes(rows.reshape(len(rows), -1).double().cpu().numpy()))
    return np.concatenate(parts) if parts else np.empty(0, np.uint64)


def part_hashes(inputs: Any, *, encoded: bool) -> Hashes:
    """:func:`row_hashes`; of images that an encoder reads in their own size, hashes of the files' bytes."""
    if encoded and isinstance(inputs, EncodedImages):
        return source_hashes(inputs.sources[int(row)] for row in inputs.index)
    return row_hashes(inputs)


def source_hashes(sources: Iterable[Source]) -> Hashes:
    """One 64-bit number for each string of bytes, or file of them, by BLAKE2b."""
    digests = [hashlib.blake2b(read_source(source) or b"", digest_size=8).digest() for source in sources]
    return np.frombuffer(b"".join(digests), np.uint64)


@dataclass
class Seen:
    """Counts which of the samples that come are among those of a training part.

    Attributes:
        known: hashes of the training part, ascending.
        usual: share of the data's own test part that equals a training sample: rows of a few categories often do.
        samples: how many came.
        found: how many of them equal a training sample.
    """

    known: Hashes
    usual: float
    samples: int = 0
    found: int = 0

    @classmethod
    def of(cls, dataset: Dataset, *, encoded: bool) -> Seen:
        """Of the training part of a data set; images by their files where an encoder reads them."""
        train, test = (part_hashes(part, encoded=encoded) for part in (dataset.train_x, dataset.test_x))
        known = np.unique(train)
        return cls(known, float(_is_in(test, known).mean()) if len(test) else 0.0)

    def add(self, hashes: Hashes) -> None:
        """Count samples by their hashes."""
        self.samples += len(hashes)
        self.found += int(_is_in(hashes, self.known).sum())

    def check(self, source: str) -> str | None:
        """What a user must know, or None.

        Raises:
            ValueError: every sample is one that the model was trained on, and the data's own test samples are not.
        """
        if not self.found:
            return None
        if self.found == self.samples and self.usual < _USUAL:
            what = "every sample" if self.samples > 1 else "the only sample"
            raise ValueError(
                f"{what} of {source!r} is one that the model was trained on, and scores on it say nothing of other "
                "data. The test part of its data is evaluated without --data; or name data of your own."
            )
        own = f", as {100 * self.usual:.0f} % of its own test samples do" if self.usual else ""
        found = f"{self.found:,} of {counted(self.samples, 'sample')} equal one of the model's training part{own}"
        return f"{found}: scores on these say little of other data"


def _is_in(hashes: Hashes, known: Hashes) -> Any:
    place = np.searchsorted(known, hashes)
    return (place < len(known)) & (known[np.minimum(place, len(known) - 1)] == hashes) if len(known) else hashes < 0
