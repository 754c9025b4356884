"""The methods by name: spread class vectors under each loss, turned ones, a head of its own for each name."""

import pytest
import torch

from equiangular import spread_frame
from equiangular.frames import is_simplex_etf
from equiangular.heads.etf import RotatedETFHead
from equiangular.training.methods import METHODS, RENAMED, get_method


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


ROTATED = ("rotated-etf-ce", "rotated-etf-la")


@pytest.mark.parametrize("name", ROTATED)
def test_a_rotation_learns_turns_and_stays_an_etf(toy, check_learns, name):
    method = get_method(name)
    check_learns(method)
    _, task = toy.train(method, steps=10)
    assert isinstance(task.head, RotatedETFHead)
    assert task.head.kind != "fixed"
    weight = task.head.weight.detach()
    assert is_simplex_etf(weight)
    assert float((weight - task.head.frame).norm()) > 1e-3


@pytest.mark.parametrize("name", ROTATED)
def test_before_the_first_step_a_rotation_is_the_fixed_method(toy, name):
    first = toy.train(get_method(name), steps=1)[0][0]
    assert first == toy.train(get_method(name.removeprefix("rotated-")), steps=1)[0][0]
    assert torch.isfinite(torch.tensor(first))


HEADS = {
    "linear": "focal cb-ce cb-focal las arb ce la vs crt crt-las tau-norm wb",
    "cosine": "ce la ldam ldam-drw",
    "rotated-etf": "ce la",
}


@pytest.mark.parametrize("head", HEADS)
def test_the_name_says_the_head(head: str) -> None:
    for loss in HEADS[head].split():
        assert METHODS[f"{head}-{loss}"].head == head


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_names_of_the_last_release_are_found_with_a_warning_and_not_listed(old: str, new: str) -> None:
    with pytest.warns(DeprecationWarning, match=f"the method '{old}' is written '{new}' now"):
        assert get_method(old) is METHODS[new]
    assert old not in METHODS


def test_a_name_is_that_of_its_method_and_a_label_of_one_alone() -> None:
    assert all(name == method.name for name, method in METHODS.items())
    assert len({method.label for method in METHODS.values()}) == len(METHODS)
    assert all(method.training_name in METHODS for method in METHODS.values())
    with pytest.raises(ValueError, match="did you mean 'etf-dr'"):
        get_method("etf-drr")
