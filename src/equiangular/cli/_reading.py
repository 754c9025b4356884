"""What was met while data were read, on the screen."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from equiangular.cli._fields import as_options

if TYPE_CHECKING:
    from equiangular.data import Dataset

_OPTIONS = {"size": "--size", "skip_broken": "--skip-broken"}


def said(note: str) -> str:
    """A note in the words of the command line.

    Example:
        >>> said("resized to 64 x 64; size=N takes another")
        'resized to 64 x 64; --size N takes another'
    """
    return as_options(note, _OPTIONS)


def show_notes(notes: Iterable[str]) -> None:
    """Print notes on standard error, one a line."""
    for note in notes:
        print(f"  {said(note)}", file=sys.stderr)


def show_data(dataset: Dataset, *, quiet: bool = False) -> None:
    """Print what data were read, and the notes, on standard error; ``quiet``, what was noted alone."""
    parts = f"{len(dataset.train_y):,} training and {len(dataset.test_y):,} test samples"
    shape = " x ".join(map(str, dataset.input_shape))
    kind = {"image": "images"}.get(dataset.kind, dataset.kind)
    if not quiet:
        print(f"read {dataset.name}: {parts} of {dataset.num_classes} classes, {kind} of {shape}", file=sys.stderr)
    show_notes(dataset.notes)
