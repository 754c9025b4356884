"""Inputs and labels to evaluate a stored model on: its own test part, data by name, folders and tables."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from equiangular._checks import ROOT_VARIABLE, path_exists
from equiangular._counted import counted
from equiangular.data import Dataset, load_dataset
from equiangular.data.columns import Told
from equiangular.data.libraries import is_saved_to_disk
from equiangular.data.listing import PART_NAMES, class_name, find_layout, list_classes
from equiangular.data.reading import SHOWN, listed
from equiangular.data.registry import absolute_name, find_path
from equiangular.data.split import input_digest
from equiangular.data.tables import table_parts
from equiangular.encoders import KnownEncoder
from equiangular.encoders.base import same_encoder
from equiangular.encoders.embedding import embed_inputs, modality_of
from equiangular.inference.predictions import TABLE_SUFFIXES, list_inputs, read_inputs
from equiangular.inference.seen import Seen, part_hashes, row_hashes, source_hashes
from equiangular.inference.tables import InputBatch
from equiangular.training.model.info import ModelInfo


@dataclass
class Labelled:
    """What to evaluate on.

    Attributes:
        batches: inputs and labels.
        source: what they come from.
        notes: what a user should know of it.
        apart: samples of classes that the model does not know, by class; complete when the batches are through.
        left_out: inputs that cannot be read, likewise.
        told: what was odd about the columns of tables, likewise.
        seen: counts samples that the model was trained on; None where they are not looked for.
        total: number of samples, where it is known beforehand.
    """

    batches: Iterator[tuple[Tensor, Tensor]]
    source: str
    notes: list[str] = field(default_factory=list)
    apart: Counter[str] = field(default_factory=Counter)
    left_out: list[str] = field(default_factory=list)
    told: Told = field(default_factory=Told)
    seen: Seen | None = None
    total: int | None = None


def labelled_batches(
    info: ModelInfo,
    data: str | Path | None,
    batch_size: int,
    encoder: KnownEncoder | None = None,
    *,
    skip_broken: bool = False,
) -> Labelled:
    """Batches of inputs and labels to evaluate on, and what they come from."""
    if data is None:
        return _own_test_part(info, batch_size, encoder, skip_broken=skip_broken)
    path = Path(data).expanduser()
    root = info.data.get("root") or os.environ.get(ROOT_VARIABLE)
    if not path_exists(path) and root and path_exists(Path(root).expanduser() / path):
        path = Path(root).expanduser() / path
    own = {key: value for key, value in info.data.items() if key != "name_or_path"}
    own |= {"skip_broken": True} if skip_broken else {}
    trained = _trained_on(info)
    named_alike = absolute_name(str(data), root) == info.data.get("name_or_path")  # of the hub, say
    if named_alike or (trained is not None and path_exists(path) and path.resolve() == trained):
        found = _own_test_part(info, batch_size, encoder, skip_broken=skip_broken)
        found.notes.insert(0, f"{str(data)!r} is what the model was trained on: scored is its test part alone")
        return found
    if not path_exists(path):
        if info.kind == "text" and not encoder:
            raise ValueError(f"{str(data)!r} does not exist. Texts are evaluated from a file that has them.")
        named = {key: value for key, value in own.items() if key not in ("label", "drop")}  # those are of files
        loaded = _load(info, str(data), **{**named, "skip_broken": skip_broken})
        return _with_seen(_dataset_batches(loaded, info, batch_size, encoder), info)
    _refuse_training_part(path, trained)
    if (same := _as_trained_on(path, info, own)) is not None:
        found = _dataset_batches(same, info, batch_size, encoder)
        found.notes.append(f"{str(data)!r} has the inputs that the model was trained on: scored is its test part alone")
        return found
    return _with_seen(_files_in(path, info, batch_size, encoder, skip_broken=skip_broken), info)


def _with_seen(labelled: Labelled, info: ModelInfo) -> Labelled:
    """The same, with an eye on samples that the model was trained on, where its data can be read as they were."""
    if not info.data:
        return labelled
    why = "have changed"
    try:
        own = _load(info, **info.data)
        if not (known := _held_back(info)) or input_digest(own.test_x) in known:
            labelled.seen = Seen.of(own, encoded=info.reads == "image" and info.kind == "vectors")
            return labelled
    except (OSError, ValueError, ImportError) as error:
        why = f"cannot be read ({str(error).rstrip('.')})"
    labelled.notes.append(
        f"samples that the model was trained on cannot be told from others, as its training data {why}"
    )
    return labelled


def _own_test_part(info: ModelInfo, batch_size: int, encoder: KnownEncoder | None, *, skip_broken: bool) -> Labelled:
    if not info.data:
        raise ValueError("the model does not say what data it was trained on. Name some with --data.")
    options = {**info.data, **({"skip_broken": True} if skip_broken else {})}
    try:
        found = _load(info, **options)
        batches = _dataset_batches(found, info, batch_size, encoder)
    except (OSError, ValueError) as error:
        what = "the data that the model was trained on cannot be read"
        raise ValueError(f"{what}: {error} Or name others with --data.") from error
    # A test part that is drawn from rows which have changed holds rows that were trained on.
    if (known := _held_back(info)) and input_digest(found.test_x) not in known:
        raise ValueError(
            f"the data that the model was trained on have changed since: the test part of {found.name!r} is another, "
            "and may hold what was trained on. Bring the old data back, or name samples that were no part of them with "
            "--data."
        )
    labels = info.inputs.get("test labels")
    if labels and found.class_names == tuple(info.class_names) and input_digest(found.test_y) != labels:
        batches.notes.append(
            f"the labels of the test part of {found.name!r} have changed since the training: its own scores were by "
            "the old ones"
        )
    return batches


def _trained_on(info: ModelInfo) -> Path | None:
    """The path of the data that the model was trained on, where it is one that exists."""
    name = str(info.data.get("name_or_path") or "")
    path = find_path(name, info.data.get("root")) if name and not name.startswith(("hf:", "torchvision:")) else None
    return None if path is None else path.resolve()


def _held_back(info: ModelInfo) -> set[str]:
    """Digests of the inputs that were held back from the model for a test; none of a model of before.

    Behind an encoder they may be its features, or the texts or images that these came from.
    """
    return {digests["test"] for digests in (info.inputs, (info.encoder or {}).get("inputs")) if digests}


def _as_trained_on(path: Path, info: ModelInfo, options: dict[str, Any]) -> Dataset | None:
    """The data of a path where their test part is, number by number, that of the model's; None where it is another."""
    if not (known := _held_back(info)):
        return None
    try:
        found = _load(info, path, **options)
    except (OSError, ValueError, ImportError):
        return None  # no data set by itself: a folder of one class, rows without a second one
    return found if input_digest(found.test_x) in known else None


