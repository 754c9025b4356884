"""Data sets of scikit-learn, torchvision and Hugging Face, by name."""

import inspect
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from equiangular._checks import path_exists
from equiangular._choices import Memory
from equiangular._extras import require
from equiangular._validate import check_choice, check_int, did_you_mean
from equiangular.data.base import Dataset, balanced_test_split
from equiangular.data.folder import from_arrays
from equiangular.data.labels import LABEL
from equiangular.data.listing import PART_NAMES
from equiangular.data.reading import listed
from equiangular.data.tables import IMAGE, TEXT, Part, from_tables
from equiangular.data.vectors import VECTOR_NAMES

# Name: test samples per class, what it is.
SKLEARN_SETS = {
    "digits": (50, "Optical recognition of handwritten digits, UCI (the test part of the original)"),
    "wine": (15, "Wine recognition, UCI"),
    "breast_cancer": (60, "Breast cancer Wisconsin (diagnostic), UCI"),
    "iris": (15, "Iris plants, UCI"),
}


def load_sklearn(name: str, *, split_seed: int = 0) -> Dataset:
    """Load one of scikit-learn's bundled sets with a balanced test part.

    The test part is taken first, the same number of samples of every class, drawn with ``split_seed``; the rest is the
    training pool. Test accuracy therefore equals balanced accuracy.

    - ``digits``: 1797 grey images as (N, 1, 8, 8) uint8, the source's values 0..16 scaled to 0..255; 50 test samples
      of each of 10 classes, 124 to 133 left for training.
    - ``wine`` (13 features, 3 classes, 15 test samples each), ``breast_cancer`` (30, 2, 60), ``iris`` (4, 3, 15):
      float32 tables as they are, not standardised.

    Example:
        >>> data = load_sklearn("digits")
        >>> tuple(data.train_x.shape), tuple(data.test_x.shape), int(data.train_counts.min())
        ((1297, 1, 8, 8), (500, 1, 8, 8), 124)

    Source: Alpaydin and Kaynak, Optical recognition of handwritten digits, UCI Machine Learning Repository, 1998
    (CC BY 4.0), and the other sets' pages there.
    """
    per_class, title = SKLEARN_SETS[check_choice(name, SKLEARN_SETS, "scikit-learn set")]
    check_int(split_seed, "split_seed", minimum=0)
    datasets = require("sklearn.datasets", extra="train", purpose=f"The data set {name!r}")
    bunch = getattr(datasets, f"load_{name}")()
    labels = bunch.target.astype(np.int64)
    if name == "digits":
        inputs = torch.from_numpy(np.rint(bunch.images * (255 / 16)).astype(np.uint8)).unsqueeze(1)
    else:
        inputs = torch.from_numpy(bunch.data.astype(np.float32))
    train, test = (torch.from_numpy(part) for part in balanced_test_split(labels, per_class, seed=split_seed))
    target = torch.from_numpy(labels)
    parts = inputs[train], target[train], inputs[test], target[test]
    source = f"{title}, bundled with scikit-learn; test: {per_class} per class, split seed {split_seed}"
    names, kind = tuple(str(c) for c in bunch.target_names), "image" if name == "digits" else "table"
    return Dataset(name, *parts, names, kind, source, "CC BY 4.0")


_TORCHVISION_TEST = ("test", "val", "valid")


def load_torchvision(
    name: str, *, root: str | Path, split_seed: int = 0, size: int | None = None, memory: Memory = "auto"
) -> Dataset:
    """Read a classification set of torchvision, which downloads it on the first use where it can.

    Sets that hold their images in one array (MNIST and its kin, CIFAR, SVHN, STL-10) are taken as they are. Of the
    others, and with ``size``, every image is read through torchvision and kept as PNG, without loss.

    ``name`` is that of the class in ``torchvision.datasets``, such as ``"CIFAR10"``, ``root`` the folder for the data;
    other arguments: see :func:`equiangular.data.load_dataset`.

    Raises:
        ValueError: torchvision has no such set, or cannot read or download it.
        ImportError: torchvision is missing.
    """
    library = require("torchvision.datasets", extra=None, purpose="A data set of torchvision (built for your torch)")
    kind = getattr(library, name, None)
    if not inspect.isclass(kind):
        known = [key for key in library.__all__ if inspect.isclass(getattr(library, key, None))]
        raise ValueError(f"torchvision has no data set {name!r}{did_you_mean(name, known)}")
    parts = _open(kind, name, Path(root))
    classes = getattr(parts[0], "classes", None)
    names = None if classes is None else tuple(c if isinstance(c, str) else ", ".join(c) for c in classes)
    if names and len(set(names)) < len(names):  # ImageNet has two classes "crane"
        names = tuple(f"{c} ({i})" if names.count(c) > 1 else c for i, c in enumerate(names))
    source = f"torchvision.datasets.{name}"
    arrays = [_arrays(part) for part in parts]
    if size is None and all(array is not None for array in arrays):
        flat = [values for array in arrays for values in array or ()]
        return from_arrays(*flat, name=name, class_names=names, source=source, split_seed=split_seed)
    tables = [
        _table(part, f"{source}, {word} part", names) for part, word in zip(parts, ("train", "test"), strict=False)
    ]
    return from_tables(tables, name=name, source=source, split_seed=split_seed, size=size, memory=memory)


