"""Where a result comes from: versions, hardware, command and commit, written beside every measured figure."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

_PACKAGES = ("torch", "numpy", "scipy", "scikit-learn", "lightning", "torchmetrics")


def provenance() -> dict[str, Any]:
    """Versions, hardware, command line, commit and time, all JSON-plain.

    Example:
        >>> sorted(provenance())
        ['command', 'commit', 'hardware', 'time_utc', 'versions']
    """
    import torch

    from equiangular import __version__

    versions = {"equiangular": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    hardware = {"machine": platform.machine(), "cores": os.cpu_count(), "threads": torch.get_num_threads()}
    hardware["processor"] = _processor()
    if torch.cuda.is_available():
        hardware["accelerator"] = torch.cuda.get_device_name()
    return {
        "versions": versions,
        "hardware": hardware,
        "command": " ".join([_program(), *sys.argv[1:]]),
        "commit": _commit(),
        "time_utc": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def _program() -> str:
    """What was started, as one would type it: a package run by ``python -m`` by its name, a script by its file's."""
    script = Path(sys.argv[0])
    return f"python -m {script.parent.name}" if script.name == "__main__.py" else script.name


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def _commit() -> str | None:
    """The commit of the checkout this package runs from; None for an installed package."""
    here = Path(__file__).resolve().parent
    if not (here.parents[1] / ".git").exists():
        return None
    try:
        head = ["git", "-C", str(here), "rev-parse", "--short=12", "HEAD"]
        commit = subprocess.run(head, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
        changes = ["git", "-C", str(here), "status", "--porcelain", "--untracked-files=no"]
        dirty = subprocess.run(changes, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
    return f"{commit}+changes" if dirty else commit
