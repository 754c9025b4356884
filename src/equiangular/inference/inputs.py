"""From files and folders to batches that a stored model takes; what cannot be read is reported and the rest goes on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path

import torch

from equiangular._validate import check_int
from equiangular.data.folder import SUFFIXES as IMAGE_SUFFIXES
from equiangular.inference.tables import InputBatch, decoded_batch, read_table, text_features, unreadable
from equiangular.training.model.info import ModelInfo

# What each kind of model reads beside tables of rows.
FILE_SUFFIXES = {"image": IMAGE_SUFFIXES, "table": (), "text": (".txt",)}
TABLE_SUFFIXES = (".npz", ".parquet", ".csv")


def list_inputs(paths: Sequence[str | Path], kind: str) -> list[Path]:
    """The files to read: those named, and all of a model's kind below the folders named, in alphabetical order.

    Args:
        paths: files and folders. Hidden files and folders are left out.
        kind: ``"image"``, ``"table"`` or ``"text"``.

    Raises:
        ValueError: a path that does not exist, a file of another kind, or nothing found.

    Example:
        >>> list_inputs([], "image")
        Traceback (most recent call last):
        ValueError: nothing to read: name files or folders...
    """
    suffixes = (*FILE_SUFFIXES[kind], *TABLE_SUFFIXES)
    files: list[Path] = []
    for given in paths:
        path = Path(given).expanduser()
        if path.is_dir():
            inside = (file.relative_to(path) for file in sorted(path.rglob("*")) if file.suffix.lower() in suffixes)
            files += [path / file for file in inside if not any(part.startswith(".") for part in file.parts)]
        elif not path.exists():
            raise ValueError(f"{str(path)!r} does not exist.")
        elif path.suffix.lower() not in suffixes:
            raise ValueError(f"{str(path)!r} is nothing a model of kind {kind!r} reads: {', '.join(suffixes)}.")
        else:
            files.append(path)
    if not files:
        where = ", ".join(map(str, paths)) or "the command line"
        raise ValueError(f"nothing to read: name files or folders with {', '.join(suffixes)}; found none in {where}.")
    return files


def read_inputs(files: Iterable[Path], info: ModelInfo, *, batch_size: int = 256) -> Iterator[InputBatch]:
    """Read files in batches; memory is O(batch), save for ``.npz`` files, which are read whole.

    Args:
        files: as :func:`list_inputs` gives them.
        info: the model's description, which says what its inputs are. Images of another size are padded to a square
            and resized as those of the training were.
        batch_size: inputs in a batch at most.

    Yields:
        Batches in the order of the files.

    Raises:
        ImportError: Pillow or pyarrow is missing.
    """
    check_int(batch_size, "batch_size", minimum=1)
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        for tables, group in groupby(files, lambda file: file.suffix.lower() in TABLE_SUFFIXES):
            if tables:
                for file in group:
                    yield from read_table(file, info, batch_size)
            elif info.kind == "text":
                for file in group:
                    yield from _text_batches(file, info, batch_size)
            else:
                yield from _image_batches(list(group), info, batch_size, pool)


def _image_batches(
    files: list[Path], info: ModelInfo, batch_size: int, pool: ThreadPoolExecutor
) -> Iterator[InputBatch]:
    for start in range(0, len(files), batch_size):
        part = files[start : start + batch_size]
        yield decoded_batch(part, [str(f) for f in part], [f.parent.name for f in part], info, pool)


def _text_batches(file: Path, info: ModelInfo, batch_size: int) -> Iterator[InputBatch]:
    """One text a line."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
        for start in range(0, len(lines), batch_size):
            part = lines[start : start + batch_size]
            names = [f"{file}:{start + i + 1}" for i in range(len(part))]
            yield InputBatch(names, text_features(part, info))
    except (OSError, ValueError) as error:
        yield unreadable(file, info, error)
