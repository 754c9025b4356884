from __future__ import annotations

import pytest
import torch
from torch import nn

import equiangular as eq
from equiangular.frames import is_simplex_etf
from equiangular.heads.best import BEST_OPTIONS


@pytest.mark.parametrize(("width", "classes"), [(64, 10), (8, 26), (1, 2), (20, 2), (9, 10)])
def test_an_etf_fits_for_every_number_of_classes_and_every_width(width, classes):
    head = eq.best_head(width, classes)
    assert head.dim == classes - 1
    assert is_simplex_etf(head.weight)
    assert not head.weight.requires_grad
    # A linear map with a bias, and two numbers of BatchNorm for each dimension.
    assert head.head_parameters() == (width + 3) * (classes - 1)


def test_logits_are_those_of_the_formula():
    head = eq.best_head(12, 5, seed=3).eval()
    x = torch.randn(7, 12, generator=torch.Generator().manual_seed(0))
    mapped = head.projection(x)
    normalised = nn.functional.batch_norm(
        mapped, head.norm.running_mean, head.norm.running_var, head.norm.weight, head.norm.bias
    )
    assert torch.allclose(head(x), normalised @ head.weight.T, atol=1e-6)


def test_options_win_and_the_name_makes_the_same_head():
    assert eq.best_head(12, 5, projection="mlp", scale=0.5).scale.item() == 0.5
    ours, named = eq.best_head(12, 5, seed=1), eq.make_head("best", 12, 5, seed=1)
    assert all(torch.equal(a, b) for a, b in zip(ours.state_dict().values(), named.state_dict().values(), strict=True))
    assert BEST_OPTIONS.keys() == {"norm", "normalize", "projection"}
    model = eq.attach(nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 30)), head="best")
    assert model(torch.randn(4, 6)).shape == (4, 30)


def test_what_is_wrong_is_named():
    with pytest.raises(ValueError, match="num_classes"):
        eq.best_head(12, 1)
    with pytest.raises(ValueError, match="did you mean 'best'"):
        eq.make_head("bets", 12, 5)
    with pytest.raises(ValueError, match="did you mean 'scale'"):
        eq.make_head("best", 12, 5, scal=2.0)
