"""Image folders: CLASS/*.png, or train/CLASS/*.png and, if there is one, test/CLASS/*.png."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from equiangular._choices import Memory
from equiangular._validate import did_you_mean
from equiangular.data.arrays import TEST_FRACTION
from equiangular.data.base import Dataset
from equiangular.data.sources import ImageSource, image_inputs
from equiangular.longtail import holdout_indices

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".ppm", ".pgm", ".tif", ".tiff", ".webp")
_TEST_NAMES = ("test", "val", "validation")


def load_folder(path: str | Path, *, split_seed: int = 0, size: int | None = None, memory: Memory = "auto") -> Dataset:
    """Read an image folder.

    Classes are the folders under ``train``, in alphabetical order, or those of the folder itself if there is none.
    The test part is ``test`` (or ``val``, or ``validation``) beside ``train``, with the same class names; without one a
    seeded fifth of every class is taken.

    Args:
        path: folder that holds ``train``, or the class folders.
        split_seed: seed of the test split, if one is made.
        size: pad images to a square and resize them to this height and width; required where they differ in size.
        memory: see :func:`equiangular.data.load_dataset`.

    Returns:
        A data set of kind ``"image"``.

    Raises:
        ValueError: no or one class, a class folder without images, an unknown class in the test part, an image that
            cannot be read (its file is named).
        ImportError: Pillow is missing.
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