def _refuse_training_part(path: Path, trained: Path | None) -> None:
    """Raise if ``path`` is the training part of the model's data."""
    if trained is None or not trained.is_dir() or trained not in path.resolve().parents:
        return
    inside = not table_parts(trained) and find_layout(trained).is_trained_on(path)
    if inside or (path.is_file() and path.parent.resolve() == trained and path.stem == "train"):
        raise ValueError(
            f"{str(path)!r} holds what the model was trained on, and scores on it say nothing of other data. Its test "
            "part is evaluated without --data; or name data of your own."
        )


def _files_in(
    path: Path, info: ModelInfo, batch_size: int, encoder: KnownEncoder | None, *, skip_broken: bool
) -> Labelled:
    """Batches of the files of a test part: a file, or a folder's test part by its names."""
    table = next((path / f"test{s}" for s in TABLE_SUFFIXES if (path / f"test{s}").exists()), None)
    notes: list[str] = []
    labels: dict[Path, str] | None = None
    folders = [table or path]
    saved = path.is_dir() and is_saved_to_disk(path)
    if path.is_dir() and table is None and not saved:
        layout = find_layout(path)
        part = next((p for p in ("test", "validation", "train") if p in layout.parts), "train")
        folders = layout.parts[part]
        if part == "train" and folders[0] != path and folders[0].name.lower() in PART_NAMES["train"]:
            raise ValueError(
                f"{str(path)!r} has {folders[0].name}/ and no test part. To score all of it name the folder of its "
                f"classes: --data {folders[0]}"
            )
        notes = list(layout.notes) + ([f"used {folders[0].name}/ as the test part"] if part == "validation" else [])
    if info.reads == "image" and not saved and all(folder.is_dir() for folder in folders):
        classes = list_classes(folders, info.class_names)
        labels = dict(zip(classes.files, classes.names, strict=True))
        notes += [*classes.notes("test part"), *classes.found.notes()]
    if labels:
        files = list(labels)
    else:
        files = list_inputs(folders, info.reads, notes=notes)
    total = None if labels is None else len(files)
    labelled = Labelled(iter(()), ", ".join(map(str, folders)), notes, total=total)
    batches = read_inputs(files, info, batch_size=batch_size, encoder=encoder, labels=labels, told=labelled.told)
    labelled.batches = _file_batches(batches, info, labelled, skip_broken=skip_broken)
    return labelled


