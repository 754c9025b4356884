"""The ETF with a learned orientation: it turns while it trains and stays an ETF."""

import pytest
import torch

from equiangular.frames import is_simplex_etf
from equiangular.heads.rotated import RotatedETFHead
from equiangular.training.methods import get_method, learned_rotation


def test_names():
    assert [m.name for m in learned_rotation.METHODS] == ["rotated-etf-ce", "rotated-etf-la"]
    assert not any(m.fixed for m in learned_rotation.METHODS)


@pytest.mark.parametrize("method", learned_rotation.METHODS, ids=lambda m: m.name)
def test_it_learns_turns_and_stays_an_etf(toy, check_learns, method):
    check_learns(method)
    _, task = toy.train(method, steps=10)
    assert isinstance(task.head, RotatedETFHead)
    weight = task.head.weight.detach()
    assert is_simplex_etf(weight)
    assert float((weight - task.head.frame).norm()) > 1e-3


@pytest.mark.parametrize("name", ["ce", "la"])
def test_before_the_first_step_it_is_the_fixed_method(toy, name):
    rotated = next(m for m in learned_rotation.METHODS if m.name == f"rotated-etf-{name}")
    first = toy.train(rotated, steps=1)[0][0]
    assert first == toy.train(get_method(f"etf-{name}"), steps=1)[0][0]
    assert torch.isfinite(torch.tensor(first))
