"""Rows of tables and arrays in files as batches of a model's inputs: numbers, texts, or embedded images."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from equiangular._extras import require
from equiangular._files import read_numpy, read_safetensors
from equiangular._guarded import json_in
from equiangular.data.base import check_names_differ, names_in_array, to_array
from equiangular.data.cells import is_text, plain_texts
from equiangular.data.columns import Columns, Told, plain_columns
from equiangular.data.encoded import ArrowImages
from equiangular.data.folder import _as_inputs, npz_part
from equiangular.data.images import Source, constant_images, decode_image, quiet
from equiangular.data.labels import read_labels, stated_class_names, usual_label
from equiangular.data.libraries import TEST_PARTS
from equiangular.data.registry import names_in
from equiangular.data.table_files import arrow_errors, table_batches
from equiangular.data.tables import IMAGE, TEXT, image_column
from equiangular.data.texts import vocabulary_features
from equiangular.data.vectors import VECTOR_NAMES, labels_beside, vector_column
from equiangular.data.vectors import read_labels as read_label_file
from equiangular.encoders import KnownEncoder
from equiangular.encoders.base import same_encoder
from equiangular.encoders.inputs import pil_image
from equiangular.training.model.info import ModelInfo


@dataclass(frozen=True)
class InputBatch:
    """Some inputs of a model, at most as many as a batch has.

    Attributes:
        names: where each input comes from: its file, and its row in a table.
        inputs: (B, *input_shape) as the model's :class:`equiangular.training.Classifier` takes them.
        labels: the name of each input's class where the source has one: the folder of an image, a column of labels; ""
            where a row of it has none.
        failures: name and reason of everything that could not be read, in their order.
        failed_at: where each failure stands among all inputs of the batch, ascending; by default after the others.
        sources: what an encoder read: texts in bytes, encoded images or their files; None where none has read them.
    """

    names: list[str]
    inputs: Tensor
    labels: list[str] | None = None
    failures: list[tuple[str, str]] = field(default_factory=list)
    failed_at: list[int] = field(default_factory=list)
    sources: list[Source] | None = None

    @classmethod
    def of(
        cls,
        names: list[str],
        inputs: Tensor,
        labels: list[str] | None,
        reasons: dict[int, str],
        sources: list[Source] | None = None,
    ) -> InputBatch:
        """A batch of all inputs but those that ``reasons``, by their places, speak against; these are its failures.

        ``names`` and ``labels`` are of all of them, ``inputs`` and ``sources`` of those that are good.
        """
        if not reasons:
            return cls(names, inputs, labels, sources=sources)
        good, bad = [i for i in range(len(names)) if i not in reasons], sorted(reasons)
        kept = None if labels is None else [labels[i] for i in good]
        return cls([names[i] for i in good], inputs, kept, [(names[i], reasons[i]) for i in bad], bad, sources)

    def placed_failures(self) -> list[tuple[int, tuple[str, str]]]:
        """The failures with their places, which are right if each is inserted in turn."""
        after = [len(self.names) + i for i in range(len(self.failures))]
        return list(zip(self.failed_at or after, self.failures, strict=True))


def decoded_batch(
    sources: Sequence[bytes | Path | None],
    names: list[str],
    labels: list[str] | None,
    info: ModelInfo,
    mapped: Callable[..., Iterable[Any]] = map,
    encoder: KnownEncoder | None = None,
    told: Told | None = None,
) -> InputBatch:
    """Decode encoded images to a batch, of vectors if there is an encoder; those that cannot be are its failures."""
    told = Told() if told is None else told

    def decode(position: int) -> Any:
        try:
            image = decode_for(sources[position], info, names[position], raw=encoder is not None)
            flat = bool((image == image[:1, :1]).all())
            return (_as_input(image, info, names[position]) if encoder is None else pil_image(image)), flat
        except ValueError as error:
            return str(error)

    positions = range(len(sources))
    with quiet():
        images = list(mapped(decode, positions))
    reasons = {i: image for i, image in enumerate(images) if isinstance(image, str)}
    chosen = [image[0] for image in images if not isinstance(image, str)]
    told.images += len(images)
    told.constant += sum(image[1] for image in images if not isinstance(image, str))
    inputs = room(info, torch.float32 if encoder else torch.uint8)
    if chosen:
        inputs = torch.stack(chosen) if encoder is None else encoder.encode(chosen)
    good = [source for i, source in enumerate(sources) if i not in reasons]
    return InputBatch.of(names, inputs, labels, reasons, None if encoder is None else good)


def decode_for(source: bytes | Path | None, info: ModelInfo, name: str, *, raw: bool = False) -> np.ndarray:
    """One encoded image in the size that the model takes, ``raw`` in its own: (H, W, 3) uint8."""
    if raw:
        return decode_image(source, size=None, label=name, spans=info.spans)
    _, height, width = info.input_shape
    array = decode_image(source, size=height if height == width else None, label=name, spans=info.spans)
    if array.shape[:2] != (height, width):
        raise ValueError(
            f"{name} has size {array.shape[0]} x {array.shape[1]}, and the model takes {height} x {width}. Resize it."
        )
    return array


def _as_input(array: np.ndarray, info: ModelInfo, name: str) -> Tensor:
    """A decoded image in the channels that the model takes: (C, H, W) uint8."""
    channels = info.input_shape[0]
    image = torch.from_numpy(array.copy()).permute(2, 0, 1)
    if channels == 3:
        return image
    if channels == 1:  # ITU-R 601 luma in the integers that Pillow uses, exact for grey images
        red, green, blue = image.long()
        grey: Tensor = (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16
        return grey.byte()[None]
    raise ValueError(f"{name}: the model takes {channels} channels, and image files have 1 or 3. Give an .npz file.")


def room(info: ModelInfo, dtype: torch.dtype = torch.float32, *, number: int = 0) -> Tensor:
    """Room for ``number`` inputs of the model."""
    return torch.empty(number, *info.input_shape, dtype=dtype, device="cpu")


def unreadable(file: Path, info: ModelInfo, error: Exception) -> InputBatch:
    """A batch without inputs: a file that cannot be read, or does not fit the model."""
    return InputBatch([], room(info), None, [(str(file), f"cannot read {file}: {error}")])


VECTOR_KEYS = (*(f"test_{name}" for name in VECTOR_NAMES), *VECTOR_NAMES)


def read_rows(
    file: Path, info: ModelInfo, batch_size: int, encoder: KnownEncoder | None = None, told: Told | None = None
) -> Iterator[InputBatch]:
    """Batches of a file's rows; a file that does not fit the model is one failure. ``told`` is added to."""
    told = Told() if told is None else told
    try:
        if file.suffix.lower() in (".npz", ".npy", ".safetensors"):
            yield from _array_batches(file, info, batch_size, told)
        else:
            with arrow_errors("it"):
                yield from _column_batches(file, info, batch_size, encoder, told)
    except ImportError:
        raise
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        yield unreadable(file, info, error)


