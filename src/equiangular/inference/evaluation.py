"""A stored model on a test set: everything that can be said about it, as JSON-plain values; class priors from files."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from equiangular._extras import require
from equiangular._validate import did_you_mean
from equiangular.data import Dataset, load_dataset
from equiangular.data.registry import ROOT_VARIABLE
from equiangular.encoders import KnownEncoder
from equiangular.encoders.base import same_encoder
from equiangular.encoders.embedding import embed_inputs, modality_of
from equiangular.inference.predictions import list_inputs, read_inputs
from equiangular.training.methods import get_method
from equiangular.training.model.classifier import Classifier
from equiangular.training.model.correction import PRIORS, own_prior
from equiangular.training.model.info import ModelInfo
from equiangular.training.run.scoring import Scorer


def read_prior(prior: str | None, class_names: Sequence[str]) -> str | list[float] | None:
    """What :func:`equiangular.training.corrected_logits` takes as ``prior``. Returns the name, or K positive weights.

    Args:
        prior: None, ``"uniform"``, ``"train"``, or a JSON or YAML file: a weight for each class name, or K weights in
            the order of the classes. Weights are counts or frequencies; they need not sum to 1.
        class_names: the model's K classes.

    Raises:
        ValueError: neither a name nor a file, or weights that do not fit the classes or are not above 0.

    Example:
        >>> read_prior("train", ["a", "b"])
        'train'
    """
    if prior is None or prior in PRIORS:
        return prior
    file = Path(prior).expanduser()
    if not file.is_file():
        hint = did_you_mean(prior, PRIORS)
        raise ValueError(f"the prior {prior!r} is neither {' nor '.join(PRIORS)} nor a file that exists{hint}")
    yaml = require("yaml", extra="train", purpose="Reading a prior")
    try:
        values = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ValueError(f"cannot read the prior {str(file)!r} as JSON or YAML: {error}") from error
    return _weights(values, list(class_names), str(file))


def _weights(values: Any, class_names: list[str], where: str) -> list[float]:
    if isinstance(values, dict):
        named = {str(name): weight for name, weight in values.items()}
        for name in named:
            if name not in class_names:
                raise ValueError(f"{where!r}: the model has no class {name!r}{did_you_mean(name, class_names)}")
        missing = [name for name in class_names if name not in named]
        if missing:
            raise ValueError(f"{where!r} has no weight for class {missing[0]!r} ({len(missing)} such classes).")
        values = [named[name] for name in class_names]
    if not isinstance(values, list) or len(values) != len(class_names):
        got = f"{len(values)} entries" if isinstance(values, list) else type(values).__name__
        raise ValueError(f"{where!r} must hold a weight for each of the {len(class_names)} classes, got {got}.")
    for name, weight in zip(class_names, values, strict=True):
        if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not 0 < weight < float("inf"):
            raise ValueError(
                f"{where!r}: the weight of class {name!r} must be a number above 0, got {weight!r}. Give a class that "
                "is not expected a small weight."
            )
    return [float(weight) for weight in values]


BATCH_SIZE = 256


@torch.no_grad()
def evaluate(
    classifier: Classifier,
    *,
    data: str | Path | None = None,
    batch_size: int = BATCH_SIZE,
    progress: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Evaluate a stored model, batch by batch.

    Args:
        classifier: the model, with the class prior of its predictions, on the device to compute on.
        data: what to evaluate on: a folder ``CLASS/*.png``, a file of labelled rows (.npz, .parquet, .csv, .npy with
            labels beside it, .safetensors; its test part where it has one), what ``datasets`` has saved, a data set by
            name or a folder with a test part; by default the test part of the data that the model was trained on.
            Classes are matched by name.
        batch_size: samples at a time.
        progress: called with the number of samples after each batch.

    Returns:
        ``scores`` and ``raw_scores`` (of the logits before correction and calibration), see :meth:`Scorer.compute`;
        ``classes``, ``reliability`` and ``confusion``, see :meth:`Scorer.details`; ``raw_reliability``; ``model``, its
        description without the vocabulary; ``data``, ``prior`` (``"uniform"``, ``"train"``, ``"sampler"`` or weights)
        and ``method``.

    Raises:
        ValueError: data that cannot be read or have no labels, or a class that the model does not know.
    """
    info, device = classifier.info, classifier.shift.device
    scorer, raw = (Scorer(list(info.class_counts), info.thresholds, info.class_names) for _ in range(2))
    encoder = KnownEncoder(info.encoder, device=device) if info.encoder and info.kind == "vectors" else None
    batches, source = labelled_batches(info, data, batch_size, encoder)
    shift = classifier.shift.cpu()
    for x, y in batches:
        logits = classifier.raw_logits(x.to(device)).cpu()
        raw.update(logits, y)
        scorer.update(logits * classifier.scale - shift, y)
        if progress is not None:
            progress(len(y))
    scores = scorer.compute()
    if not scores["samples"]:
        raise ValueError(f"no samples to evaluate on in {source!r}.")
    model = {key: value for key, value in info.as_dict().items() if key != "vocabulary"}
    return {
        "method": get_method(info.method).label,
        "data": source,
        "prior": own_prior(info) if classifier.prior is None else classifier.prior,
        "scores": scores,
        "raw_scores": raw.compute(),
        **scorer.details(),
        "raw_reliability": raw.details()["reliability"],
        "model": model,
    }


