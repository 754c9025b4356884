"""Spread class vectors under each loss, with more classes than an ETF has room for."""

import pytest
import torch

from equiangular import spread_frame
from equiangular.training.methods import get_method


@pytest.mark.parametrize("loss", ["ce", "la", "dr"])
def test_they_learn(loss: str, check_learns) -> None:
    check_learns(get_method(f"frame-{loss}"))


@pytest.mark.parametrize("loss", ["ce", "la", "dr"])
def test_the_head_at_any_size(loss: str) -> None:
    method = get_method(f"frame-{loss}")
    head = method.build_head(8, 12, seed=1)
    assert torch.equal(head.weight, spread_frame(12, 8, seed=1))
    assert torch.equal(method.build_head(12, 4, seed=2).weight, spread_frame(4, 12, seed=2))
    assert get_method(f"etf-{loss}").criterion is method.criterion


def test_an_etf_that_does_not_fit_names_them() -> None:
    with pytest.raises(ValueError, match=r"method 'etf-la': .*K=12 .*d=8.*spread_frame\(12, 8\).*frame-la"):
        get_method("etf-la").build_head(8, 12, seed=0)


@pytest.mark.parametrize("name", ["frame-ce-pc", "frame-dr-pc"])
def test_prior_correction_shares_the_training(name: str) -> None:
    method = get_method(name)
    assert method.corrected
    assert method.training_name == name.removesuffix("-pc")
