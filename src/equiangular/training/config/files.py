"""From recipes, YAML files and single settings to a checked configuration."""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from equiangular._checks import check_choice, did_you_mean
from equiangular._extras import require
from equiangular._guarded import parse_yaml
from equiangular._renamed import warn_renamed


@dataclass(frozen=True)
class Recipe:
    """A starting point."""

    what: str  # it is, for a list
    values: Mapping[str, Any]  # fields of equiangular.training.TrainConfig


RECIPES: dict[str, Recipe] = {
    "recommended": Recipe(
        "the fixed head that does as well as learned ones, logit adjustment (docs/answer.md)", {"method": "recommended"}
    ),
    "fast": Recipe(
        "recommended, for photographs in little time: 6 epochs of Muon, flips, channels last (docs/training.md)",
        {"method": "recommended", "optimizer": "muon", "epochs": 6, "augment": "flip", "channels_last": True},
    ),
    "rival": Recipe(
        "the learned classifier to compare with: linear, logit adjustment, the same budget", {"method": "linear-la"}
    ),
    "paper": Recipe(
        "Yang et al. 2022: ETF + dot-regression as released, mixup, 200 epochs with steps",
        {"method": "etf-dr-batch", "epochs": 200, "batch_size": 128, "learning_rate": 0.1, "momentum": 0.9}
        | {"weight_decay": 2e-4, "warmup_epochs": 5, "schedule": "step", "mix": "mixup:1.0"},
    ),
}


def recipe_values(name: str) -> dict[str, Any]:
    """The settings of the recipe called ``name``; for another one the closest is suggested.

    Example:
        >>> recipe_values("recommended")
        {'method': 'recommended'}
    """
    if name == "best":
        warn_renamed("the recipe 'best'", "'recommended'")
        name = "recommended"
    return dict(RECIPES[check_choice(name, RECIPES, "recipe")].values)


Config = TypeVar("Config")


def read_yaml(path: str | Path) -> dict[str, Any]:
    """The mapping in a YAML file.

    Raises:
        ValueError: the file is missing, is not YAML (the line is named), or holds no mapping.
    """
    try:
        text = Path(path).expanduser().read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(f"cannot read the configuration {str(path)!r}: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{str(path)!r} is not a text file in UTF-8 ({error}).") from error
    values = parse_yaml(text, what=repr(str(path)))
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ValueError(f"{str(path)!r} must hold 'name: value' lines, got {type(values).__name__}.")
    return {str(key): value for key, value in values.items()}


def write_yaml(values: Mapping[str, Any]) -> str:
    """Plain values as YAML text, in their order."""
    yaml = require("yaml", extra="train", purpose="Writing a configuration")
    plain = json.loads(json.dumps(dict(values)))  # no value is another one, which YAML would write as an alias
    return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, default_flow_style=None)


def make_config(kind: type[Config], *layers: Mapping[str, Any], where: str = "the configuration") -> Config:
    """A configuration made of layers of plain values; a later layer wins.

    Args:
        kind: a dataclass whose fields have defaults.
        layers: mappings from field names to values; None in a layer leaves the value of the layers before.
        where: what the values are, for the message.

    Raises:
        ValueError: an unknown name (the closest one is suggested), a value of the wrong type or out of range.

    Example:
        >>> from equiangular.training.config.budget import Budget
        >>> make_config(Budget, {"epochs": 5, "learning_rate": "1e-1"}, {"epochs": 3}).epochs
        3
    """
    known = {f.name: f for f in fields(kind)}
    hints = typing.get_type_hints(kind)
    merged: dict[str, Any] = {}
    for layer in layers:
        for name, value in layer.items():
            if name not in known:
                raise ValueError(f"unknown key {name!r} in {where}{did_you_mean(name, list(known))}")
            if value is not None:
                merged[name] = _of_type(value, hints[name], f"{name} in {where}")
    return kind(**merged)


def _of_type(value: Any, hint: Any, name: str) -> Any:
    """``value`` in the type of a field, or an error that names both."""
    if typing.get_origin(hint) in (types.UnionType, typing.Union):  # X | None
        hint = next(option for option in typing.get_args(hint) if option is not type(None))
    origin = typing.get_origin(hint) or hint
    origin = str if origin is typing.Literal else origin  # which of them, the configuration checks
    if origin is float and isinstance(value, str):  # YAML reads 1e-3 as a text
        try:
            return float(value)
        except ValueError:
            pass
    if origin is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if origin is tuple and isinstance(value, (list, tuple)) and len(value) == len(typing.get_args(hint)):
        return tuple(_of_type(v, h, name) for v, h in zip(value, typing.get_args(hint), strict=True))
    if isinstance(value, origin) and (origin is bool or not isinstance(value, bool)):
        return value
    words = {int: "an integer", float: "a number", str: "a text", bool: "true or false", dict: "a mapping"}
    wanted = words.get(origin, f"a list of {len(typing.get_args(hint))} numbers")
    raise ValueError(f"{name} must be {wanted}, got {value!r}.")
