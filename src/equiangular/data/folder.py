"""Files in usual layouts: folders CLASS/*.png, .npz; and arrays."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from equiangular._choices import Memory
from equiangular._counted import counted
from equiangular._files import read_numpy
from equiangular.data.base import (
    Dataset,
    joined,
    make_dataset,
    match_labels,
    names_in_array,
    relabel,
    rows_at,
    to_array,
)
from equiangular.data.columns import Columns, far_columns, lossy_columns
from equiangular.data.encoded import ImageSource, read_images
from equiangular.data.images import constant_images
from equiangular.data.listing import (
    PART_NAMES,
    SUFFIXES,
    Found,
    NamesBelow,
    Paths,
    find_layout,
    list_classes,
    why_no_image_folder,
)
from equiangular.data.reading import Reading, apart_note, constant_note
from equiangular.data.vectors import has_vectors, vector_dataset
from equiangular.longtail.labels import label_array


def from_arrays(
    train_x: Any,
    train_y: Any,
    test_x: Any = None,
    test_y: Any = None,
    *,
    val_x: Any = None,
    val_y: Any = None,
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
        train_y: (N,) or (N, 1) labels, integers or strings. With ``class_names``, integers are indices into them;
            without, the classes are numbered in ascending order of their labels.
        test_x: like ``train_x``; left out, a seeded fifth of every class is taken for testing.
        test_y: like ``train_y``.
        val_x: like ``train_x``: the validation part; left out, one is held out of the training part.
        val_y: like ``train_y``.
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
    for part, x, y in (("test", test_x, test_y), ("val", val_x, val_y)):
        if (x is None) != (y is None):
            raise ValueError(f"{part}_x and {part}_y belong together: pass both or neither.")
    names = None if class_names is None else tuple(str(c) for c in class_names)
    columns = _far(train_x)
    x, y = _finite_inputs(train_x, "train_x", columns), _as_labels(train_y, "train_y")
    if len(y) != len(x):
        raise ValueError(f"train_x has {len(x)} samples, train_y {len(y)} labels; they must agree.")
    labels, found = relabel(y, names, where=f"data set {name!r}, train part")

    def other(part: str, inputs: Any, given: Any) -> tuple[Tensor, np.ndarray, dict[str, int]]:
        own, held = _finite_inputs(inputs, f"{part}_x", columns), _as_labels(given, f"{part}_y")
        if len(own) != len(held):
            raise ValueError(f"{part}_x has {len(own)} samples, {part}_y {len(held)} labels; they must agree.")
        if names is not None and held.dtype.kind in "iu":  # indices; what is out of range is an error
            return own, held.astype(np.int64), {}
        return own, *match_labels([str(label) for label in held.tolist()], found)

    reading, holdout, test = Reading(), None, None
    far = [] if columns is None else [column for column in columns.columns if column.centre]
    notes = [
        f"column {c.name}: its values lie far from 0 for their range; {c.centre:.15g} is taken off them" for c in far
    ]
    notes += lossy_columns(to_array(train_x), x.numpy()) if x.ndim == 2 else []
    if val_x is not None:
        more, held, strange = other("val", val_x, val_y)
        kept = np.flatnonzero(held >= 0) if strange else np.arange(len(held))
        if strange:
            notes.append(apart_note(strange, "validation"))
        holdout = len(labels) + np.arange(len(kept))
        x, labels = joined(x, rows_at(more, kept)), np.concatenate([labels, held[kept]])
        notes.append("used its validation part as validation")
    if test_x is not None:
        own, held, apart = other("test", test_x, test_y)
        test, reading = (own, held), Reading(apart=apart)
    kind = "image" if x.ndim == 4 else "table"
    if kind == "image":
        images = [x] if test is None else [x, test[0]]
        if constant := sum(map(constant_images, images)):
            notes.append(constant_note(constant, sum(map(len, images))))
    options: dict[str, Any] = {"holdout": holdout, "split_seed": split_seed, "reading": reading, "notes": notes}
    options |= {} if columns is None else {"encoding": columns.as_dict()}
    return make_dataset(name, (x, labels), test, found, kind, source, licence=licence, **options)


# The usual names of inputs and labels in .npz files; MedMNIST has train_images, val_images, test_images and labels.
_INPUTS = ("x", "images", "data", "X")
_LABELS = ("y", "labels", "label", "targets", "Y")


def npz_part(arrays: Mapping[str, np.ndarray], *prefixes: str) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Inputs and labels of a part by their usual names, each None where there is none; the first prefix counts first.

    Example:
        >>> npz_part({"train_images": 1, "train_labels": 2}, "train_", "")
        (1, 2)
    """

    def first(names: Sequence[str]) -> Any:
        return next((arrays[f"{p}{n}"] for p in prefixes for n in names if f"{p}{n}" in arrays), None)

    return first(_INPUTS), first(_LABELS)


