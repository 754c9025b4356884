"""Methods by name: their heads, what they share, names of the last release."""

import warnings

import pytest
import torch

from equiangular import best_frame
from equiangular.frames import is_simplex_etf
from equiangular.heads.rotated import RotatedETFHead
from equiangular.training.methods import METHODS, RENAMED, get_method

FRAME = [name for name in METHODS if name.startswith("frame-") and not METHODS[name].corrected]
ROTATED = [name for name in METHODS if name.startswith("rotated-etf-")]


def test_names_of_the_families():
    assert FRAME == ["frame-ce", "frame-la", "frame-dr"]
    assert ROTATED == ["rotated-etf-ce", "rotated-etf-la"]
    assert all(name == method.name for name, method in METHODS.items())
    assert len({method.label for method in METHODS.values()}) == len(METHODS)


@pytest.mark.parametrize(("old", "new"), sorted(RENAMED.items()))
def test_names_of_the_last_release_work_and_warn(old, new):
    with pytest.warns(DeprecationWarning, match=f"'{old}' is called '{new}' now"):
        assert get_method(old) is METHODS[new]
    assert old not in METHODS
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert get_method(new).name == new


def test_an_unknown_name_gets_the_closest_one():
    with pytest.raises(ValueError, match="did you mean 'etf-dr'"):
        get_method("etf-drr")


@pytest.mark.parametrize("name", FRAME)
def test_best_frames_learn(name, check_learns) -> None:
    assert get_method(name).build_head(8, 12, seed=1).kind == "fixed"
    check_learns(get_method(name))


@pytest.mark.parametrize("loss", ["ce", "la", "dr"])
def test_the_best_frame_at_any_size(loss: str) -> None:
    method = get_method(f"frame-{loss}")
    head = method.build_head(8, 12, seed=1)
    assert torch.equal(head.weight, best_frame(12, 8, seed=1))
    assert torch.equal(method.build_head(12, 4, seed=2).weight, best_frame(4, 12, seed=2))
    assert get_method(f"etf-{loss}").criterion is method.criterion


def test_an_etf_that_does_not_fit_names_them() -> None:
    with pytest.raises(ValueError, match=r"method 'etf-la': .*K=12 .*d=8.*best_frame\(12, 8\).*frame-la"):
        get_method("etf-la").build_head(8, 12, seed=0)


@pytest.mark.parametrize("name", ["frame-ce-pc", "frame-dr-pc"])
def test_prior_correction_shares_the_training(name: str) -> None:
    method = get_method(name)
    assert method.corrected
    assert method.training_name == name.removesuffix("-pc")


@pytest.mark.parametrize("name", ROTATED)
def test_a_rotated_etf_learns_turns_and_stays_an_etf(toy, check_learns, name):
    method = get_method(name)
    check_learns(method)
    _, task = toy.train(method, steps=10)
    assert isinstance(task.head, RotatedETFHead)
    assert task.head.kind != "fixed"
    weight = task.head.weight.detach()
    assert is_simplex_etf(weight)
    assert float((weight - task.head.frame).norm()) > 1e-3


@pytest.mark.parametrize("name", ["ce", "la"])
def test_before_the_first_step_a_rotated_etf_is_the_fixed_one(toy, name):
    first = toy.train(get_method(f"rotated-etf-{name}"), steps=1)[0][0]
    assert first == toy.train(get_method(f"etf-{name}"), steps=1)[0][0]
    assert torch.isfinite(torch.tensor(first))
