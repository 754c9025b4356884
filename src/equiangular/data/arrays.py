"""Arrays as a data set: given in memory or in an .npz file."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from equiangular._files import check_npz
from equiangular.data.base import Dataset, relabel
from equiangular.longtail import holdout_indices
from equiangular.longtail.labels import label_array

TEST_FRACTION = 0.2


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
        test = holdout_indices(labels, TEST_FRACTION, seed=split_seed)
        train = np.setdiff1d(np.arange(len(labels)), test)
        parts = x[train], torch.from_numpy(labels[train]), x[test], torch.from_numpy(labels[test])
        source = f"{source}; test: {TEST_FRACTION:.0%} of each class, split seed {split_seed}"
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
    ``class_names``, in the forms of :func:`from_arrays`. Pickled objects are refused.

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
    if train[0] is None or train[1] is None:
        raise ValueError(f"{str(file)!r} needs arrays train_x and train_y (or x and y), got {', '.join(arrays)}.")
    return from_arrays(
        *train,
        arrays.get("test_x"),
        arrays.get("test_y"),
        name=file.stem,
        class_names=arrays["class_names"].tolist() if "class_names" in arrays else None,
        source=str(file),
        split_seed=split_seed,
    )


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
