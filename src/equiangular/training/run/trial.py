"""One trial: data, method, budget and seeds in, trained classifiers and everything measured on them out."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from equiangular._defaults import usual_defaults
from equiangular._validate import NonFiniteError
from equiangular.data import Dataset, load_dataset
from equiangular.data.encoded import EncodedImages
from equiangular.data.registry import absolute_name
from equiangular.data.split import Split, as_float, make_split, stream_batches
from equiangular.encoders import embed
from equiangular.encoders.embedding import Progress as EmbedProgress
from equiangular.longtail.cut import EmptyHoldOutError
from equiangular.measures.collapse import ClassMoments
from equiangular.training.config.budget import sampler_alpha
from equiangular.training.config.options import DataOptions, Hardware, Trial
from equiangular.training.engine.fabric import full_tensor
from equiangular.training.engine.loop import Training
from equiangular.training.engine.memory import PeakMemory
from equiangular.training.methods import METHODS, FittedMethod, Method, TrainingDivergedError, get_method
from equiangular.training.model.info import ModelInfo
from equiangular.training.model.task import Task, build_task, default_backbone
from equiangular.training.run.fitting import Fitting, check_class_vectors
from equiangular.training.run.outcome import Outcome, Outputs, conclude

_BATCH = 1024
# What a model's description takes from the data.
_FROM_DATA = ("input_shape", "class_names", "kind", "vocabulary", "columns", "encoding", "encoder")


def class_means(inputs: Any, labels: Tensor, num_classes: int, prepare: Callable[[Tensor], Tensor]) -> Tensor:
    """Means of the flattened inputs by class, in one pass: (K, p) float64 on the CPU, zeros for an empty class.

    Args:
        inputs: (N, ...) images of bytes or rows of floats: a tensor, or what is indexed like one.
        labels: (N,) int64 in [0, K).
        num_classes: K.
        prepare: makes floats of a batch of inputs.

    Example:
        >>> x, y = torch.tensor([[1.0], [3.0], [5.0]]), torch.tensor([0, 0, 1])
        >>> class_means(x, y, 2, prepare=lambda batch: batch).tolist()
        [[2.0], [5.0]]
    """
    parts = torch.arange(len(labels)).split(_BATCH)
    width = math.prod(inputs.shape[1:])
    moments = ClassMoments.empty(num_classes, width, covariance=False, dtype=torch.float64)
    for part, batch in zip(parts, stream_batches(inputs, iter(parts)), strict=True):
        moments.update(prepare(batch).flatten(1).cpu(), labels[part].cpu())
    return moments.mean


def means_for(method: Method, kind: str, split: Split, names: Tensor | None = None) -> Tensor | None:
    """The class means of a run's training part, for a method whose class vectors follow them; None for others.

    A method that is named has the vectors of the class names in their place, prepared as its inputs are. Texts and
    images are taken as they are, which keeps the weights of their terms; columns of tables are standardised, since each
    has a unit of its own.
    """
    if method.named:
        return None if names is None else split.standardise(names)
    if method.similarity is None or kind not in method.similar_for:
        return None
    prepare = split.standardise if kind == "table" else as_float
    return class_means(split.train_x, split.train_y, len(split.class_counts), prepare)


class Watcher:
    """Looks on while a trial trains. Each of its methods does nothing until a subclass says what."""

    guard: AbstractContextManager[Any] = nullcontext()  # entered while the network trains
    resumes = False  # whether a checkpoint will bring the weights, so that no others need to be loaded

    def start(self, run: TrialRun) -> None:
        """Before the first step: the place to go on from a checkpoint."""

    def after_step(self, training: Training) -> None:
        """After every step."""

    def after_epoch(self, training: Training) -> None:
        """After every epoch, ``training.epoch`` already counted up."""


class TrialRun:
    """A trial in the making: the parts of its data, and its network in training. Arguments as for :func:`run_trial`.

    ``method`` is for one that is none of :data:`equiangular.training.METHODS`; ``pretrained`` says whether to load
    published weights, by default what the trial says.
    """

    def __init__(
        self,
        trial: Trial,
        dataset: Dataset,
        *,
        method: Method | None = None,
        hardware: Hardware | None = None,
        fabric: Any = None,
        pretrained: bool | None = None,
    ) -> None:
        method = method or get_method(trial.method)
        self.trial, self.dataset = trial, dataset
        self.method = replace(method, head_options={**method.head_options, **trial.head})
        hardware = replace(
            hardware or Hardware(accelerator="cpu"), precision=trial.precision, accumulate=trial.accumulate
        )
        self.workers = hardware.workers
        self.split = split_of(trial, dataset)
        self.backbone = backbone_of(trial, dataset, method)
        check_class_vectors(method, dataset.names_features, self.backbone)
        self.class_means = means_for(method, dataset.kind, self.split, dataset.names_features)
        task = self.new_task(pretrained=trial.pretrained if pretrained is None else pretrained)
        if isinstance(self.method, FittedMethod):
            names = dataset.names_features
            self.training: Training = Fitting(
                task, self.method, self.split, names=names, hardware=hardware, fabric=fabric
            )
        else:
            self.training = self._loop(task, hardware, fabric)
        self.fabric = self.training.fabric
        self._copy: Task | None = None

    def _loop(self, task: Task, hardware: Hardware, fabric: Any) -> Training:
        trial = self.trial
        return Training(
            task,
            self.split.train_x,
            self.split.train_y,
            trial.with_changes(**getattr(self.method, "budget_changes", {})),
            seed=trial.seed,
            prepare=self.split.standardise,
            hardware=hardware,
            fabric=fabric,
        )

    def new_task(self, *, pretrained: bool = False) -> Task:
        """The task with its initial weights; where others are to be loaded, they need not be the published ones."""
        return build_task(
            self.method,
            self.backbone,
            self.dataset.input_shape,
            self.dataset.num_classes,
            width=self.trial.width,
            seed=self.trial.seed,
            pretrained=pretrained,
            class_means=self.class_means,
        )

    def snapshot(self) -> Task:
        """The task as it is now, in evaluation mode; of several processes a copy on the CPU, without wrapper or shards.

        It changes with the training, or with the next call.
        """
        if self.fabric.world_size == 1 or isinstance(self.training, Fitting):
            return self.training.shown.eval()
        state = {name: full_tensor(value) for name, value in self.training.shown.state_dict().items()}
        if self._copy is None:  # made once: a frame of many classes takes long
            self._copy = self.new_task().eval()
        self._copy.load_state_dict(state)
        return self._copy

    def describe(self) -> ModelInfo:
        """What the model is at this epoch."""
        trial, split, data = self.trial, self.split, self.dataset
        return ModelInfo(
            method=self.method.name,
            backbone=self.backbone,
            class_counts=tuple(split.class_counts.tolist()),
            mean=tuple(split.mean.flatten().tolist()),
            std=tuple(split.std.flatten().tolist()),
            balance=sampler_alpha(trial.sampler),
            **{name: getattr(data, name) for name in _FROM_DATA},
            **{name: getattr(trial, name) for name in ("width", "seed", "thresholds")},
            size=data.reading.size if data.kind == "image" else trial.size,
            spans=dict(data.reading.spans),
            data={
                "name_or_path": absolute_name(trial.data, trial.root),
                **load_options(trial),
                "size": data.reading.size if data.kind == "image" else trial.size,
                # Streamed images have three channels always, and are known by the bytes of their files.
                **({"memory": "stream"} if isinstance(data.train_x, EncodedImages) else {}),
            },
            epoch=None if isinstance(self.training, Fitting) else self.training.epoch,
        )

    def conclude(
        self, task: Task, info: ModelInfo, methods: Sequence[Method] = (), *, collapse: bool = True
    ) -> list[Outcome]:
        """Second stage, correction and scores of the test part, for each of the methods that share the training."""
        outputs = Outputs.of(task, self.split, workers=self.workers, fabric=self.fabric)
        own = [replace(m, head_options=self.method.head_options) for m in methods] or [self.method]
        return [conclude(task, m, self.split, replace(info, method=m.name), outputs, collapse=collapse) for m in own]


def load_data(options: DataOptions, *, device: str = "auto", progress: EmbedProgress | None = None) -> Dataset:
    """The data that a trial, or a comparison, names; with an encoder its features, computed on ``device`` or cached."""
    given = load_options(options)
    if options.encoder is not None:
        data = load_dataset(options.data, **{**given, "size": None}, raw=True)
        return embed(data, options.encoder, device=device, progress=progress)
    return load_dataset(options.data, **given, memory=options.memory)


def load_options(options: DataOptions) -> dict[str, Any]:
    """What :func:`equiangular.data.load_dataset` is told beside the name; what says nothing is left out."""
    root = None if options.root is None else os.path.abspath(Path(options.root).expanduser())
    told = {name: getattr(options, name) for name in ("label", "drop") if getattr(options, name)}
    told |= {} if options.skip_broken is None else {"skip_broken": options.skip_broken}
    return {"root": root, "split_seed": options.split_seed, "size": options.size, **told}


def backbone_of(trial: Trial, dataset: Dataset, method: Method | None = None) -> str:
    """The name of a trial's backbone, ``"auto"`` resolved for the data; none for a method that is fitted or named."""
    method = method or get_method(trial.method)
    if trial.backbone == "auto" and (isinstance(method, FittedMethod) or method.named):
        return "identity"
    return default_backbone(dataset.kind, dataset.input_shape) if trial.backbone == "auto" else trial.backbone