def _open(kind: Any, name: str, root: Path) -> list[Any]:
    """The training part and, if there is one, the test part: torchvision has ``train=`` or ``split=``."""
    known = inspect.signature(kind).parameters
    options = {"download": True} if "download" in known else {}
    try:
        if "train" in known:
            return [kind(root, train=train, **options) for train in (True, False)]
        if "split" not in known:
            return [kind(root, **options)]
        parts = [kind(root, split="train", **options)]
        for split in _TORCHVISION_TEST:
            try:
                return [*parts, kind(root, split=split, **options)]
            except ValueError:  # torchvision's answer to a split that the set does not have
                continue
        return parts
    except (OSError, RuntimeError, ValueError, TypeError) as error:
        raise ValueError(f"torchvision cannot make {name!r} in {str(root)!r}: {error}") from error


def _arrays(part: Any) -> tuple[Any, Any] | None:
    """Images and labels of a set that holds them as arrays of bytes."""
    images = getattr(part, "data", None)
    labels = getattr(part, "targets", getattr(part, "labels", None))
    if not isinstance(images, (np.ndarray, Tensor)) or labels is None:
        return None
    images = np.asarray(images)
    return (images, np.asarray(labels)) if images.dtype == np.uint8 and images.ndim in (3, 4) else None


def _table(part: Any, where: str, names: tuple[str, ...] | None) -> Part:
    pa = require("pyarrow", extra="data", purpose="Keeping encoded images")
    blobs, labels = [], []
    for image, label in part:
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        blobs.append(buffer.getvalue())
        labels.append(int(label))
    return Part.of(where, pa.table({"image": pa.array(blobs, pa.large_binary()), "label": labels}), names)


_TRAIN = "train"
# Splits that can be the test part, the first with labels.
TEST_PARTS = (*PART_NAMES["test"], *PART_NAMES["validation"])


