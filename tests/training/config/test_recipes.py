from __future__ import annotations

import pytest

from equiangular.training import TrainConfig
from equiangular.training.config.files import make_config
from equiangular.training.config.recipes import RECIPES, recipe_values


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_is_a_configuration_that_can_be_run(name):
    config = make_config(TrainConfig, recipe_values(name)).check()
    assert config.method == RECIPES[name].values["method"]


def test_the_recipe_named_best_is_the_default_and_what_follows_wins():
    assert make_config(TrainConfig, recipe_values("best")) == TrainConfig()
    changed = make_config(TrainConfig, recipe_values("paper"), {"method": "etf-dr", "epochs": 3})
    assert (changed.method, changed.epochs, changed.mix) == ("etf-dr", 3, "mixup:1.0")


def test_values_are_a_copy():
    recipe_values("best")["method"] = "etf-la"
    assert recipe_values("best") == {"method": "best"}


def test_an_unknown_recipe():
    with pytest.raises(ValueError, match="did you mean 'best'"):
        recipe_values("bets")
