"""A class prior from the command line: a name, or a file of weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from equiangular._extras import require
from equiangular._validate import did_you_mean
from equiangular.training.model.correction import PRIORS


def read_prior(prior: str | None, class_names: Sequence[str]) -> str | list[float] | None:
    """What :func:`equiangular.training.corrected_logits` takes as ``prior``.

    Args:
        prior: None, ``"uniform"``, ``"train"``, or a JSON or YAML file: a weight for each class name, or K weights in
            the order of the classes. Weights are counts or frequencies; they need not sum to 1.
        class_names: the model's K classes.

    Returns:
        The name, or K positive weights.

    Raises:
        ValueError: neither a name nor a file, or weights that do not fit the classes or are not above 0.

    Example:
        >>> read_prior("train", ["a", "b"])
        'train'
    """
    if prior is None or prior in PRIORS:
        return prior
    file = Path(prior).expanduser()
    if not file.is_file():
        hint = did_you_mean(prior, PRIORS)
        raise ValueError(f"the prior {prior!r} is neither {' nor '.join(PRIORS)} nor a file that exists{hint}")
    yaml = require("yaml", extra="train", purpose="Reading a prior")
    try:
        values = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ValueError(f"cannot read the prior {str(file)!r} as JSON or YAML: {error}") from error
    return _weights(values, list(class_names), str(file))


def _weights(values: Any, class_names: list[str], where: str) -> list[float]:
    if isinstance(values, dict):
        named = {str(name): weight for name, weight in values.items()}
        for name in named:
            if name not in class_names:
                raise ValueError(f"{where!r}: the model has no class {name!r}{did_you_mean(name, class_names)}")
        missing = [name for name in class_names if name not in named]
        if missing:
            raise ValueError(f"{where!r} has no weight for class {missing[0]!r} ({len(missing)} such classes).")
        values = [named[name] for name in class_names]
    if not isinstance(values, list) or len(values) != len(class_names):
        got = f"{len(values)} entries" if isinstance(values, list) else type(values).__name__
        raise ValueError(f"{where!r} must hold a weight for each of the {len(class_names)} classes, got {got}.")
    for name, weight in zip(class_names, values, strict=True):
        if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not 0 < weight < float("inf"):
            raise ValueError(
                f"{where!r}: the weight of class {name!r} must be a number above 0, got {weight!r}. Give a class that "
                "is not expected a small weight."
            )
    return [float(weight) for weight in values]
