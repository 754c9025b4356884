"""Defaults of a comparison by data set, tuned on validation data of the training pool (see dev/LOG.md)."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from equiangular.compare.config import DEFAULT_METHODS, CompareConfig
from equiangular.training.config import Budget
from equiangular.training.hardware import Hardware

# Data set -> common budget, and the head options tuned for each training (experiments/recipe/tune_digits.py).
# "best" is as it is everywhere.
PRESETS: dict[str, tuple[Budget, dict[str, dict[str, Any]]]] = {
    "digits": (
        Budget(weight_decay=5e-3),
        {
            "linear-ce": {"norm": "batch", "scale": 0.5},
            "linear-la": {"norm": "none", "scale": 0.25},
            "cosine-la": {"norm": "none", "scale": 12.0},
            "random-la": {"norm": "batch", "normalize": False, "scale": 0.5},
            "etf-ce": {"norm": "batch", "normalize": False, "scale": 0.25},
            "etf-la": {"norm": "batch", "normalize": False, "scale": 0.5},
        },
    ),
}


def configure(
    data: str, *, methods: tuple[str, ...] = (), backbone: str | None = None, **changes: Any
) -> CompareConfig:
    """The configuration of a comparison: the data set's tuned defaults, changed where a value is given.

    Args:
        data: name of the data set or a path.
        methods: names; by default the eleven of the main job.
        backbone: name; by default one that fits the data.
        changes: fields of :class:`CompareConfig`, ``Budget`` and ``Hardware``; None leaves the default.

    Example:
        >>> configure("digits", epochs=3).budget.epochs
        3
    """
    budget, head_options = PRESETS.get(data, (Budget(), {}))
    given = {name: value for name, value in changes.items() if value is not None}
    of_budget, of_hardware = (
        {f.name: given.pop(f.name) for f in fields(kind) if f.name in given} for kind in (Budget, Hardware)
    )
    return CompareConfig(
        data=data,
        methods=methods or DEFAULT_METHODS,
        backbone=backbone or "auto",
        budget=budget.with_changes(**of_budget),
        hardware=Hardware(**{"accelerator": "cpu", **of_hardware}),
        head_options=head_options,
        **given,
    )