def _read_arrays(file: Path, info: ModelInfo) -> tuple[dict[str, Any], list[str] | None]:
    """Arrays of a file by name, and the class names that it states."""
    if file.suffix.lower() == ".npy":  # the name says what it is: the inputs
        labels = labels_beside(file)
        return {**read_numpy(file), **({"y": read_label_file(labels)} if labels else {})}, None
    if file.suffix.lower() == ".safetensors":
        tensors, metadata = read_safetensors(file, remedy="Make it again.")
        theirs = json_in(metadata, "encoder", dict, str(file)) or {}
        if info.encoder and (why := same_encoder(info.encoder, theirs)):
            raise ValueError(f"its features come from another encoder than those that the model was trained on: {why}.")
        return tensors, json_in(metadata, "class_names", list, str(file))
    arrays = read_numpy(file)
    return arrays, names_in_array(arrays["class_names"], str(file)) if "class_names" in arrays else None


def _array_batches(file: Path, info: ModelInfo, batch_size: int, told: Told) -> Iterator[InputBatch]:
    arrays, names = _read_arrays(file, info)
    values, labels = npz_part(arrays, "test_", "")
    if values is None:
        values = next((arrays[key] for key in VECTOR_KEYS if key in arrays), None)
    if values is None:
        raise ValueError(f"it needs an array named x, test_x, images or features, got {', '.join(arrays)}.")
    values = to_array(values)
    columns = Columns.from_dict(info.encoding) if info.kind == "table" and info.encoding else None
    table = None if columns is None else _columns_of_array(values, columns)
    inputs = _as_inputs(values, "its array") if table is None else room(info, number=len(values))
    if tuple(inputs.shape[1:]) != info.input_shape:
        raise ValueError(f"its inputs have shape {tuple(inputs.shape[1:])}, the model takes {info.input_shape}.")
    if names is not None:
        check_names_differ([str(name) for name in names], "its class_names")
    labels = None if labels is None else to_array(labels)
    labels = labels[:, 0] if labels is not None and labels.ndim == 2 and labels.shape[1] == 1 else labels
    if labels is not None and labels.shape != (len(inputs),):
        raise ValueError(f"its labels have shape {labels.shape}, its inputs are {len(inputs)}; each has one.")
    for start in range(0, len(inputs), batch_size):
        stop = min(start + batch_size, len(inputs))
        own = None if labels is None else _label_names(labels[start:stop].tolist(), names)
        if table is not None and columns is not None:
            yield _encoded(file, start, table.slice(start, stop - start), columns, own, told)
        else:
            if info.kind == "image":
                told.images += stop - start
                told.constant += constant_images(inputs[start:stop])
            yield _finite(file, start, inputs[start:stop], own)


