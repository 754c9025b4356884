"""One trial: data, method, budget and seeds in, trained classifiers and everything measured on them out."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

from equiangular._validate import NonFiniteError
from equiangular.data import Dataset, load_dataset
from equiangular.data.split import Split, make_split
from equiangular.training.config.budget import sampler_alpha
from equiangular.training.config.hardware import Hardware
from equiangular.training.config.options import DataOptions, Trial
from equiangular.training.engine.loop import Training
from equiangular.training.engine.sharding import full_tensor
from equiangular.training.methods import Method, TrainingDivergedError, get_method
from equiangular.training.model.build import build_task, default_backbone
from equiangular.training.model.info import ModelInfo
from equiangular.training.model.task import Task
from equiangular.training.run.class_means import means_for
from equiangular.training.run.outcome import Outcome, Outputs, conclude


class Watcher:
    """Looks on while a trial trains. Each of its methods does nothing until a subclass says what.

    Attributes:
        guard: entered while the network trains.
        resumes: whether a checkpoint will bring the weights, so that no others need to be loaded.
    """

    guard: AbstractContextManager[Any] = nullcontext()
    resumes = False

    def start(self, run: TrialRun) -> None:
        """Before the first step: the place to go on from a checkpoint."""

    def after_step(self, training: Training) -> None:
        """After every step."""

    def after_epoch(self, training: Training) -> None:
        """After every epoch, ``training.epoch`` already counted up."""


class TrialRun:
    """A trial in the making: the parts of its data, and its network in training.

    Args:
        trial: what to do.
        dataset: the data, of which the trial's cut is taken.
        method: the method, where it is none of :data:`equiangular.training.METHODS`.
        hardware: devices; the default is one CPU process. Precision and accumulation are the trial's.
        fabric: a launched Fabric to use instead.
        pretrained: whether to load published weights; by default what the trial says.

    Raises:
        ValueError: an unknown name, a cut that the data do not have, or a head that does not fit.
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
        self.backbone = trial.backbone
        if self.backbone == "auto":
            self.backbone = default_backbone(dataset.kind, dataset.input_shape)
        self.class_means = means_for(method, dataset.kind, self.split)
        self.training = Training(
            self.new_task(pretrained=trial.pretrained if pretrained is None else pretrained),
            self.split.train_x,
            self.split.train_y,
            trial.with_changes(**getattr(method, "budget_changes", {})),
            seed=trial.seed,
            prepare=self.split.standardise,
            hardware=hardware,
            fabric=fabric,
        )
        self.fabric = self.training.fabric
        self._copy: Task | None = None

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
        if self.fabric.world_size == 1:
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
            input_shape=data.input_shape,
            class_names=data.class_names,
            class_counts=split.class_counts,
            mean=split.mean.flatten(),
            std=split.std.flatten(),
            kind=data.kind,
            width=trial.width,
            size=trial.size,
            seed=trial.seed,
            balance=sampler_alpha(trial.sampler),
            vocabulary=data.vocabulary,
            columns=data.columns,
            data={
                "name_or_path": trial.data,
                "root": trial.root,
                "split_seed": trial.split_seed,
                "size": trial.size,
            },
            thresholds=trial.thresholds,
            epoch=self.training.epoch,
        )

    def conclude(self, task: Task, info: ModelInfo, methods: Sequence[Method] = ()) -> list[Outcome]:
        """Second stage, correction and scores of the test part, for each of the methods that share the training."""
        outputs = Outputs.of(task, self.split, workers=self.workers, fabric=self.fabric)
        own = [replace(m, head_options=self.method.head_options) for m in methods] or [self.method]
        return [conclude(task, m, self.split, replace(info, method=m.name), outputs) for m in own]


def load_data(options: DataOptions) -> Dataset:
    """The data that a trial, or a comparison, names."""
    return load_dataset(
        options.data, root=options.root, split_seed=options.split_seed, size=options.size, memory=options.memory
    )


def split_of(trial: Trial, dataset: Dataset) -> Split:
    """The parts of the data that a trial trains on, holds out and tests on."""
    return make_split(
        dataset,
        imbalance=trial.imbalance,
        profile=trial.profile,
        protocol=trial.protocol,
        subset_seed=trial.subset_seed,
        holdout=trial.validation,
    )


def run_trial(
    trial: Trial,
    dataset: Dataset,
    methods: Sequence[Method] = (),
    *,
    hardware: Hardware | None = None,
    fabric: Any = None,
    watcher: Watcher | None = None,
) -> tuple[TrialRun, list[Outcome]]:
    """Train once and conclude: the one way from data to a classifier, whatever command asks for it.

    Args:
        trial: what to do.
        dataset: the data.
        methods: methods that share this training, see :attr:`Method.training_name`; by default the trial's.
        hardware: devices; the default is one CPU process.
        fabric: a launched Fabric to use instead.
        watcher: looks on, keeps checkpoints, draws curves.

    Returns:
        The trial with its parts, and an outcome for each method.

    Raises:
        ValueError: an unknown name, a cut that the data do not have, or a head that does not fit.
        TrainingDivergedError: the loss became NaN or infinite.

    Example:
        >>> from equiangular.data import load_dataset
        >>> _, (outcome,) = run_trial(Trial(data="iris", method="linear-ce", epochs=5), load_dataset("iris"))
        >>> outcome.record.kind, outcome.scores["accuracy"] > 50
        ('learned', True)
    """
    watcher = watcher or Watcher()
    pretrained = trial.pretrained and not watcher.resumes
    own = methods[0] if methods else None
    run = TrialRun(trial, dataset, method=own, hardware=hardware, fabric=fabric, pretrained=pretrained)
    watcher.start(run)
    with watcher.guard:
        run.training.run(on_step=watcher.after_step, on_epoch=watcher.after_epoch)
    try:
        return run, run.conclude(run.snapshot(), run.describe(), methods)
    except NonFiniteError as error:  # after the very last step
        raise TrainingDivergedError(f"the network diverged in its last epoch: {error}") from error