def _load(info: ModelInfo, name_or_path: str | Path, **options: Any) -> Dataset:
    """The data set; for a model of vectors as an encoder takes it."""
    encoding = info.encoding if info.kind == "table" else None
    return load_dataset(name_or_path, **options, encoding=encoding, raw=info.kind == "vectors")


def _dataset_batches(dataset: Dataset, info: ModelInfo, batch_size: int, encoder: KnownEncoder | None) -> Labelled:
    inputs = dataset.test_x
    if info.kind == "vectors" and dataset.kind != "vectors" and encoder is not None:
        modality_of(dataset)
        inputs = embed_inputs(inputs, encoder.encoder, where=f"data set {dataset.name!r}, test part")
    elif dataset.encoder and info.encoder and (why := same_encoder(info.encoder, dataset.encoder)):
        raise ValueError(
            f"the features of {dataset.name!r} come from another encoder than those that the model was trained "
            f"on: {why}."
        )
    elif dataset.input_shape != info.input_shape:
        raise ValueError(
            f"data set {dataset.name!r} has inputs of shape {dataset.input_shape}, the model takes {info.input_shape}."
        )
    index = class_indices(dataset.class_names, info)
    labels = index[dataset.test_y]
    strange = Counter(dataset.class_names[int(i)] for i in dataset.test_y[labels < 0])
    known = (labels >= 0).nonzero().flatten()

    def batches(found: Labelled) -> Iterator[tuple[Tensor, Tensor]]:
        if found.seen is not None:
            found.seen.add(part_hashes(dataset.test_x, encoded=inputs is not dataset.test_x)[known.numpy()])
        for part in known.split(batch_size) if len(known) else ():
            yield inputs[part], labels[part]

    apart = Counter(dict(dataset.reading.apart)) + strange
    left_out = list(dataset.reading.left_out)
    told = list(dataset.notes)
    found = Labelled(iter(()), f"test part of {dataset.name}", told, apart, left_out, total=len(known))
    found.batches = batches(found)
    return found


def _file_batches(
    batches: Iterable[InputBatch], info: ModelInfo, labelled: Labelled, *, skip_broken: bool
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of what can be read and has a known class; the rest is noted in ``labelled``, or raised in the end."""
    for batch in batches:
        labelled.left_out += [
            (reason if name in reason else f"{name}: {reason}").rstrip(".") for name, reason in batch.failures
        ]
        if not batch.names:
            continue
        if batch.labels is None:
            raise ValueError(f"{batch.names[0]} has no label. An evaluation needs the class of every sample.")
        if "" in batch.labels:
            name = batch.names[batch.labels.index("")]
            raise ValueError(f"{name} has no label. An evaluation needs the class of every sample.")
        labels = class_indices(batch.labels, info)
        labelled.apart.update(name for name, label in zip(batch.labels, labels.tolist(), strict=True) if label < 0)
        if (known := labels >= 0).any():
            if labelled.seen is not None:
                hashes = row_hashes(batch.inputs) if batch.sources is None else source_hashes(batch.sources)
                labelled.seen.add(hashes[known.numpy()])
            yield batch.inputs[known], labels[known]
    lost = labelled.left_out
    if lost and not skip_broken:
        shown = "".join(
            f"\n  {line}" for line in [*lost[:SHOWN], *([f"and {len(lost) - SHOWN} more"] * (len(lost) > SHOWN))]
        )
        raise ValueError(
            f"{counted(len(lost), 'input')} cannot be read, and an evaluation leaves nothing out that it is not told "
            f"to: skip_broken=True.{shown}"
        )
    if lost:
        labelled.notes.append(f"left out {counted(len(lost), 'input')} that cannot be read: {listed(lost, 3)}")


def class_indices(names: Iterable[str], info: ModelInfo) -> Tensor:
    """The labels (N,) int64 of classes by their names, in any of Unicode's forms; -1 for those that there are not."""
    places = {class_name(known).strip(): label for label, known in enumerate(info.class_names)}
    return torch.tensor([places.get(class_name(name).strip(), -1) for name in names], dtype=torch.int64)
