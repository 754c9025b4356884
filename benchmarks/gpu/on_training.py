"""Images per second of the engine beside a bare loop, by ``benchmarks/training.py``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
import training


def run(device: torch.device, *, small: bool, keep: Callable[[object], None]) -> dict[str, Any]:
    cases = training.GPU if device.type == "cuda" else dict(list(training.CPU.items())[:1])
    told: dict[str, Any] = {}
    for name, case in cases.items():
        try:
            told[name] = training.measure(case, 2 if small else 6, "cuda" if device.type == "cuda" else "cpu")
        except Exception as error:
            told[name] = {"failed": f"{type(error).__name__}: {error}"[:500]}
        keep(told)
    return told
