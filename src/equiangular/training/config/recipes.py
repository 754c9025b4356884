"""Recipes: named settings of a training run, on top of which everything can be changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from equiangular._checks import check_choice
from equiangular._renamed import warn_renamed


@dataclass(frozen=True)
class Recipe:
    """A starting point.

    Attributes:
        what: what it is, for a list.
        values: fields of :class:`equiangular.training.TrainConfig`.
    """

    what: str
    values: Mapping[str, Any]


RECIPES: dict[str, Recipe] = {
    "recommended": Recipe(
        "the fixed head that does as well as learned ones, logit adjustment (docs/answer.md)",
        {"method": "recommended"},
    ),
    "rival": Recipe(
        "the learned classifier to compare with: linear, logit adjustment, the same budget", {"method": "linear-la"}
    ),
    "paper": Recipe(
        "Yang et al. 2022: ETF + dot-regression as released, mixup, 200 epochs with steps",
        {
            "method": "etf-dr-batch",
            "epochs": 200,
            "batch_size": 128,
            "learning_rate": 0.1,
            "momentum": 0.9,
            "weight_decay": 2e-4,
            "warmup_epochs": 5,
            "schedule": "step",
            "mix": "mixup:1.0",
        },
    ),
}


def recipe_values(name: str) -> dict[str, Any]:
    """The settings of the recipe called ``name``.

    Raises:
        ValueError: no such recipe; the closest name is suggested.

    Example:
        >>> recipe_values("recommended")
        {'method': 'recommended'}
    """
    if name == "best":
        warn_renamed("the recipe 'best'", "'recommended'")
        name = "recommended"
    return dict(RECIPES[check_choice(name, RECIPES, "recipe")].values)
