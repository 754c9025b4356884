"""A whole run in a folder, from the beginning or from where it was interrupted."""

from __future__ import annotations

import errno
from dataclasses import replace
from pathlib import Path
from typing import Any

from equiangular.training.checkpoint import check_same
from equiangular.training.run_folder import RunFolder
from equiangular.training.runner import Progress, Runner
from equiangular.training.train_config import TrainConfig


def train(config: TrainConfig, output: str | Path, *, progress: Progress | None = None) -> dict[str, Any]:
    """Train one method on one data set and measure it, or go on with a run that was interrupted.

    Writes into the folder: ``config.yaml``, ``provenance.json``, ``manifest.json`` (which samples were trained on),
    ``metrics.csv`` (a line for each epoch), ``checkpoint/``, ``model/`` (after the last epoch), ``best/`` (after the
    epoch that was best on the validation part) and, last, ``results.json``. A folder with a run of the same
    configuration is gone on with; a finished run is only read.

    Args:
        config: what to do.
        output: the folder of the run.
        progress: called after every step and epoch.

    Returns:
        The content of ``results.json``: ``test`` has the scores of the last epoch, ``best`` those of the epoch that was
        best on the validation part.

    Raises:
        ValueError: bad configuration, data or folder; a folder that has another run; a diverging loss; a full disk.
        Stopped: SIGTERM or Ctrl-C; a checkpoint was left.
    """
    config.check()
    folder = RunFolder(output).create()
    if folder.config.exists():
        check_same(config.decisive(), folder.read_config().decisive(), folder.path)
    if folder.results.exists():
        return folder.read_results()
    try:
        return Runner(config, folder, progress).finish()
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise ValueError(
            f"the disk is full: {error.filename or folder.path} could not be written. What was written before is "
            f"unharmed; make room and go on with: equiangular resume {folder.path}"
        ) from error


def resume(output: str | Path, *, progress: Progress | None = None, **changes: Any) -> dict[str, Any]:
    """Go on with the run in a folder.

    Args:
        output: the folder.
        progress: as for :func:`train`.
        changes: fields of the configuration that do not change the result, such as ``devices``.

    Raises:
        ValueError: no run in the folder, or a change that would change the result; and as for :func:`train`.
    """
    return train(replace(RunFolder(output).read_config(), **changes), output, progress=progress)
