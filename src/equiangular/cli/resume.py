"""``equiangular resume RUN``: go on with an interrupted run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from equiangular.cli._fields import options_of
from equiangular.training.config.hardware import Hardware


@options_of(Hardware, leave=("precision", "accumulate", "compile", "channels_last"))
def resume(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of the run.")],
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")] = False,
    **fields: Any,
) -> None:
    """Go on with an interrupted run; it ends with the weights it would have had without the interruption.

    The configuration is the one the run was started with; only where it runs can be changed.
    """
    from dataclasses import replace

    from equiangular.cli._run import show_run
    from equiangular.training.run.folder import RunFolder

    changes = {name: value for name, value in fields.items() if value is not None}
    show_run(replace(RunFolder(run).read_config(), **changes), run, quiet=quiet)