def split_of(trial: Trial, dataset: Dataset) -> Split:
    """The parts of the data that a trial trains on, holds out and tests on.

    A classifier that is computed in closed form needs no held-out part: where no class has a sample to spare it does
    without.
    """
    options: dict[str, Any] = {
        name: getattr(trial, name) for name in ("imbalance", "profile", "protocol", "subset_seed")
    }
    try:
        return make_split(dataset, holdout=trial.validation, **options)
    except EmptyHoldOutError:
        method = METHODS.get(trial.method)
        if isinstance(method, FittedMethod) and method.kind is not None:
            return make_split(dataset, holdout=0, **options)
        raise


@usual_defaults()
def run_trial(
    trial: Trial,
    dataset: Dataset,
    methods: Sequence[Method] = (),
    *,
    hardware: Hardware | None = None,
    fabric: Any = None,
    watcher: Watcher | None = None,
    collapse: bool = True,
) -> tuple[TrialRun, list[Outcome]]:
    """Train once and conclude: the one way from data to a classifier, whatever command asks for it.

    Returns the trial with its parts, and an outcome for each method.

    Args:
        trial: what to do.
        dataset: the data.
        methods: methods that share this training, see :attr:`Method.training_name`; by default the trial's.
        hardware: devices; the default is one CPU process. Precision and accumulation are the trial's.
        fabric: a launched Fabric to use instead.
        watcher: looks on, keeps checkpoints, draws curves.
        collapse: whether the outcomes have measures of collapse.

    Raises:
        ValueError: an unknown name, a cut that the data do not have, or a head that does not fit.
        TrainingDivergedError: the loss became NaN or infinite.

    Example:
        >>> from equiangular.data import load_dataset
        >>> _, (outcome,) = run_trial(Trial(data="iris", method="linear-ce", epochs=5), load_dataset("iris"))
        >>> outcome.task.head.kind, outcome.scores["accuracy"] > 50
        ('learned', True)
    """
    watcher = watcher or Watcher()
    pretrained = trial.pretrained and not watcher.resumes
    own = methods[0] if methods else None
    run = TrialRun(trial, dataset, method=own, hardware=hardware, fabric=fabric, pretrained=pretrained)
    watcher.start(run)
    try:
        with watcher.guard, PeakMemory() as peak:
            run.training.run(on_step=watcher.after_step, on_epoch=watcher.after_epoch)
        if not isinstance(run.training, Fitting):  # which knows the fit from what its features take
            run.training.peak_memory = peak.bytes
        return run, run.conclude(run.snapshot(), run.describe(), methods, collapse=collapse)
    except NonFiniteError as error:  # the loss was finite to the end, what the network makes of the data is not
        raise TrainingDivergedError(f"{run.method.name} diverged: {error}") from error
