"""Weight balancing: the projection by hand, norms inside the ball, the settings of its own budget."""

import math

import pytest
import torch
from equiangular.training.methods.second_stage import StoredFeatures
from equiangular.training.methods.weight_balancing import max_norm_
from hypothesis import given
from hypothesis import strategies as st

from equiangular.training import Budget
from equiangular.training.methods import weight_balancing

(METHOD,) = weight_balancing.METHODS


@given(seed=st.integers(0, 1000), radius=st.floats(0.1, 5))
def test_projection_is_the_nearest_point_of_the_ball(seed, radius):
    weight = torch.randn(6, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    before = weight.clone()
    assert max_norm_(weight, radius) is weight
    for row, old in zip(weight, before, strict=True):
        norm = float(old.norm())
        torch.testing.assert_close(row, old if norm <= radius else old * (radius / norm))
    assert torch.equal(max_norm_(weight.clone(), radius * (1 + 1e-12)), weight)


def test_a_zero_row_stays_and_bad_input_is_named():
    assert max_norm_(torch.zeros(2, 3), 1.0).tolist() == [[0.0] * 3] * 2
    with pytest.raises(ValueError, match="radius must be a finite number above 0, got 0"):
        max_norm_(torch.ones(2, 3), 0.0)
    with pytest.raises(ValueError, match="weight has NaN"):
        max_norm_(torch.full((2, 3), math.nan), 1.0)


def test_stage_one_learns_under_its_own_weight_decay(check_learns):
    assert (METHOD.name, METHOD.training_name) == ("linear-wb", "linear-wb")
    check_learns(METHOD)
    assert Budget().with_changes(**METHOD.budget_changes).weight_decay == 5e-3


def test_stage_two_goes_on_from_the_trained_classifier_inside_the_ball(toy):
    _, task = toy.train(METHOD, steps=40)
    features = task.backbone(toy.inputs).detach()
    trained = task.head.weight.detach().clone()
    norms = trained.norm(dim=1)
    radius = float(norms.min() + 0.1 * (norms.max() - norms.min()))
    stored = StoredFeatures(features, toy.labels)
    head = METHOD.second_stage(task.head, stored, 0)
    after = head.weight.detach().norm(dim=1)
    assert float(after.max()) <= radius * (1 + 1e-6)
    assert float(after.max() / after.min()) < float(norms.max() / norms.min())
    cosines = torch.cosine_similarity(head.weight.detach(), trained)
    assert float(cosines.min()) > 0.5
    assert torch.equal(METHOD.second_stage(task.head, stored, 0).weight, head.weight)
    assert torch.equal(task.head.weight, trained)
