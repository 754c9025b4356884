"""The steps of a run: data, training with checkpoints, validation, scores of the test part, models."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from equiangular._files import read_json, write_json
from equiangular._provenance import provenance
from equiangular.data import Dataset, load_dataset
from equiangular.training.build import build_task, default_backbone
from equiangular.training.checkpoint import load_checkpoint, save_checkpoint
from equiangular.training.class_means import means_for
from equiangular.training.collapse import collapse_of
from equiangular.training.config import sampler_alpha
from equiangular.training.hardware import make_fabric
from equiangular.training.loggers import make_loggers
from equiangular.training.loop import Training
from equiangular.training.methods import Method, get_method
from equiangular.training.model_files import load_model, save_model
from equiangular.training.model_info import ModelInfo
from equiangular.training.outcome import conclude, score_together
from equiangular.training.prediction import predict
from equiangular.training.run_folder import RunFolder
from equiangular.training.sharding import full_tensor
from equiangular.training.split import Split, make_split
from equiangular.training.stopping import Stopped, StopSignals
from equiangular.training.task import Task
from equiangular.training.train_config import TrainConfig

# Called after every step with the training and None, and after every epoch with that epoch's row of metrics.csv.
Progress = Callable[[Training, "dict[str, Any] | None"], None]


class Runner:
    """What the steps of :func:`equiangular.training.train` share.

    Args:
        config: what to do.
        folder: where to write.
        progress: called after every step and epoch.
    """

    def __init__(self, config: TrainConfig, folder: RunFolder, progress: Progress | None) -> None:
        self.config, self.folder, self.progress = config, folder, progress
        method = get_method(config.method)
        self.method: Method = replace(method, head_options={**method.head_options, **config.head})
        self.fabric = make_fabric(config)
        with self.fabric.rank_zero_first():
            self.dataset: Dataset = load_dataset(
                config.data,
                root=config.root,
                split_seed=config.split_seed,
                size=config.size,
                memory=config.memory,
            )
        self.split: Split = make_split(
            self.dataset,
            imbalance=config.imbalance,
            profile=config.profile,
            protocol=config.protocol,
            subset_seed=config.subset_seed,
            holdout=config.validation,
        )
        self.backbone = config.backbone
        if self.backbone == "auto":
            self.backbone = default_backbone(self.dataset.kind, self.dataset.input_shape)
        self.class_means = means_for(method, self.dataset.kind, self.split)
        self.training = Training(
            self.new_task(pretrained=config.pretrained and not folder.checkpoint.exists()),
            self.split.train_x,
            self.split.train_y,
            config.with_changes(**getattr(method, "budget_changes", {})),
            seed=config.seed,
            prepare=self.split.standardise,
            hardware=config,
            fabric=self.fabric,
        )
        self.rows: list[dict[str, Any]] = []
        self.saved = time.monotonic()
        self.loggers: list[Any] = []
        self.copy: Task | None = None

    def new_task(self, *, pretrained: bool = False) -> Task:
        """The task with its initial weights; where others are to be loaded, they need not be the published ones."""
        shape, classes, options = self.dataset.input_shape, self.dataset.num_classes, self.config
        return build_task(
            self.method,
            self.backbone,
            shape,
            classes,
            width=options.width,
            seed=options.seed,
            pretrained=pretrained,
            class_means=self.class_means,
        )

    def finish(self) -> dict[str, Any]:
        """From the last checkpoint, if there is one, to the results."""
        if self.folder.checkpoint.exists():
            self.rows = load_checkpoint(self.folder.checkpoint, self.training, config=self.identity())
        if self.fabric.is_global_zero:
            self.folder.start(self.config, self.split.manifest, self.origin())
            self.loggers = make_loggers(self.config.loggers, self.folder.path)
        with StopSignals() as self.stop:
            self.training.run(on_step=self.after_step, on_epoch=self.after_epoch)
        results = self.conclude()
        for logger in self.loggers:
            logger.finalize("success")
        return results

    def identity(self) -> dict[str, Any]:
        """What has to be the same for a checkpoint to fit."""
        return {**self.config.decisive(), "manifest": self.split.manifest.sha256}

    def origin(self) -> dict[str, Any]:
        """Where the result comes from."""
        processes = {"processes": self.fabric.world_size, "device": str(self.fabric.device)}
        seeds = {"seed": self.config.seed, "subset": self.config.subset_seed, "split": self.config.split_seed}
        return {**provenance(), **processes, "seeds": seeds, "manifest_sha256": self.split.manifest.sha256}

    def after_step(self, training: Training) -> None:
        """Show progress; leave a checkpoint when told to stop or when the time has come."""
        if self.progress is not None:
            self.progress(training, None)
        minutes = self.config.checkpoint_minutes
        self.obey(due=bool(minutes) and time.monotonic() - self.saved > 60 * minutes)

    def after_epoch(self, training: Training) -> None:
        """Validate, write the epoch's line, keep the best, leave a checkpoint."""
        row = {"epoch": training.epoch, "loss": training.losses[-1], "learning_rate": training.last_rate}
        if len(self.split.holdout_y):
            shared = {"prepare": self.split.standardise, "workers": self.config.workers, "fabric": self.fabric}
            _, logits = predict(training.shown, self.split.holdout_x, **shared)
            info = self.describe(training.epoch)
            scores = score_together(logits, self.split.holdout_y, info, fabric=self.fabric).compute()
            row |= {f"validation_{k}": scores[k] for k in ("accuracy", "balanced_accuracy")}
            if all(row["validation_balanced_accuracy"] > r["validation_balanced_accuracy"] for r in self.rows):
                self.write_model(self.folder.best_so_far, self.snapshot(), info)
        every = self.config.collapse_epochs
        if every and (training.epoch % every == 0 or training.epoch == self.config.epochs):
            row |= collapse_of(training.shown, self.split, fabric=self.fabric)
        row["seconds"] = training.seconds
        self.rows.append(row)
        if self.fabric.is_global_zero:
            self.folder.write_metrics(self.rows)
            for logger in self.loggers:
                logger.log_metrics({k: v for k, v in row.items() if k != "epoch"}, step=training.epoch)
        every = self.config.checkpoint_epochs
        if training.epoch == self.config.epochs or (every and training.epoch % every == 0):
            self.save()
        if self.progress is not None:
            self.progress(training, row)
        self.obey(due=False)

    def obey(self, *, due: bool) -> None:
        """Leave a checkpoint if it is due; leave one and raise, if a signal to stop has come."""
        number, due = self.stop.agreed(self.fabric, due)
        if number or due:
            self.save()
        if number:
            where = f"epoch {self.training.epoch + 1}, step {self.training.step}"
            raise Stopped(number, f"stopped in {where}. Go on with: equiangular resume {self.folder.path}")

    def save(self) -> None:
        """Leave a checkpoint."""
        save_checkpoint(self.folder.checkpoint, self.training, config=self.identity(), extra=self.rows)
        self.saved = time.monotonic()

    def snapshot(self) -> Task:
        """The task as it is now, on the CPU, without wrapper or shards, in evaluation mode; until the next call."""
        state = {name: full_tensor(value) for name, value in self.training.shown.state_dict().items()}
        if self.copy is None:  # made once: a frame of many classes takes long
            self.copy = self.new_task().eval()
        self.copy.load_state_dict(state)
        return self.copy

    def describe(self, epoch: int) -> ModelInfo:
        """What the model is after so many epochs."""
        config, split = self.config, self.split
        return ModelInfo(
            method=config.method,
            backbone=self.backbone,
            input_shape=self.dataset.input_shape,
            class_names=self.dataset.class_names,
            class_counts=split.class_counts,
            mean=split.mean.flatten(),
            std=split.std.flatten(),
            kind=self.dataset.kind,
            width=config.width,
            size=config.size,
            seed=config.seed,
            balance=sampler_alpha(config.sampler),
            vocabulary=self.dataset.vocabulary,
            columns=self.dataset.columns,
            data={
                "name_or_path": config.data,
                "root": config.root,
                "split_seed": config.split_seed,
                "size": config.size,
            },
            thresholds=config.thresholds,
            epoch=epoch,
        )

    def write_model(self, folder: Path, task: Task, info: ModelInfo) -> None:
        """Save a model: the first process writes, the others wait for it."""
        if self.fabric.is_global_zero:
            save_model(folder, task, info)
        self.fabric.barrier()

    def conclude(self) -> dict[str, Any]:
        """Second stage, correction and scores of the test part, for the last epoch and the best."""
        models = [("test", self.folder.model, self.snapshot(), self.describe(self.training.epoch))]
        if len(self.split.holdout_y):
            models.append(("best", self.folder.best, *load_model(self.folder.best_so_far)))
        outcomes = {}
        for name, folder, task, info in models:
            outcomes[name] = conclude(
                task, self.method, self.split, info, workers=self.config.workers, fabric=self.fabric
            )
            self.write_model(folder, outcomes[name].task, outcomes[name].info)
        scores = {
            name: {"epoch": o.info.epoch, **o.scores, "correction": o.info.correction} for name, o in outcomes.items()
        }
        final = outcomes["test"]
        data = self.dataset
        results = {
            "format": 1,
            "method": {"name": self.method.name, "label": self.method.label, "source": self.method.source},
            "config": self.config.as_dict(),
            "data": {"name": data.name, "source": data.source, "classes": list(data.class_names)},
            "backbone": self.backbone,
            "class_counts": self.split.class_counts.tolist(),
            "parameters": sum(p.numel() for p in final.task.parameters() if p.requires_grad),
            "head_parameters": final.task.head.head_parameters(),
            "test": scores["test"],
            "best": scores.get("best"),
            "epochs": self.rows,
            "details": final.details,
        }
        if self.fabric.is_global_zero:
            write_json(self.folder.results, {**results, "provenance": read_json(self.folder.provenance)})
        self.fabric.barrier()
        return self.folder.read_results()