def labelled_batches(
    info: ModelInfo, data: str | Path | None, batch_size: int, encoder: KnownEncoder | None = None
) -> tuple[Iterator[tuple[Tensor, Tensor]], str]:
    """Batches of inputs and labels to evaluate on, and what they come from."""
    if data is None:
        if not info.data:
            raise ValueError("the model does not say what data it was trained on. Name some with --data.")
        try:
            return _dataset_batches(_load(info, **info.data), info, batch_size, encoder)
        except (OSError, ValueError) as error:
            what = "the data that the model was trained on cannot be read"
            raise ValueError(f"{what}: {error} Or name others with --data.") from error
    path = Path(data).expanduser()
    root = info.data.get("root") or os.environ.get(ROOT_VARIABLE)
    if not path.exists() and root and (Path(root).expanduser() / path).exists():
        path = Path(root).expanduser() / path
    if not path.exists():
        if info.kind == "text" and not encoder:
            raise ValueError(f"{str(data)!r} does not exist. Texts are evaluated from a file that has them.")
        own = {key: value for key, value in info.data.items() if key not in ("name_or_path", "memory")}
        return _dataset_batches(_load(info, str(data), **own), info, batch_size, encoder)
    inner = next((path / n for n in ("test", "test.parquet", "val", "validation") if (path / n).exists()), path)
    files = list_inputs([inner], info.reads)
    return _file_batches(files, info, batch_size, encoder), str(inner)


def _load(info: ModelInfo, name_or_path: str | Path, **options: Any) -> Dataset:
    """The data set; for a model of vectors as an encoder takes it."""
    return load_dataset(name_or_path, **options, raw=info.kind == "vectors")


def _dataset_batches(
    dataset: Dataset, info: ModelInfo, batch_size: int, encoder: KnownEncoder | None
) -> tuple[Iterator[tuple[Tensor, Tensor]], str]:
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
    index = torch.tensor([class_index(name, info) for name in dataset.class_names])

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        for part in torch.arange(len(dataset.test_y)).split(batch_size):
            yield inputs[part], index[dataset.test_y[part]]

    return batches(), f"test part of {dataset.name}"


def _file_batches(
    files: list[Path], info: ModelInfo, batch_size: int, encoder: KnownEncoder | None
) -> Iterator[tuple[Tensor, Tensor]]:
    for batch in read_inputs(files, info, batch_size=batch_size, encoder=encoder):
        if batch.failures:
            raise ValueError(f"{batch.failures[0][1].rstrip('.')}. An evaluation leaves nothing out.")
        if batch.labels is None:
            raise ValueError(f"{batch.names[0]} has no label. An evaluation needs the class of every sample.")
        yield batch.inputs, torch.tensor([class_index(name, info) for name in batch.labels])


def class_index(name: str, info: ModelInfo) -> int:
    """The label of a class by its name."""
    if name not in info.class_names:
        raise ValueError(
            f"the model has no class {name!r}{did_you_mean(name, info.class_names)} "
            f"It was trained on {info.num_classes} classes, {info.class_names[0]!r} the first."
        )
    return info.class_names.index(name)