def load_npz(path: str | Path, *, split_seed: int = 0) -> Dataset:
    """Read a data set from an .npz file.

    The file holds ``train_x`` and ``train_y``, or ``x`` and ``y``; and, if it likes, ``test_x``, ``test_y``, ``val_x``,
    ``val_y`` and ``class_names``, in the forms of :func:`from_arrays`. In place of ``x`` stand also ``images``,
    ``data`` and ``X``, in place of ``y`` ``labels``, ``label``, ``targets`` and ``Y``. Or it holds an encoder's
    features, floating-point ``X`` (N, d) among them, see :func:`equiangular.data.vectors.vector_dataset`. Pickled
    objects are refused.

    Raises:
        ValueError: the file cannot be read, or an array is missing.
    """
    file = Path(path)
    arrays = read_numpy(file)
    train = npz_part(arrays, "train_", "")
    if has_vectors(arrays) and not any(f"{p}{n}" in arrays for p in ("train_", "") for n in _INPUTS[:-1]):
        features = next((arrays[k] for k in ("train_X", "X") if k in arrays), None)
        if features is None or (features.ndim == 2 and features.dtype.kind == "f"):
            return vector_dataset(arrays, {}, name=file.stem, where=str(file), split_seed=split_seed)
    if train[0] is None or train[1] is None:
        raise ValueError(
            f"{str(file)!r} needs arrays train_x and train_y (or x and y), got {', '.join(arrays)}. Features of "
            "an encoder are called features, their labels labels."
        )
    names = names_in_array(arrays["class_names"], str(file)) if "class_names" in arrays else None
    val_x, val_y = npz_part(arrays, *(f"{name}_" for name in PART_NAMES["validation"]))
    return from_arrays(
        *train,
        *npz_part(arrays, "test_"),
        val_x=val_x,
        val_y=val_y,
        name=file.stem,
        class_names=names,
        source=str(file),
        split_seed=split_seed,
    )


def _as_labels(values: Any, name: str) -> np.ndarray:
    """(N,) labels, of (N, 1) as well."""
    array = to_array(values)
    return label_array(array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array, name=name)


def _far(values: Any) -> Columns | None:
    """The columns of an array (N, d) of which float32 would round an offset away; None where it would not."""
    array = to_array(values)
    return far_columns(array) if array.ndim == 2 and array.size and array.dtype.kind in "iuf" else None


def _finite_inputs(values: Any, name: str, columns: Columns | None) -> Tensor:
    """The same as :func:`_as_inputs`; a number that is none in float32 is refused by its row, counted from 1."""
    inputs = _as_inputs(values, name, columns)
    if inputs.is_floating_point() and not torch.isfinite(inputs.sum(dtype=torch.float64)):
        found = (~torch.isfinite(inputs)).nonzero()
        if len(found):
            row, column = found[0].tolist()
            value = to_array(values)[row, column]
            what = f"{value:g}" + ("" if np.isinf(value) or np.isnan(value) else ", beyond what float32 can hold")
            raise ValueError(f"{name}: row {row + 1}, column {column} is {what}. Drop the row or fill the value in.")
    return inputs


def _as_inputs(values: Any, name: str, columns: Columns | None = None) -> Tensor:
    """Images as (N, C, H, W) uint8, tables as (N, d) float32, less the offsets of their ``columns``."""
    array = to_array(values)
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name} must hold numbers, got dtype {array.dtype}.")
    if array.ndim == 2:
        if columns is not None and array.shape[1] == len(columns.columns):
            array = array - np.array([column.centre for column in columns.columns])
        with np.errstate(over="ignore"):  # what becomes infinite is refused by who calls
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