def _columns_of_array(values: np.ndarray, columns: Columns) -> Any:
    """An array of numbers (N, columns) as a table with the columns of a model, by their order.

    Raises:
        ValueError: another number of columns, or columns that are no numbers.
    """
    pa = require("pyarrow", extra="data", purpose="Reading tables")
    names = [column.name for column in columns.columns]
    if any(column.kind not in ("number", "boolean") for column in columns.columns):
        raise ValueError("the model reads columns that are no numbers. Give it a table, such as a .csv file.")
    if values.ndim != 2 or values.shape[1] != len(names):
        raise ValueError(f"its inputs have shape {values.shape[1:]}, the model takes {len(names)} columns.")
    return pa.table({name: values[:, i] for i, name in enumerate(names)})


def _column_batches(
    file: Path, info: ModelInfo, batch_size: int, encoder: KnownEncoder | None, told: Told
) -> Iterator[InputBatch]:
    start, columns = 0, None
    saved = _saved_table(file).to_batches(max_chunksize=batch_size) if file.is_dir() else None
    for batch in table_batches(file, batch_size) if saved is None else saved:
        names = batch.schema.names
        key = label_column(names, info)
        labels = None
        if key is not None:
            stated = stated_class_names(batch.schema.metadata, key)
            codes, classes = read_labels(batch.column(names.index(key)), key, stated)
            if len(codes) and codes.max() >= len(classes):
                raise ValueError(f"it has label {codes.max()}, outside [0, {len(classes) - 1}] of its class names.")
            labels = [classes[code] if code >= 0 else "" for code in codes]
        rows = [f"{file}:{start + i + 1}" for i in range(batch.num_rows)]
        vectors = next((n for n in VECTOR_NAMES if n in names), None) if info.kind == "vectors" else None
        if vectors is not None:
            inputs = vector_column(batch.column(vectors), f"column {vectors!r}", start)
            if inputs.shape[1] != info.input_shape[0]:
                raise ValueError(f"its vectors have {inputs.shape[1]} numbers, the model takes {info.input_shape[0]}.")
            yield _finite(file, start, inputs, labels)
        elif info.reads == "image":
            column = image_column(batch.schema)
            _need(names, column or IMAGE)
            yield decoded_batch(ArrowImages(batch.column(column)), rows, labels, info, encoder=encoder, told=told)
        elif info.reads == "text":
            column = text_column(batch.schema, key, info)
            texts = [text or "" for text in plain_texts(batch.column(names.index(column)), column).to_pylist()]
            yield text_batch(rows, texts, labels, info, encoder)
        else:
            if columns is None:  # the batches of a file have the same
                columns = model_columns(info, [name for name in names if name != key])
            known = {key, *(c.name for c in columns.columns), *columns.left_out, *names_in(info.data.get("drop") or ())}
            told.ignored.setdefault(str(file), [name for name in names if name not in known])
            yield _encoded(file, start, batch, columns, labels, told)
        start += batch.num_rows


def _saved_table(folder: Path) -> Any:
    """The Arrow table of what ``datasets`` saved: its test part, or all of it where it has no parts."""
    library = require("datasets", extra="data", purpose="Reading what datasets has saved")
    made = library.load_from_disk(str(folder))
    if hasattr(made, "keys"):
        part = next((name for name in TEST_PARTS if name in made), None)
        if part is None:
            raise ValueError(f"none of its parts {', '.join(made)} is called {' or '.join(TEST_PARTS)}.")
        made = made[part]
    return made.data.table.replace_schema_metadata(made.features.arrow_schema.metadata)


