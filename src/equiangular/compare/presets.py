"""Defaults of a comparison by data set, tuned on validation data of the training pool (see dev/LOG.md)."""

from __future__ import annotations

from typing import Any

from equiangular.compare.config import DEFAULT_METHODS, CompareConfig
from equiangular.training.config import Budget

# Data set -> common budget, and the head options tuned for each training (dev/tune_digits.py, dev/tune_digits.json).
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
    data: str,
    *,
    methods: tuple[str, ...] = (),
    epochs: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    backbone: str | None = None,
    **fields: Any,
) -> CompareConfig:
    """The configuration of a comparison: the data set's tuned defaults, changed where a value is given.

    Example:
        >>> configure("digits", epochs=3).budget.epochs
        3
    """
    budget, head_options = PRESETS.get(data, (Budget(), {}))
    return CompareConfig(
        data=data,
        methods=methods or DEFAULT_METHODS,
        backbone=backbone or "auto",
        budget=budget.with_changes(epochs=epochs, batch_size=batch_size, learning_rate=learning_rate),
        head_options=head_options,
        **fields,
    )
