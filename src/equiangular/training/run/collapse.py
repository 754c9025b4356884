"""Collapse of a run: its model rebuilt, its training part gone through once more without augmentation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from equiangular._defaults import usual_defaults
from equiangular._notebook import as_measures, page_in_frame
from equiangular._validate import check_int
from equiangular.data import content_digest
from equiangular.data.split import Split
from equiangular.longtail import SubsetManifest, class_groups
from equiangular.measures import measure_collapse
from equiangular.measures.collapse import ClassMoments, classifier_agreement, collapse_measures
from equiangular.training.config.options import TrainConfig
from equiangular.training.engine.fabric import full_tensor
from equiangular.training.engine.prediction import predict
from equiangular.training.model.files import find_model, load_model
from equiangular.training.model.task import Task
from equiangular.training.run.folder import RunFolder
from equiangular.training.run.trial import load_data, split_of


@dataclass(frozen=True)
class MeasuredRun:
    """Collapse of a run.

    Attributes:
        measures: of the features that the classifier is given, by name, see
            :func:`equiangular.measures.collapse.collapse_measures`.
        layers: name of a layer -> its measures, in the order of the network.
        epoch: epochs of training behind the model, or None if it does not say.
        about: what was measured, for people.
    """

    measures: dict[str, float]
    layers: dict[str, dict[str, float]]
    epoch: int | None
    about: dict[str, str]

    def _repr_html_(self) -> str | None:
        """The page of the measures in a frame, for notebooks."""
        return page_in_frame("measures", as_measures(self.measures, self.layers, **self.about))


def collapse_of(task: Task, split: Split, *, fabric: Any = None) -> dict[str, float]:
    """Collapse of a task on the training part, without augmentation, by name, ``nc4`` among them.

    The task is put into evaluation mode. In a distributed run each process computes the features of a part.
    """
    features, logits = predict(task, split.train_x, prepare=split.standardise, fabric=fabric)
    weight = full_tensor(task.head.class_vectors().detach()).cpu()
    moments = ClassMoments.empty(weight.shape[0], features.shape[1]).update(features, split.train_y)
    measured = collapse_measures(moments, weight=weight)
    measured["nc4"] = classifier_agreement(features, logits.argmax(1), moments.mean, moments.seen)
    return {key: float(value) for key, value in measured.items()}


class TrainingBatches:
    """The training part of a run in order, as the network takes it: batches (inputs, labels), any number of times."""

    def __init__(self, split: Split, batch_size: int = 256, progress: Callable[[int], None] | None = None) -> None:
        self.split = split
        self.batch_size = check_int(batch_size, "batch_size", minimum=1)
        self.progress = progress

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for index in torch.arange(len(self.split.train_y)).split(self.batch_size):
            yield self.split.standardise(self.split.train_x[index]), self.split.train_y[index]
            if self.progress is not None:
                self.progress(len(index))


@usual_defaults()
def measure_run(
    path: str | Path,
    *,
    layers: str | Sequence[str] = (),
    groups: bool = False,
    global_mean: str = "class",
    covariance: bool = True,
    root: str | None = None,
    batch_size: int = 256,
    device: torch.device | str = "cpu",
    progress: Callable[[int], None] | None = None,
    loaded: Callable[[int], None] | None = None,
) -> MeasuredRun:
    """Measure the collapse of a finished run on the samples it was trained on.

    Args:
        path: folder of a run, whose ``model`` is measured, or a model folder within it, such as ``RUN/best``.
        layers: layers of the backbone to measure too, or ``"auto"``, see :func:`equiangular.measures.watch`.
        groups: whether to add the many-, medium- and few-shot classes, by the run's class sizes and thresholds.
        global_mean: ``"class"`` or ``"sample"``.
        covariance: whether to compute NC1 (pinv) and VCI, which need a d x d matrix.
        root: folder of named data sets; by default that of the run, then the environment variable EQUIANGULAR_DATA.
        batch_size: samples at a time.
        device: where the network runs.
        progress: called with the number of samples of each batch; the data are gone through twice.
        loaded: called before the first batch with that number of all of them, both times.

    Raises:
        ValueError: no run or no model there, data that cannot be found, or data that have changed since.
    """
    task, info = load_model(path)
    folder = run_of(path)
    config = folder.read_config()
    split = training_split(folder, config, root=root)
    if loaded is not None:
        loaded(2 * len(split.train_y))
    options: dict[str, Any] = {"global_mean": global_mean, "covariance": covariance}
    if groups:
        options["groups"] = class_groups(split.class_counts, config.thresholds)
    measured = measure_collapse(
        task.to(device),
        TrainingBatches(split, batch_size, progress),
        classifier=task.head,
        layers=layers,
        device=device,
        **options,
    )
    of_layers: dict[str, dict[str, float]] = {}
    for key, value in measured.items():
        name, _, layer = key.partition("@")
        if layer:
            of_layers.setdefault(layer.removeprefix("backbone."), {})[name] = float(value)
    about = {
        "run": f"{folder.path}, {find_model(path).parent.name}/ of epoch {info.epoch}",
        "data": f"training part of {config.data}, imbalance {config.imbalance:g}, {len(split.train_y)} samples, "
        f"{len(split.class_counts)} classes, no augmentation",
        "method": f"{config.method}, backbone {info.backbone}, features of width {task.head.dim}",
        "global mean": global_mean,
    }
    return MeasuredRun({k: float(v) for k, v in measured.items() if "@" not in k}, of_layers, info.epoch, about)


def run_of(path: str | Path) -> RunFolder:
    """The run that a run folder, or a model folder within it, belongs to."""
    given = Path(path).expanduser()
    return RunFolder(given if RunFolder(given).config.is_file() else given.parent)


def training_split(folder: RunFolder, config: TrainConfig, *, root: str | None = None) -> Split:
    """The parts of the data that a run was made of; raise if they are not those that its manifest names."""
    try:
        dataset = load_data(config.with_changes(root=root))
    except (OSError, ValueError) as error:
        raise ValueError(
            f"the data of the run {str(folder.path)!r} cannot be read: {error} If they lie elsewhere now, say where as "
            f"'data:' in {folder.config}."
        ) from error
    split = split_of(config, dataset)
    folder.check_data(dataset, content_digest(dataset))
    if folder.manifest.exists() and (known := SubsetManifest.load(folder.manifest)) != split.manifest:
        raise ValueError(
            f"the data {config.data!r} have changed since the run {str(folder.path)!r}: the hash of its training "
            f"samples was {known.sha256[:12]}, that of the data now is {split.manifest.sha256[:12]}. "
            "Measure with the data that the run was trained on."
        )
    return split


def collapse_curve(folder: RunFolder) -> tuple[list[float], list[dict[str, float]]]:
    """Epochs and measures that a run recorded while training; both empty where it recorded none."""
    rows = folder.read_results()["epochs"] if folder.results.exists() else []
    kept = [row for row in rows if row.get("nc1_quotient") is not None]
    return [row["epoch"] for row in kept], kept