def load_folder(
    path: str | Path,
    *,
    split_seed: int = 0,
    size: int | None = None,
    memory: Memory = "auto",
    raw: bool = False,
    skip_broken: bool | None = None,
) -> Dataset:
    """Read an image folder.

    Classes are the folders under ``train``, in alphabetical order, or those of the folder itself if there is none;
    images at any depth below count. ``test`` beside ``train`` is the test part; without one a seeded fifth of every
    class is taken. ``validation`` (or ``val``, ``valid``, ``dev``) is what is held out of training; where ``test`` has
    no class folders, it is the test part. What was left out or taken for something is in its ``notes``.

    The arguments are those of :func:`equiangular.data.load_dataset`.

    Raises:
        ValueError: no or one class, no part for training, images that cannot be read (all are named).
    """
    folder = Path(path)
    layout = find_layout(folder)
    if "train" not in layout.parts:
        raise ValueError(f"no data set found in {str(folder)!r}. {why_no_image_folder(folder)}")
    notes = list(layout.notes)
    others = [held for part, folders in layout.parts.items() if part != "train" for held in folders]
    train = list_classes(layout.parts["train"], leave=others)
    names = sorted(set(train.names))
    if len(names) < 2:
        has = f"images of {names[0]!r} alone" if names else "no images in class folders"
        has += f" ({counted(len(train.loose), 'image')} without one)" if train.loose else ""
        raise ValueError(
            f"{str(layout.parts['train'][0])!r} has {has}, and a classifier needs two classes. Expected CLASS/*.png "
            f"for each class ({', '.join(SUFFIXES)})."
        )
    used = {part: list_classes(folders, names) for part, folders in layout.parts.items() if part != "train"}
    called = {part: f"{folders[0].name}/" for part, folders in layout.parts.items()}
    source, test_part = f"image folder {folder.name}", "test"
    if "test" in used and not used["test"].files:
        notes.append(f"{called['test']} has no class folders with images, so it is not used")
        del used["test"]
        if "validation" in used:
            test_part = "validation"
    if "validation" in used and test_part == "test":
        notes.append(f"used {called['validation']} as validation")
    if test_part in used:
        source += f"; test: its folder {called[test_part][:-1]}"
        notes += [f"used {called['validation']} as the test part"] if test_part == "validation" else []
    found = Found()
    for part, classes in {"train": train, **used}.items():
        notes += classes.notes(called[part] if "train" in layout.parts and len(layout.parts) > 1 else "images")
        found += classes.found
    notes += found.notes()
    files = Paths([text for classes in (train, *used.values()) for text in classes.files.texts])
    images = ImageSource(files, str(folder), NamesBelow(folder, files))
    read = read_images([images], size=size, memory=memory, raw=raw, skip_broken=skip_broken)
    part_of = np.repeat(["train", *used], [len(train.files), *(len(c.files) for c in used.values())])[read.rows[0]]
    every = [*train.names, *(name for classes in used.values() for name in classes.names)]
    labels, _ = match_labels([every[row] for row in read.rows[0]], names)
    held = part_of == "validation" if test_part == "test" else np.zeros(len(labels), bool)
    tested = part_of == test_part
    strange = Counter(every[row] for row in read.rows[0][(labels < 0) & tested])
    pool = np.flatnonzero(~tested & (labels >= 0))
    if lost := int(((labels < 0) & held).sum()):
        notes.append(f"left out {counted(lost, 'validation sample')} of classes without training samples")
    return make_dataset(
        folder.name,
        (rows_at(read.inputs[0], pool), labels[pool]),
        (rows_at(read.inputs[0], np.flatnonzero(tested)), labels[tested]) if tested.any() else None,
        names,
        "image",
        source,
        holdout=np.flatnonzero(held[pool]) if held.any() else None,
        split_seed=split_seed,
        reading=replace(read.reading, apart=dict(strange)),
        notes=[*notes, *read.notes],
    )