def is_saved_to_disk(folder: Path) -> bool:
    """Whether a folder is one that ``datasets`` wrote with ``save_to_disk``."""
    return (folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file()


def load_hugging_face(
    text: str,
    *,
    split_seed: int = 0,
    size: int | None = None,
    memory: Memory = "auto",
    raw: bool = False,
    skip_broken: bool | None = None,
    encoding: dict[str, Any] | None = None,
) -> Dataset:
    """Read a data set through ``datasets``: from the hub (downloaded once), or a local folder.

    The split ``train`` is the training pool; the test part is ``test`` if it has labels, which those of competitions
    have not, else ``validation``; without either a seeded fifth of every class is taken. A single ``Dataset`` of
    ``save_to_disk`` is the training pool. The columns are found by their types: the labels are the column ``label``
    (or ``labels``), else the only one of class labels; images are the first column of images, else texts the column
    ``text``, else a column of several words a row that has none but row numbers beside it (with ``raw`` the only column
    of strings, unless it holds single words beside numbers); else a column of lists of numbers is one of vectors, else
    all others are a table, as in a file. A column of lists called ``features``, ``embeddings``, ``embedding`` or ``X``
    comes first, but with ``raw``.

    Args:
        text: ``NAME``, ``NAME:CONFIGURATION``, each with ``#COLUMN`` where several columns could be the labels, such as
            ``uoft-cs/cifar100#fine_label``.
        split_seed, size, memory, raw, skip_broken, encoding: see :func:`equiangular.data.load_dataset`.

    Raises:
        ValueError: nothing of that name, no connection, or columns that cannot be told.
        ImportError: ``datasets`` is missing.
    """
    library = require("datasets", extra="data", purpose="A data set of Hugging Face")
    place, _, column = text.partition("#")
    name, _, configuration = (place, "", "") if path_exists(Path(place)) else place.partition(":")
    try:
        if is_saved_to_disk(Path(name)):
            splits = library.load_from_disk(name)
            splits = splits if hasattr(splits, "keys") else {_TRAIN: splits}
            for split in splits.values():
                split.data.validate(full=True)  # Arrow believes the offsets in such files, and reads where they point
        else:
            splits = library.load_dataset(name, configuration or None)
    except (OSError, ValueError, RuntimeError, library.exceptions.DatasetsError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ValueError(f"Hugging Face's datasets cannot load {place!r}: {reason}") from error
    if _TRAIN not in splits:
        raise ValueError(f"data set {place!r} has no split {_TRAIN!r}; its splits are {', '.join(splits)}.")
    train = splits[_TRAIN]
    label = _label_column(train.features, column, place)
    test = next((key for key in TEST_PARTS if key in splits and _is_labelled(splits[key], label)), None)
    columns = _columns(train, label, raw=raw)
    used = [_TRAIN] if test is None else [_TRAIN, test]
    parts = [_part(splits[key], f"{place}, split {key}", columns) for key in used]
    source = f"Hugging Face datasets, {place}" + ("" if test is None else f"; test: its split {test}")
    notes = [
        f"the split {key} has no labels, so it is not used" for key in TEST_PARTS if _is_unlabelled(splits, key, label)
    ]
    notes += [f"used the split {test} as the test part"] if test in PART_NAMES["validation"] else []
    left = [name for name in train.features if name not in columns]
    notes += [f"columns left out: {listed(left, 6)}"] if left else []
    images: dict[str, Any] = {
        "split_seed": split_seed,
        "size": size,
        "memory": memory,
        "raw": raw,
        "skip_broken": skip_broken,
        "encoding": encoding,
    }
    dataset = from_tables(parts, name=Path(name).name, source=source, **images)
    return replace(dataset, notes=(*notes, *dataset.notes))


def _label_column(features: Any, asked: str, place: str) -> str:
    names = list(features)
    if asked:
        if asked not in names:
            raise ValueError(f"data set {place!r} has no column {asked!r}{did_you_mean(asked, names)}")
        return asked
    labels = [name for name in names if hasattr(features[name], "names")]
    usual = [name for name in (LABEL, "labels") if name in names]
    if not usual and len(labels) != 1:
        raise ValueError(
            f"data set {place!r} has {len(labels)} columns of class labels; its columns are {', '.join(names)}. "
            f"Name the one to learn, as in 'hf:{place}#{(labels or names[-1:])[0]}'."
        )
    return (usual or labels)[0]


def _is_labelled(split: Any, label: str) -> bool:
    """Test splits of competitions have -1 or nothing for every label."""
    if label not in split.features:
        return False
    table = split.select_columns([label]).with_format("arrow")[:]
    return any(value is not None and value != -1 for value in table.column(0).to_pylist())


def _is_unlabelled(splits: Any, key: str, label: str) -> bool:
    return key in splits and not _is_labelled(splits[key], label)


def _columns(train: Any, label: str, *, raw: bool) -> dict[str, str]:
    """Which columns to take, and the names that :func:`from_tables` knows them by."""
    others = {name: feature for name, feature in train.features.items() if name != label}
    # A list has the kind of its values as its "feature".
    lists = [n for n, f in others.items() if getattr(getattr(f, "feature", None), "dtype", "")[:5] == "float"]
    usual = [name for name in VECTOR_NAMES if name in lists]
    if usual and not raw:
        return {usual[0]: usual[0], label: LABEL}
    images = [name for name, feature in others.items() if type(feature).__name__ == "Image"]
    strings = [name for name, feature in others.items() if getattr(feature, "dtype", "") in ("string", "large_string")]
    cells = [name for name, feature in others.items() if type(feature).__name__ in ("Value", "ClassLabel")]
    if images:
        return {images[0]: IMAGE, label: LABEL}
    if TEXT in strings:
        return {TEXT: TEXT, label: LABEL}
    measured = [name for name in cells if name.lower() not in _ROW_NUMBERS and name not in strings]
    if len(strings) == 1:
        words = _are_words(train, strings[0])
        if not (words and measured) if raw else not (words or measured):
            return {strings[0]: TEXT, label: LABEL}
    if len(lists) == 1:
        return {lists[0]: VECTOR_NAMES[0], label: LABEL}
    return {**{name: name for name in cells}, label: LABEL}


_ROW_NUMBERS = ("id", "idx", "index", "__index_level_0__")
_LOOKED_AT = 256  # values of a column of strings


def _are_words(split: Any, name: str) -> bool:
    """Whether most values of a column are single words, such as identifiers."""
    table = split.select_columns([name]).with_format("arrow")[:_LOOKED_AT]
    values = [value for value in table.column(0).to_pylist() if value]
    return sum(len(value.split()) == 1 for value in values) * 2 > len(values)


def _part(split: Any, where: str, columns: dict[str, str]) -> Part:
    names = getattr(split.features[next(c for c, new in columns.items() if new == LABEL)], "names", None)
    table = split.select_columns(list(columns)).with_format("arrow")[:]
    return Part.of(where, table.rename_columns([columns[name] for name in table.column_names]), names)
