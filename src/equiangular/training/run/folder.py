"""The files of a run: one object that knows their names and writes each of them whole or not at all."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from equiangular._files import read_json, write_json, write_text
from equiangular.longtail import SubsetManifest
from equiangular.training.config.files import make_config, read_yaml, write_yaml
from equiangular.training.config.options import TrainConfig


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
        for leftover in self.path.rglob(".*.safetensors"):  # of a process killed while it wrote
            leftover.unlink(missing_ok=True)
        heading = "# The configuration of this run, defaults included; what was given on the command line has won.\n"
        write_text(self.config, heading + write_yaml(config.as_dict()))
        manifest.save(self.manifest)
        before = read_json(self.provenance) if self.provenance.exists() else None
        again = {} if before is None else {"resumed": [*before.pop("resumed", []), origin]}
        write_json(self.provenance, {**(before or origin), **again})

    def read_config(self) -> TrainConfig:
        """The configuration the run was started with."""
        if not self.config.is_file():
            raise ValueError(
                f"no run in {str(self.path)!r}: it has no config.yaml. "
                f"Start one with: equiangular train DATA -o {self.path}"
            )
        return make_config(TrainConfig, read_yaml(self.config), where=str(self.config))

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
        return read_json(self.results)
