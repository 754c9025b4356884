"""Files in usual layouts: folders CLASS/*.png, .npz; and arrays."""

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from equiangular._choices import Memory
from equiangular._files import check_npz
from equiangular._validate import did_you_mean
from equiangular.data.base import Dataset, own_test_split, relabel
from equiangular.data.encoded import ImageSource, image_inputs
from equiangular.data.vectors import has_vectors, vector_dataset
from equiangular.longtail.labels import label_array


def from_arrays(
    train_x: Any,
    train_y: Any,
    test_x: Any = None,
    test_y: Any = None,
    *,
    name: str = "arrays",
    class_names: Sequence[str] | None = None,
    source: str = "arrays in memory",
    licence: str = "not stated",
    split_seed: int = 0,
) -> Dataset:
    """Make a data set of arrays or tensors.

    Args:
        train_x: images (N, H, W), (N, H, W, C) or (N, C, H, W) as uint8, or a table (N, d) of numbers. The channels
            (1, 3 or 4) are looked for last, then first.
        train_y: (N,) labels, integers or strings. With ``class_names``, integers are indices into them; without, the
            classes are numbered in ascending order of their labels.
        test_x: like ``train_x``; left out, a seeded fifth of every class is taken for testing.
        test_y: like ``train_y``.
        name: short name.
        class_names: K names.
        source: where the data comes from.
        licence: its licence.
        split_seed: seed of the test split, if one is made.

    Raises:
        ValueError: shapes, dtypes or labels that do not fit.

    Example:
        >>> data = from_arrays([[0.0], [1.0], [0.1], [0.9]] * 5, ["no", "yes", "no", "yes"] * 5)
        >>> data.class_names, len(data.train_y), len(data.test_y)
        (('no', 'yes'), 16, 4)
    """
    if (test_x is None) != (test_y is None):
        raise ValueError("test_x and test_y belong together: pass both or neither.")
    x, y = _as_inputs(train_x, "train_x"), label_array(train_y, name="train_y")
    names = None if class_names is None else tuple(str(c) for c in class_names)
    if len(y) != len(x):
        raise ValueError(f"train_x has {len(x)} samples, train_y {len(y)} labels; they must agree.")
    labels, names = relabel(y, names, where=f"data set {name!r}, train part")
    kind = "image" if x.ndim == 4 else "table"
    if test_x is None:
        train, test, note = own_test_split(labels, split_seed)
        parts = x[train], torch.from_numpy(labels[train]), x[test], torch.from_numpy(labels[test])
        source += note
    else:
        # The names of training labels that were names themselves serve the test labels as strings.
        held = label_array(test_y, name="test_y")
        held = held if class_names is not None else held.astype(str)
        held, _ = relabel(held, names, where=f"data set {name!r}, test part")
        parts = x, torch.from_numpy(labels), _as_inputs(test_x, "test_x"), torch.from_numpy(held)
    return Dataset(name, *parts, names, kind, source, licence)


def load_npz(path: str | Path, *, split_seed: int = 0) -> Dataset:
    """Read a data set from an .npz file.

    The file holds ``train_x`` and ``train_y``, or ``x`` and ``y``; and, if it likes, ``test_x``, ``test_y`` and
    ``class_names``, in the forms of :func:`from_arrays`. Or it holds an encoder's features, see
    :func:`equiangular.data.vectors.vector_dataset`. Pickled objects are refused.

    Raises:
        ValueError: the file cannot be read, or an array is missing.
    """
    file = Path(path)
    try:
        check_npz(file)
        with np.load(file, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, AttributeError) as error:
        raise ValueError(f"cannot read {str(file)!r} as .npz arrays: {error}.") from error
    train = [arrays.get(f"train_{key}", arrays.get(key)) for key in ("x", "y")]
    if train[0] is None and has_vectors(arrays):
        return vector_dataset(arrays, {}, name=file.stem, where=str(file), split_seed=split_seed)
    if train[0] is None or train[1] is None:
        raise ValueError(
            f"{str(file)!r} needs arrays train_x and train_y (or x and y), got {', '.join(arrays)}. Features of "
            "an encoder are called features, their labels labels."
        )
    names = arrays["class_names"].tolist() if "class_names" in arrays else None
    parts = (*train, arrays.get("test_x"), arrays.get("test_y"))
    return from_arrays(*parts, name=file.stem, class_names=names, source=str(file), split_seed=split_seed)


def _as_inputs(values: Any, name: str) -> Tensor:
    """Images as (N, C, H, W) uint8, tables as (N, d) float32."""
    array = values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name} must hold numbers, got dtype {array.dtype}.")
    if array.ndim == 2:
        return torch.from_numpy(array.astype(np.float32))
    if array.dtype != np.uint8 or array.ndim not in (3, 4):
        raise ValueError(
            f"{name} must be a table (N, d) or uint8 images (N, H, W), (N, H, W, C) or (N, C, H, W), "
            f"got {array.dtype} of shape {array.shape}. Scale images to 0..255 and convert them with .astype('uint8')."
        )
    if array.ndim == 3:
        array = array[:, None]
    elif array.shape[3] in (1, 3, 4):
        array = array.transpose(0, 3, 1, 2)
    elif array.shape[1] not in (1, 3, 4):
        raise ValueError(f"{name} must have 1, 3 or 4 channels, last or first, got shape {array.shape}.")
    return torch.from_numpy(np.ascontiguousarray(array))


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
        train, test, note = own_test_split(labels, split_seed)
        source += note
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