def model_columns(info: ModelInfo, present: Sequence[str]) -> Columns:
    """The columns that a model of tables reads: those it was trained on, or for one without names all that there are.

    Raises:
        ValueError: their number does not fit.
    """
    if info.encoding and info.columns:
        return Columns.from_dict(info.encoding)
    names = list(info.columns or present)
    if len(names) != info.input_shape[0]:
        raise ValueError(f"it has {len(names)} columns of numbers, the model takes {info.input_shape[0]}.")
    if info.encoding:  # of an array, whose columns have no names
        own = Columns.from_dict(info.encoding).columns
        return Columns(tuple(replace(column, name=name) for column, name in zip(own, names, strict=True)))
    return plain_columns(names)


def label_column(names: Sequence[str], info: ModelInfo) -> str | None:
    """The column of labels of a file to predict or evaluate, or None: that of training, or one with a usual name."""
    own = info.data.get("label")
    if own is not None:
        return own if own in names else None
    inputs = set(info.columns or ()) | {c["name"] for c in (info.encoding or {}).get("columns", ())}
    passed_over = inputs | set(names_in(info.data.get("drop") or ()))
    return usual_label([name for name in names if name not in passed_over])


def text_column(schema: Any, label: str | None, info: ModelInfo) -> str:
    """The column of texts: the one of training, ``text``, or the only one that holds texts.

    Raises:
        ValueError: there is none, or several.
    """
    names = schema.names
    for wanted in ((info.encoding or {}).get(TEXT, TEXT), TEXT):
        if wanted in names:
            return str(wanted)
    found = [name for name in names if name != label and is_text(schema.field(name).type)]
    if len(found) != 1:
        _need(names, str((info.encoding or {}).get(TEXT, TEXT)))
    return str(found[0])


def _encoded(file: Path, start: int, batch: Any, columns: Columns, labels: list[str] | None, told: Told) -> InputBatch:
    """A batch of rows by the model's columns; those that cannot be read are failures."""
    encoded = columns.encode(batch)
    told.add(encoded)
    bad = {row: f"{reason}. Mend the value or drop the row." for row, reason in encoded.bad.items()}
    inputs = torch.from_numpy(encoded.values)
    return _finite(file, start, inputs, labels, bad)


def text_batch(
    names: list[str], texts: list[str], labels: list[str] | None, info: ModelInfo, encoder: KnownEncoder | None
) -> InputBatch:
    """Texts as the model takes them; those without a character are failures, as training refuses them."""
    kept = [text for text in texts if text.strip()]
    inputs = room(info)
    if kept:
        inputs = text_features(kept, info) if encoder is None else encoder.encode(kept)
    empty = {i: "an empty text. Fill it in or drop the row." for i, text in enumerate(texts) if not text.strip()}
    return InputBatch.of(names, inputs, labels, empty, None if encoder is None else [text.encode() for text in kept])


def text_features(texts: list[str], info: ModelInfo) -> Tensor:
    """TF-IDF features of texts by the vocabulary that the model was trained with."""
    if info.vocabulary is None:
        raise ValueError("the model was stored without a vocabulary, so it cannot read texts. Give it their features.")
    return torch.from_numpy(vocabulary_features(texts, info.vocabulary))


def finite_rows(values: Tensor) -> Tensor | slice:
    """The rows whose numbers are finite, as a mask on the CPU, or a slice of all of them."""
    if not values.is_floating_point() or math.isfinite(values.sum().item()):  # quicker than a look at each number
        return slice(None)
    return torch.isfinite(values).flatten(1).all(1).cpu()


def _finite(
    file: Path, start: int, inputs: Tensor, labels: list[str] | None, bad: dict[int, str] | None = None
) -> InputBatch:
    """A batch of the rows whose numbers are finite; the others are failures, and so are those that are ``bad``."""
    kept_rows = finite_rows(inputs)
    holes = [] if isinstance(kept_rows, slice) else (~kept_rows).nonzero().flatten().tolist()
    reasons = dict.fromkeys(holes, "a missing, NaN or infinite value. Fill it in or drop the row.") | (bad or {})
    where = str(file)
    names = [f"{where}:{row}" for row in range(start + 1, start + len(inputs) + 1)]
    kept = inputs[[i for i in range(len(inputs)) if i not in reasons]] if reasons else inputs
    return InputBatch.of(names, kept, labels, reasons)


def _label_names(labels: list[Any], names: Sequence[str] | None) -> list[str]:
    indexed = names is not None and all(isinstance(label, int) and 0 <= label < len(names) for label in labels)
    return [names[label] if indexed and names is not None else str(label) for label in labels]


def _need(columns: Sequence[str], name: str) -> None:
    if name not in columns:
        raise ValueError(f"it has no column {name!r}; its columns are {', '.join(columns)}.")
