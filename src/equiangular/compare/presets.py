"""Defaults of a comparison by data set, tuned on validation data of the training pool (see dev/LOG.md)."""

from __future__ import annotations

from typing import Any

from equiangular.compare.config import DEFAULT_METHODS, CompareConfig
from equiangular.training.config import Budget

# Data set -> common budget, and the fields in which a method's tuned budget differs from it.
PRESETS: dict[str, tuple[Budget, dict[str, dict[str, float]]]] = {
    "digits": (Budget(weight_decay=5e-3), {}),
}
_OTHERS: tuple[Budget, dict[str, dict[str, float]]] = (Budget(), {})


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

    A learning rate given here replaces the tuned ones of all methods.

    Example:
        >>> configure("digits", epochs=3).budget.epochs
        3
    """
    budget, overrides = PRESETS.get(data, _OTHERS)
    if learning_rate is not None:
        overrides = {
            name: kept
            for name, changes in overrides.items()
            if (kept := {k: v for k, v in changes.items() if k != "learning_rate"})
        }
    return CompareConfig(
        data=data,
        methods=methods or DEFAULT_METHODS,
        backbone=backbone or "auto",
        budget=budget.with_changes(epochs=epochs, batch_size=batch_size, learning_rate=learning_rate),
        overrides=overrides,
        **fields,
    )


def default_backbone(kind: str, input_shape: tuple[int, ...]) -> str:
    """The backbone for ``"auto"``: by kind of data and size of its images.

    Example:
        >>> default_backbone("image", (1, 8, 8)), default_backbone("table", (16,))
        ('digits', 'mlp')
    """
    if kind != "image":
        return "mlp"
    return "digits" if max(input_shape[1:]) < 16 else "resnet8"
