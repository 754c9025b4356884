"""The files of a run, each written whole or not at all; its loggers by name, and every name in its configuration."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from equiangular._checks import check_choice
from equiangular._extras import require
from equiangular._files import json_checksum, json_plain, read_json, write_json, write_text
from equiangular.data import Dataset
from equiangular.data.registry import absolute_name
from equiangular.data.split import described_digest
from equiangular.longtail import SubsetManifest
from equiangular.training.augment import Augmentation, Mixing
from equiangular.training.config.files import make_config, read_yaml, write_yaml
from equiangular.training.config.options import TrainConfig, Trial
from equiangular.training.methods import RENAMED, get_method
from equiangular.training.run.checkpoint import check_same


class RunFolder:
    """A run's folder ``path``, and its files as attributes.

    Example:
        >>> RunFolder("runs/mine").results.name
        'results.json'
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).expanduser()
        self.config = self.path / "config.yaml"
        self.provenance = self.path / "provenance.json"
        self.manifest = self.path / "manifest.json"
        self.metrics = self.path / "metrics.csv"
        self.checkpoint = self.path / "checkpoint" / "state.safetensors"  # what an interrupted run goes on from
        self.model = self.path / "model"  # after the last epoch
        self.best = self.path / "best"  # the best on the validation part
        self.best_so_far = self.path / "checkpoint" / "best"  # the same before a second stage and calibration
        self.results = self.path / "results.json"  # written last: a folder that has it is finished

    def start(self, config: TrainConfig, manifest: SubsetManifest, origin: dict[str, Any]) -> None:
        """Write what is known before training; of a run gone on with, add where that happens to its provenance."""
        for kind in ("safetensors", "json", "yaml", "csv", "png"):
            for leftover in self.path.rglob(f".*.{kind}*.{kind}"):  # of a process killed while it wrote
                leftover.unlink(missing_ok=True)
        values = config.as_dict()
        heading = "# The configuration of this run, defaults included; what was given on the command line has won.\n"
        write_text(self.config, f"{heading}{_CHECKSUM}{_checksum(values)}\n{write_yaml(values)}")
        manifest.save(self.manifest)
        before = self.read_provenance()
        again = {} if before is None else {"resumed": [*before.pop("resumed", []), origin]}
        write_json(self.provenance, {**(before or origin), **again})

    def check_data(self, dataset: Dataset, content: Mapping[str, str]) -> None:
        """Raise if the data, by their digests, are not those that the run was started with, naming what differs."""
        content = {**content, DESCRIBED: described_digest(dataset)}
        stored = (self.read_provenance() or {}).get("content")
        changed = [
            part for part, digest in (stored if isinstance(stored, dict) else {}).items() if content.get(part) != digest
        ]
        if changed:
            raise ValueError(
                f"the data have changed since the run {str(self.path)!r} was started: the {', '.join(changed)} are not "
                "the same any more. Bring the old data back, or start a new run in another folder (--output)."
            )

    def read_config(self) -> TrainConfig:
        """The configuration the run was started with."""
        if not self.config.is_file():
            raise ValueError(
                f"no run in {str(self.path)!r}: it has no config.yaml. "
                f"Start one with: equiangular train DATA -o {self.path}"
            )
        values = read_yaml(self.config)
        known = re.search(rf"^{_CHECKSUM}(.*)$", self.config.read_text(encoding="utf-8"), re.MULTILINE)
        if not values.get("data") or (known is not None and known[1] != _checksum(values)):
            raise ValueError(
                f"{str(self.config)!r} is not what the run was started with: it was changed or damaged after it was "
                "written. Bring the old file back, or start a new run in another folder (--output)."
            )
        try:
            config = make_config(TrainConfig, values, where="it")
        except ValueError as error:
            raise ValueError(f"{str(self.config)!r} cannot be used: {error}") from error
        return replace(config, method=RENAMED.get(config.method, config.method))

    def check_config(self, config: TrainConfig) -> None:
        """Raise if the folder has a run of another configuration, or a comparison."""
        if self.config.exists():
            stored = self.read_config()
            if absolute_name(stored.data, stored.root) == config.data:  # an older version stored paths as given
                stored = replace(stored, data=config.data)
            check_same(config.decisive(), stored.decisive(), self.path)
        elif self.results.exists():
            raise ValueError(
                f"{self.path} has the results of a comparison and no config.yaml of a run: a run would overwrite them. "
                "Give the run another folder with --output."
            )

    def read_provenance(self) -> dict[str, Any] | None:
        """Where the run comes from; None before it was started."""
        if not self.provenance.exists():
            return None
        return _an_object(self.provenance, read_json(self.provenance, remedy=_REMEDY))

    def write_metrics(self, rows: list[dict[str, Any]]) -> None:
        """Write one line for each epoch."""
        text = io.StringIO()
        names = list(dict.fromkeys(name for row in rows for name in row))
        writer = csv.DictWriter(text, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_text(self.metrics, text.getvalue())

    def read_results(self) -> dict[str, Any]:
        """The results of a finished run."""
        results = _an_object(self.results, read_json(self.results, remedy=_REMEDY))
        if not _of_a_run(results):
            raise ValueError(f"{str(self.results)!r} does not hold the results of a run. {_REMEDY}")
        return results


DESCRIBED = "columns, preprocessing and encoder"  # beside what content_digest names
_CHECKSUM = "# checksum: "
_REMEDY = "Delete it and give the same command again: the run goes on from its last checkpoint."


def _checksum(values: Mapping[str, Any]) -> str:
    """Of a configuration, but for where the data lie: that may change, and what they hold is known."""
    return json_checksum(json_plain({name: value for name, value in values.items() if name not in ("data", "root")}))


def _of_a_run(results: dict[str, Any]) -> bool:
    """Whether an object has what tables and figures of a run show."""
    method, data, rows = (results.get(name) for name in ("method", "data", "epochs"))

    def numbers(row: Any, names: Iterable[str]) -> bool:
        return isinstance(row, dict) and all(isinstance(row.get(n), (int, float, type(None))) for n in names)

    def scores(part: Any) -> bool:
        return numbers(part, ("epoch", "accuracy", "balanced_accuracy", "many", "medium", "few", "ece"))

    if not (isinstance(method, dict) and isinstance(data, dict) and isinstance(rows, list) and rows):
        return False
    named = isinstance(method.get("label"), str) and isinstance(data.get("name"), str)
    measured = scores(results.get("test")) and (results.get("best") is None or scores(results["best"]))
    return named and measured and all(numbers(row, ("epoch", "loss")) and "epoch" in row for row in rows)


def _an_object(path: Path, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{str(path)!r} holds {type(value).__name__} where an object is expected. {_REMEDY}")
    return value


# Name -> module and class of the logger, and the arguments that make it write below the run's folder.
_TENSORBOARD = {"root_dir": "tensorboard", "name": "", "version": ""}
_LOGGERS = {
    "tensorboard": ("lightning_fabric.loggers", "TensorBoardLogger", _TENSORBOARD),
    "wandb": ("lightning.pytorch.loggers", "WandbLogger", {"save_dir": ".", "project": "equiangular"}),
    "mlflow": ("lightning.pytorch.loggers", "MLFlowLogger", {"save_dir": "mlflow", "experiment_name": "equiangular"}),
    "comet": ("lightning.pytorch.loggers", "CometLogger", {}),
    "neptune": ("lightning.pytorch.loggers", "NeptuneLogger", {}),
}


def logger_names(text: str) -> list[str]:
    """The names in a text such as ``"tensorboard,wandb"``, each of them known.

    Example:
        >>> logger_names("tensorboard, wandb")
        ['tensorboard', 'wandb']
    """
    return [check_choice(name, _LOGGERS, "loggers") for name in text.replace(" ", "").split(",") if name]


def make_loggers(text: str, folder: Path) -> list[Any]:
    """One logger for each name; ImportError says which library is missing."""
    loggers = []
    for name in logger_names(text):
        module, kind, options = _LOGGERS[name]
        options = {k: str(folder / v) if k.endswith("_dir") else v for k, v in options.items()}
        try:
            loggers.append(getattr(require(module, extra="train", purpose=f"Logging to {name}"), kind)(**options))
            loggers[-1].experiment  # noqa: B018 - made now, so that what is missing is known before training
        except ModuleNotFoundError as error:
            raise ImportError(
                f"logging to {name} needs a library that is missing ({error}). Install it with: pip install {name}"
            ) from error
    return loggers


AnyTrial = TypeVar("AnyTrial", bound=Trial)


def check_names(config: AnyTrial) -> AnyTrial:
    """The configuration, if every name in it is known; the method by its present name.

    Raises:
        ValueError: an unknown method, augmentation, mixing or logger; the closest one is suggested.
    """
    method = get_method(config.method).name
    Augmentation.parse(config.augment)
    Mixing.parse(config.mix)
    logger_names(getattr(config, "loggers", ""))
    return replace(config, method=method)
