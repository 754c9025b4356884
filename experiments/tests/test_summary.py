from __future__ import annotations

import numpy as np
import pytest

from experiments.studies.cells import Cell
from experiments.studies.summary import CONTRASTS, fixed_against_learnable
from experiments.tests.synthetic import COSINE, ETF, LINEAR, LINEAR_CE, part_of

SCORES = {ETF: [70.0, 72.0], COSINE: [75.0, 70.0], LINEAR: [74.0, 73.0], LINEAR_CE: [60.0, 61.0]}
VALIDATION = {ETF: 1.0, COSINE: 3.0, LINEAR: 2.0, LINEAR_CE: 1.0}


RECIPE = "etf-projected/free/scaled-ce/la/none"
RECIPE_PC = RECIPE.replace("/la/", "/pc/")


def test_the_recipe_and_what_is_bare_of_a_projection():
    scores = {name: np.array(values) for name, values in SCORES.items()}
    scores |= {RECIPE: np.array([74.0, 73.5]), RECIPE_PC: np.array([70.0, 70.0])}
    validation = VALIDATION | {RECIPE: 5.0, RECIPE_PC: 9.0}
    cells = {name: Cell.parse(name) for name in scores}
    fixed = {
        contrast: fixed_against_learnable(scores, cells, validation, contrast=contrast, recipe=RECIPE)["fixed"]
        for contrast in CONTRASTS
    }
    assert fixed == {
        "validation": RECIPE_PC, "test": RECIPE_PC, "linear": RECIPE_PC, "bare": ETF,
        "recipe": RECIPE, "recipe-test": RECIPE, "recipe-linear": RECIPE,
    }  # fmt: skip
    learnable = fixed_against_learnable(scores, cells, validation, contrast="recipe-test", recipe=RECIPE)["learnable"]
    assert learnable == LINEAR


@pytest.mark.parametrize(("contrast", "rival"), [("validation", COSINE), ("test", LINEAR), ("linear", LINEAR_CE)])
def test_rivals(contrast, rival):
    scores = {name: np.array(values) for name, values in SCORES.items()}
    cells = {name: Cell.parse(name) for name in SCORES}
    found = fixed_against_learnable(scores, cells, VALIDATION, contrast=contrast)
    assert (found["fixed"], found["learnable"]) == (ETF, rival)
    assert found["mean_difference"] == np.mean(scores[ETF] - scores[rival])
    with pytest.raises(ValueError, match="did you mean 'validation'"):
        fixed_against_learnable(scores, cells, VALIDATION, contrast="valid")


def test_seconds_and_every_score_are_kept_by_run():
    row = part_of({ETF: [70.0, None]})["table"][ETF]
    assert row["seconds"]["values"][0] == 1.5
    assert np.isnan(row["seconds"]["values"][1])
    assert row["accuracy"]["values"][0] == 71
