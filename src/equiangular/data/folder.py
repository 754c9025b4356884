"""Files in usual layouts: image folders CLASS/*.png, and parquet files as Hugging Face's datasets writes them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from equiangular._choices import Memory
from equiangular._extras import require
from equiangular._validate import did_you_mean
from equiangular.data.arrays import TEST_FRACTION
from equiangular.data.base import Dataset
from equiangular.data.encoded import ImageSource, image_inputs
from equiangular.data.tables import LABEL, Part, from_tables
from equiangular.longtail import holdout_indices

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".ppm", ".pgm", ".tif", ".tiff", ".webp")
_TEST_NAMES = ("test", "val", "validation")


def load_folder(path: str | Path, *, split_seed: int = 0, size: int | None = None, memory: Memory = "auto") -> Dataset:
    """Read an image folder.

    Classes are the folders under ``train``, in alphabetical order, or those of the folder itself if there is none.
    The test part is ``test`` (or ``val``, or ``validation``) beside ``train``, with the same class names; without one a
    seeded fifth of every class is taken.

    ``split_seed``, ``size`` and ``memory`` are those of :func:`equiangular.data.load_dataset`.

    Raises:
        ValueError: no or one class, a class folder without images, an unknown class in the test part, an image that
            cannot be read (its file is named).
    """
    folder = Path(path)
    split = (folder / "train").is_dir()
    train_folder = folder / "train" if split else folder
    names = _class_names(train_folder)
    test_folder = next((folder / name for name in _TEST_NAMES if split and (folder / name).is_dir()), None)
    files, labels = _list(train_folder, names)
    source = f"image folder {folder.name}"
    if test_folder is None:
        test = holdout_indices(labels, TEST_FRACTION, seed=split_seed)
        train = np.setdiff1d(np.arange(len(labels)), test)
        source += f"; test: {TEST_FRACTION:.0%} of each class, split seed {split_seed}"
    else:
        for name in _class_names(test_folder):
            if name not in names:
                hint = did_you_mean(name, names)
                raise ValueError(f"{str(test_folder)!r} has a class {name!r} that train lacks{hint}")
        more, more_labels = _list(test_folder, [name for name in names if (test_folder / name).is_dir()], names)
        train, test = np.arange(len(files)), len(files) + np.arange(len(more))
        files, labels = files + more, np.concatenate([labels, more_labels])
        source += f"; test: its folder {test_folder.name}"
    images = ImageSource(files, str(folder), [str(file.relative_to(folder)) for file in files])
    train_x, test_x = image_inputs([(images, train), (images, test)], size=size, memory=memory)
    target = torch.from_numpy(labels)
    return Dataset(folder.name, train_x, target[train], test_x, target[test], tuple(names), "image", source)


def is_image_folder(folder: Path) -> bool:
    """Whether there is a folder ``train``, or a folder with images in it."""
    if (folder / "train").is_dir():
        return True
    inner = (entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    return any(file.suffix.lower() in SUFFIXES for entry in inner for file in entry.iterdir())


def _class_names(folder: Path) -> list[str]:
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if not names:
        raise ValueError(f"{str(folder)!r} has no class folders. Expected CLASS/*.png for each class.")
    return names


def _list(folder: Path, present: list[str], names: list[str] | None = None) -> tuple[list[Path], np.ndarray]:
    """Image files of the classes ``present`` in alphabetical order, and their indices among ``names``."""
    files: list[Path] = []
    labels: list[int] = []
    for name in present:
        own = sorted(file for file in (folder / name).iterdir() if file.suffix.lower() in SUFFIXES)
        if not own:
            raise ValueError(
                f"class folder {str(folder / name)!r} holds no images ({', '.join(SUFFIXES)}). Add some or remove it."
            )
        files += own
        labels += [(names or present).index(name)] * len(own)
    return files, np.array(labels, dtype=np.int64)


def load_parquet(path: str | Path, *, split_seed: int = 0, size: int | None = None, memory: Memory = "auto") -> Dataset:
    """Read ``train.parquet`` and ``test.parquet`` of a folder, or a single file.

    The column ``label`` holds class indices, with names in the metadata that ``datasets`` writes (without names, or as
    strings, the labels are numbered in ascending order). The other columns decide what the data is:

    - ``image``: structs of ``bytes`` (and ``path``), any format Pillow reads -> uint8 (N, C, H, W). Decoded once and
      cached, see :func:`equiangular.data.images.cached_images`, or streamed.
    - ``text``: strings -> TF-IDF features, the vocabulary from the training pool alone, see
      :func:`equiangular.data.tables.tfidf_features`.
    - numbers only: a table -> float32 (N, d), columns in the order of the training file.

    Without a test file a seeded fifth of every class is taken for testing. A ``validation.parquet`` is not read:
    validation data is taken from the training part.

    ``split_seed``, ``size`` and ``memory`` are those of :func:`equiangular.data.load_dataset`.

    Raises:
        ValueError: a file that cannot be read, a missing column, a corrupt image (with its row), a label out of range.
    """
    given = Path(path)
    files = [given] if given.is_file() else [given / "train.parquet", given / "test.parquet"]
    return from_tables(
        [_read(file) for file in files if file.exists()],
        name=given.stem if given.is_file() else given.name,
        source=f"{given.name} (parquet)",
        split_seed=split_seed,
        size=size,
        memory=memory,
    )


def _read(file: Path) -> Part:
    pq = require("pyarrow.parquet", extra="data", purpose="Reading parquet files")
    try:
        table = pq.read_table(file)
    except (OSError, ValueError) as error:  # pyarrow's own errors are among them
        raise ValueError(f"cannot read {str(file)!r} as parquet: {error}") from error
    return Part.of(str(file), table, stated_class_names(table.schema.metadata))


def stated_class_names(metadata: dict[bytes, bytes] | None) -> tuple[str, ...] | None:
    """The names of a ClassLabel feature in the metadata that ``datasets`` writes into a parquet schema."""
    try:
        features = json.loads((metadata or {})[b"huggingface"])["info"]["features"]
        return tuple(str(name) for name in features[LABEL]["names"])
    except (KeyError, TypeError, ValueError):
        return None
