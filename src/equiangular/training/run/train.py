"""A trial in a folder, with checkpoints: from the beginning or from where it was interrupted."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from equiangular._defaults import usual_defaults
from equiangular._files import prepare_folder, write_json
from equiangular._lock import FolderLock
from equiangular._notebook import Shown
from equiangular._provenance import provenance
from equiangular.data import Dataset, content_digest
from equiangular.data.registry import absolute_name
from equiangular.data.split import check_unchanged, described_digest
from equiangular.encoders.embedding import Progress as EmbedProgress
from equiangular.training.config.options import TrainConfig
from equiangular.training.engine.fabric import make_fabric
from equiangular.training.engine.loop import Training
from equiangular.training.engine.prediction import predict_parts
from equiangular.training.engine.stopping import Stopped, StopSignals
from equiangular.training.model.files import load_model, save_model
from equiangular.training.model.info import ModelInfo
from equiangular.training.model.task import Task
from equiangular.training.run.checkpoint import forget_checkpoints, has_checkpoint, load_checkpoint, save_checkpoint
from equiangular.training.run.collapse import collapse_of
from equiangular.training.run.fitting import Fitting
from equiangular.training.run.folder import DESCRIBED, RunFolder, check_names, make_loggers
from equiangular.training.run.outcome import Outcome, weights_sha256
from equiangular.training.run.scoring import Scorer
from equiangular.training.run.trial import TrialRun, Watcher, load_data, load_options, run_trial

_CHOOSES = "validation_balanced_accuracy"  # of an epoch: which is best
# Called after every step with the training and None, and after every epoch with that epoch's row of metrics.csv.
Progress = Callable[[Training, "dict[str, Any] | None"], None]


@usual_defaults()
def train(
    config: TrainConfig,
    output: str | Path,
    *,
    progress: Progress | None = None,
    embedding: EmbedProgress | None = None,
    loaded: Callable[[Dataset], None] | None = None,
) -> dict[str, Any]:
    """Train one method on one data set and measure it, or go on with a run that was interrupted.

    Writes into the folder: ``config.yaml``, ``provenance.json``, ``manifest.json`` (which samples were trained on),
    ``metrics.csv`` (a line for each epoch), ``checkpoint/``, ``model/`` (after the last epoch), ``best/`` (after the
    epoch that was best on the validation part) and, last, ``results.json``. A folder with a run of the same
    configuration on the same data is gone on with; a finished run is only read. Returns what ``results.json`` holds:
    ``test`` has the scores of the last epoch, ``best`` those of the epoch that was best on the validation part. A
    notebook shows the page of the run.

    Args:
        config: what to do.
        output: the folder of the run.
        progress: called after every step and epoch.
        embedding: called while an encoder computes features, with the inputs done and their number.
        loaded: called with the data set when it is read, before the first step.

    Raises:
        ValueError: bad configuration, data or folder; a folder that has another run, or a run on other data; a
            diverging loss; a full disk.
        Stopped: SIGTERM or Ctrl-C; a checkpoint was left.
    """
    config, folder = _placed(config), RunFolder(output)
    folder.check_config(config)
    if not folder.results.exists():  # what is finished may lie on a disk that cannot be written
        prepare_folder(output)
    fabric = make_fabric(config)
    with _alone(folder, fabric) as lock:
        results = _train(config, folder, fabric, lock, progress=progress, embedding=embedding, loaded=loaded)
    return Shown("training", results)


@contextmanager
def _alone(folder: RunFolder, fabric: Any) -> Iterator[FolderLock | None]:
    """The lock on a run's folder, which the first process holds; None on the others, and where the run is finished.

    All processes raise where the folder is taken: none waits for one that is gone.
    """
    lock = failure = None
    with ExitStack() as stack:
        if fabric.is_global_zero and not folder.results.exists():
            try:
                lock = stack.enter_context(FolderLock(folder.path))
            except ValueError as error:
                failure = str(error)
        elif fabric.is_global_zero:  # one that was killed after its last file
            FolderLock(folder.path).forget_gone()
        if failure := fabric.broadcast(failure):
            raise ValueError(failure)
        yield lock


def _train(
    config: TrainConfig,
    folder: RunFolder,
    fabric: Any,
    lock: FolderLock | None,
    *,
    progress: Progress | None,
    embedding: EmbedProgress | None,
    loaded: Callable[[Dataset], None] | None,
) -> dict[str, Any]:
    folder.check_config(config)  # again: another run may have begun before the lock was had
    finished = folder.results.exists()
    try:
        with fabric.rank_zero_first():
            dataset = load_data(config, device=config.accelerator, progress=embedding)
    except ValueError:
        if finished:  # the data are gone; what was measured on them is not
            return folder.read_results()
        raise
    content = content_digest(dataset)
    folder.check_data(dataset, content)
    if loaded is not None and not finished and fabric.is_global_zero:
        loaded(dataset)
    if finished:
        return folder.read_results()
    watcher = _InFolder(config, folder, content, progress, lock)
    try:
        run, (final,) = run_trial(config, dataset, hardware=config, fabric=fabric, watcher=watcher, collapse=False)
        return watcher.conclude(run, final)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise ValueError(
            f"the disk is full: {error.filename or folder.path} could not be written. What was written before is "
            f"unharmed; make room and go on with: equiangular resume {folder.path}"
        ) from error


def goes_on(config: TrainConfig, folder: RunFolder) -> bool:
    """Whether a folder has an unfinished run of this configuration."""
    if folder.results.exists() or not folder.config.exists():
        return False
    try:
        folder.check_config(_placed(config))
    except ValueError:  # another run, or of another version
        return False
    return True


def _placed(config: TrainConfig) -> TrainConfig:
    """The configuration with names of today, and with data that are found from any folder."""
    config = check_names(config)
    return replace(config, data=absolute_name(config.data, config.root), root=load_options(config)["root"])


def resume(output: str | Path, *, progress: Progress | None = None, **changes: Any) -> dict[str, Any]:
    """Go on with the run in a folder.

    Args:
        output: the folder.
        progress: as for :func:`train`.
        changes: fields of the configuration that do not change the result, such as ``devices``.

    Raises:
        ValueError: no run in the folder, data that have changed, or a change that would change the result; and as for
            :func:`train`.
    """
    return train(replace(RunFolder(output).read_config(), **changes), output, progress=progress)


def _reading(data: Dataset) -> dict[str, Any]:
    """What was met while the data were read, where there was something."""
    said = {"notes": list(data.notes), "left_out": list(data.reading.left_out), "apart": dict(data.reading.apart)}
    return {key: value for key, value in said.items() if value}


class _InFolder(Watcher):
    """What a run adds to a trial: checkpoints, a line for each epoch, the best model so far, loggers, stopping."""

    def __init__(
        self,
        config: TrainConfig,
        folder: RunFolder,
        content: dict[str, str],
        progress: Progress | None,
        lock: FolderLock | None,
    ) -> None:
        self.config, self.folder, self.content, self.progress, self.lock = config, folder, content, progress, lock
        self.resumes = has_checkpoint(folder.checkpoint)
        self.rows: list[dict[str, Any]] = []
        self.saved = time.monotonic()
        self.loggers: list[Any] = []
        self.guard: StopSignals = StopSignals()

    def start(self, run: TrialRun) -> None:
        """From the last checkpoint, if there is one."""
        self.run, self.fabric = run, run.fabric
        if self.resumes:
            self.rows = load_checkpoint(self.folder.checkpoint, run.training, config=self.identity())
            self.check_best()
        if self.fabric.is_global_zero:
            self.check_folder()
            self.folder.start(self.config, run.split.manifest, self.origin())
            self.loggers = make_loggers(self.config.loggers, self.folder.path)

    def check_best(self) -> None:
        """Raise if the best model so far is lost: it is needed in the end, and no checkpoint has it."""
        if not (scores := [row[_CHOOSES] for row in self.rows if _CHOOSES in row]):
            return
        best = self.rows[scores.index(max(scores))]["epoch"]
        try:
            found = load_model(self.folder.best_so_far)[1].epoch
            if found is None or found < best:
                raise ValueError(f"{str(self.folder.best_so_far)!r} has that of epoch {found}.")
        except ValueError as error:
            raise ValueError(
                f"the best model so far, of epoch {best}, is lost: {error} No later checkpoint has it. Bring it back, "
                f"or delete {str(self.folder.checkpoint.parent)!r} and train from the beginning, which ends in the "
                "same results."
            ) from error

    def check_folder(self) -> None:
        """Raise if another process has taken the folder over."""
        if self.lock is not None:
            self.lock.check()

    def identity(self) -> dict[str, Any]:
        """What has to be the same for a checkpoint to fit."""
        content = {f"data, {part}": digest[:16] for part, digest in self.content.items()}
        return {**self.config.decisive(), "manifest": self.run.split.manifest.sha256, **content}

    def origin(self) -> dict[str, Any]:
        """Where the result comes from."""
        processes = {"processes": self.fabric.world_size, "device": str(self.fabric.device)}
        seeds = {"seed": self.config.seed, "subset": self.config.subset_seed, "split": self.config.split_seed}
        described = {**self.content, DESCRIBED: described_digest(self.run.dataset)}
        data = {"manifest_sha256": self.run.split.manifest.sha256, "content": described}
        return {**provenance(), **processes, "seeds": seeds, **data}

    def after_step(self, training: Training) -> None:
        """Show progress; leave a checkpoint when told to stop or when the time has come."""
        if self.progress is not None:
            self.progress(training, None)
        minutes = self.config.checkpoint_minutes
        self.obey(due=bool(minutes) and time.monotonic() - self.saved > 60 * minutes)

    def after_epoch(self, training: Training) -> None:
        """Validate, write the epoch's line, keep the best, leave a checkpoint."""
        split, config = self.run.split, self.config
        row = {"epoch": training.epoch, "loss": training.losses[-1], "learning_rate": training.last_rate}
        if len(split.holdout_y):
            shared = {"prepare": split.standardise, "workers": config.workers, "fabric": self.fabric}
            info = self.run.describe()
            scorer = Scorer(list(info.class_counts), confusion=False).to(self.fabric.device)
            for rows, logits in predict_parts(training.shown, split.holdout_x, **shared):
                scorer.update(logits, split.holdout_y[rows].to(logits.device))
            scores = scorer.compute()
            row |= {f"validation_{k}": scores[k] for k in ("accuracy", "balanced_accuracy")}
            if all(row[_CHOOSES] > r[_CHOOSES] for r in self.rows):
                self.write_model(self.folder.best_so_far, self.run.snapshot(), info)
        every = config.collapse_epochs
        if every and (training.epoch % every == 0 or training.epoch == config.epochs):
            row |= collapse_of(training.shown, split, fabric=self.fabric)
        row["seconds"] = training.seconds
        self.rows.append(row)
        if self.fabric.is_global_zero:
            self.check_folder()
            self.folder.write_metrics(self.rows)
            for logger in self.loggers:
                logger.log_metrics({k: v for k, v in row.items() if k != "epoch"}, step=training.epoch)
        every = config.checkpoint_epochs
        if training.epoch == config.epochs or (every and training.epoch % every == 0):
            self.save()
        if self.progress is not None:
            self.progress(training, row)
        self.obey(due=False)

    def obey(self, *, due: bool) -> None:
        """Leave a checkpoint if it is due; leave one and raise, if a signal to stop has come."""
        number, due = self.guard.agreed(self.fabric, due)
        if number or due:
            self.save()
        if number:
            training = self.run.training
            where = f"epoch {training.epoch + 1}, step {training.step}"
            raise Stopped(number, f"stopped in {where}. Go on with: equiangular resume {self.folder.path}")

    def save(self) -> None:
        """Leave a checkpoint; of a fit, which is over as soon as it is begun, there is none."""
        if isinstance(self.run.training, Fitting):
            return
        self.check_folder()
        save_checkpoint(self.folder.checkpoint, self.run.training, config=self.identity(), extra=self.rows)
        self.saved = time.monotonic()

    def write_model(self, folder: Path, task: Task, info: ModelInfo) -> None:
        """Save a model: the first process writes, the others wait for it."""
        if self.fabric.is_global_zero:
            self.check_folder()
            inputs = {part: self.content[f"{part} inputs"] for part in ("training", "test")}
            inputs["test labels"] = self.content["test labels"]
            save_model(folder, task, replace(info, inputs=inputs))
        self.fabric.barrier()

    def conclude(self, run: TrialRun, final: Outcome) -> dict[str, Any]:
        """Models and scores, for the last epoch and the best."""
        try:
            check_unchanged(run.dataset, self.content)
        except ValueError:
            forget_checkpoints(self.folder.checkpoint)
            raise
        outcomes = {"test": final}
        if len(run.split.holdout_y):
            (outcomes["best"],) = run.conclude(*load_model(self.folder.best_so_far), collapse=False)
        for name, outcome in outcomes.items():
            self.write_model(self.folder.model if name == "test" else self.folder.best, outcome.task, outcome.info)
        scores = {
            name: {"epoch": o.info.epoch, **o.scores, "correction": o.info.correction, "note": o.note}
            for name, o in outcomes.items()
        }
        data = run.dataset
        results = {
            "format": 1,
            "method": {"name": run.method.name, "label": run.method.label, "source": run.method.source},
            "config": self.config.as_dict(),
            "content": self.content,
            "fingerprint": self.config.fingerprint(self.content, run.method.training_name),
            "data": {"name": data.name, "source": data.source, "classes": list(data.class_names), **_reading(data)},
            "backbone": run.backbone,
            "class_counts": run.split.class_counts.tolist(),
            "parameters": sum(p.numel() for p in final.task.parameters() if p.requires_grad),
            "weights_sha256": weights_sha256(final.task),
            "head_kind": final.task.head.kind,
            "head_parameters": final.task.head.head_parameters(),
            "test": scores["test"],
            "best": scores.get("best"),
            "epochs": self.rows,
            "details": final.details,
        }
        if self.fabric.is_global_zero:
            self.check_folder()
            write_json(self.folder.results, {**results, "provenance": self.folder.read_provenance()}, durable=True)
        self.fabric.barrier()
        for logger in self.loggers:
            logger.finalize("success")
        return self.folder.read_results()
