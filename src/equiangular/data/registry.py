"""From a name or a path to a data set."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from equiangular._checks import ROOT_VARIABLE, path_exists, unknown_data
from equiangular._choices import MEMORIES, Memory
from equiangular._defaults import usual_defaults
from equiangular._files import user_folder
from equiangular._validate import check_choice, check_int
from equiangular.data.base import Dataset
from equiangular.data.folder import load_folder, load_npz
from equiangular.data.libraries import SKLEARN_SETS, is_saved_to_disk, load_hugging_face, load_sklearn, load_torchvision
from equiangular.data.listing import is_image_folder
from equiangular.data.refused import why_no_data
from equiangular.data.table_files import TABLE_FILES, arrow_errors
from equiangular.data.tables import load_frame, load_table, table_parts
from equiangular.data.vectors import load_npy, load_safetensors

_ARRAY_FILES = {"npz": load_npz, "safetensors": load_safetensors, "npy": load_npy}


def dataset_names(root: str | Path | None = None) -> list[str]:
    """Names that :func:`load_dataset` knows: the bundled ones and the data folders under ``root``.

    Example:
        >>> dataset_names()[:2]
        ['digits', 'wine']
    """
    folder = _root(root)
    found = [] if folder is None else sorted(p.name for p in folder.iterdir() if p.is_dir() and _layout(p))
    return [*SKLEARN_SETS, *(name for name in found if name not in SKLEARN_SETS)]


@usual_defaults()
def load_dataset(
    name_or_path: str | Path | Any,
    *,
    root: str | Path | None = None,
    split_seed: int = 0,
    size: int | None = None,
    memory: Memory = "auto",
    raw: bool = False,
    label: str | None = None,
    drop: str | Sequence[str] = (),
    encoding: dict[str, Any] | None = None,
    skip_broken: bool | None = None,
) -> Dataset:
    """Load a data set by name or from a path.

    In this order: a bundled name (``digits``, ``wine``, ``breast_cancer``, ``iris``); ``hf:NAME`` for the Hugging Face
    hub, see :func:`equiangular.data.libraries.load_hugging_face`; ``torchvision:NAME``, see
    :func:`equiangular.data.libraries.load_torchvision`; a path; the name of a folder under ``root``. A path is
    one of

    - an ``.npz`` file, see :func:`equiangular.data.folder.load_npz`;
    - features of an encoder in a ``.safetensors`` or ``.npy`` file, see
      :func:`equiangular.data.vectors.load_safetensors` and :func:`equiangular.data.vectors.load_npy`;
    - a file of rows, ``.csv``, ``.tsv``, ``.parquet`` or ``.feather``, or a folder with ``train.csv`` and, if there is
      one, ``test.csv`` (or the others): tables, texts, vectors, or images in the layout of Hugging Face ``datasets``,
      see :func:`equiangular.data.tables.load_table`;
    - a folder that ``datasets`` wrote with ``save_to_disk``;
    - an image folder ``CLASS/*.png``, or ``train/CLASS/*.png`` and, if there is one, ``test/CLASS/*.png``, see
      :func:`equiangular.data.folder.load_folder`.

    Args:
        name_or_path: what to load: a name, a path, or a table in memory (a DataFrame of pandas or polars, a
            ``pyarrow.Table``), which is read as a parquet file of the same content is.
        root: folder of named data sets; by default the environment variable ``EQUIANGULAR_DATA``, if it is set.
        split_seed: seed of the test split where the source has none of its own.
        size: for images in parquet files and folders: pad to a square and resize to this height and width. Where
            images differ in size and none is given, one is chosen, see :func:`equiangular.data.encoded.read_images`.
        memory: where images are kept. ``"memory"`` decodes all of them at once into bytes of pixels, the fastest to
            train on; ``"stream"`` keeps them encoded (a folder's as files) and decodes batches as they are needed;
            ``"auto"`` streams if the pixels would take more than 4 GiB.
        raw: for an encoder: texts as they are, see :class:`equiangular.data.Texts`, and images still encoded, in the
            sizes that they have.
        label: of a file of rows: the column of labels.
        drop: of a file of rows: columns to leave out, as names or as a text that parts them by commas.
        encoding: of a table: how its columns become numbers, from a model that is to read it; by default it is found
            on the training pool.
        skip_broken: leave out images, texts and rows that cannot be read, and note which. False: none is left out; all
            are listed in an error. None: a few images are left out, one or one in twenty; of more, of streamed ones
            that are met, and of rows, all are listed in an error.

    Raises:
        ValueError: unknown name (the closest one is suggested), or data that cannot be read.
        ImportError: the library that reads it is missing; the message names the extra.

    Example:
        >>> load_dataset("iris").class_names
        ('setosa', 'versicolor', 'virginica')
    """
    check_int(split_seed, "split_seed", minimum=0)
    check_choice(memory, MEMORIES, "memory")
    if size is not None:
        check_int(size, "size", minimum=1)
    if raw:
        size, memory = None, "stream"
    images: dict[str, Any] = {"size": size, "memory": memory, "raw": raw, "skip_broken": skip_broken}
    columns: dict[str, Any] = {"label": label, "drop": names_in(drop), "encoding": encoding}
    if not isinstance(name_or_path, (str, os.PathLike)):
        return load_frame(name_or_path, split_seed=split_seed, **images, **columns)
    name = str(name_or_path)
    named = name in SKLEARN_SETS or name.startswith(("hf:", "torchvision:"))
    path = None if named else find_path(name, root)
    layout = None if path is None else _layout(path)
    if named or layout not in (None, "table"):  # what is not there is told below
        _refuse_columns(name, label, columns["drop"])
    if name in SKLEARN_SETS:
        return load_sklearn(name, split_seed=split_seed)
    if name.startswith("hf:"):
        return load_hugging_face(name[3:], split_seed=split_seed, encoding=encoding, **images)
    if name.startswith("torchvision:"):
        place = (_root(root) or user_folder()) / "torchvision"
        return load_torchvision(name[12:], root=place, split_seed=split_seed, size=size, memory=memory)
    if path is None:
        raise ValueError(unknown_data(name, dataset_names(root), rooted=_root(root) is not None))
    if layout in _ARRAY_FILES:
        return _ARRAY_FILES[layout](path, split_seed=split_seed)
    if layout == "table":
        with arrow_errors(repr(str(path))):
            return load_table(path, split_seed=split_seed, **images, **columns)
    if layout == "folder":
        return load_folder(path, split_seed=split_seed, **images)
    if layout == "datasets":
        with arrow_errors(repr(str(path))):
            return load_hugging_face(str(path), split_seed=split_seed, encoding=encoding, **images)
    raise ValueError(f"no data set found in {str(path)!r}: {why_no_data(path)}")


def _refuse_columns(name: str, label: str | None, drop: Sequence[str]) -> None:
    """Raise if columns were named of data that are no file of rows: they would have no effect."""
    told = [f"label={label!r}"] * (label is not None) + [f"drop={', '.join(drop)!r}"] * bool(drop)
    if told:
        remedy = f" Its labels are named as in '{name.partition('#')[0]}#{label or 'COLUMN'}'."
        raise ValueError(
            f"{' and '.join(told)} {'is' if len(told) == 1 else 'are'} for files of rows ({', '.join(TABLE_FILES)}), "
            f"and {name!r} is none.{remedy if name.startswith('hf:') else ''}"
        )


def names_in(text: str | Sequence[str]) -> tuple[str, ...]:
    """Names as they are, or the names in a text that parts them by commas.

    Example:
        >>> names_in("id, when"), names_in(["a, b"])
        (('id', 'when'), ('a, b',))
    """
    return tuple(filter(None, map(str.strip, text.split(",")))) if isinstance(text, str) else tuple(text)


def find_path(name: str, root: str | Path | None = None) -> Path | None:
    """The path that a name of data stands for: itself, or a folder under the root; None where there is neither."""
    path, folder = Path(name).expanduser(), _root(root)
    if folder is not None and name and path_exists(folder / name) and not (path_exists(path) and _layout(path)):
        path = folder / name  # a folder of that name without data, such as one for results, is no data set
    return path if name and path_exists(path) else None


def absolute_name(name: str, root: str | Path | None = None) -> str:
    """What names the same data from any folder: a path becomes absolute, other names stay.

    Example:
        >>> absolute_name("digits"), absolute_name("hf:someone/birds")
        ('digits', 'hf:someone/birds')
    """
    if name in SKLEARN_SETS or name.startswith("torchvision:"):
        return name
    prefix, place = ("hf:", name[3:]) if name.startswith("hf:") else ("", name)
    path, _, column = place.partition("#") if prefix else (place, "", "")
    given = Path(path).expanduser()
    named = prefix == "" and find_path(name, root) != given
    if named or not path or not path_exists(given):
        return name
    return f"{prefix}{os.path.abspath(given)}{'#' if column else ''}{column}"


def _layout(path: Path) -> str | None:
    """How the data at ``path`` is laid out, by its names alone."""
    if path.is_file():
        kind = path.suffix.lower().removeprefix(".")
        return "table" if path.suffix.lower() in TABLE_FILES else kind if kind in _ARRAY_FILES else None
    if table_parts(path):
        return "table"
    if is_saved_to_disk(path):
        return "datasets"
    try:
        return "folder" if is_image_folder(path) else None
    except OSError:  # a folder that may not be read
        return None


def _root(root: str | Path | None) -> Path | None:
    given = root if root is not None else os.environ.get(ROOT_VARIABLE) or None
    if given is None:
        return None
    folder = Path(given).expanduser()
    if not folder.is_dir():
        raise ValueError(
            f"the data folder {str(folder)!r} does not exist; set root= or ${ROOT_VARIABLE} to one that does."
        )
    return folder
