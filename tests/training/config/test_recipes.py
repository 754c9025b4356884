from __future__ import annotations

import pytest

from equiangular.training import TrainConfig
from equiangular.training.config.files import RECIPES, make_config, recipe_values
from equiangular.training.run.folder import check_names


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_is_a_configuration_that_can_be_run(name):
    config = check_names(make_config(TrainConfig, recipe_values(name)))
    assert config.method == RECIPES[name].values["method"]


def test_the_recommended_recipe_is_the_default_and_what_follows_wins():
    assert make_config(TrainConfig, recipe_values("recommended")) == TrainConfig()
    changed = make_config(TrainConfig, recipe_values("paper"), {"method": "etf-dr", "epochs": 3})
    assert (changed.method, changed.epochs, changed.mix) == ("etf-dr", 3, "mixup:1.0")


def test_values_are_a_copy():
    recipe_values("recommended")["method"] = "etf-la"
    assert recipe_values("recommended") == {"method": "recommended"}


def test_an_unknown_recipe():
    with pytest.raises(ValueError, match="did you mean 'recommended'"):
        recipe_values("recomended")


def test_the_name_of_the_last_release():
    with pytest.warns(DeprecationWarning, match="the recipe 'best' is written 'recommended' now"):
        assert recipe_values("best") == recipe_values("recommended")
