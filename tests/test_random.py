import random

import numpy as np
import pytest
import torch

from equiangular._random import isolated_rng, make_generator


def draws() -> tuple[float, float, float]:
    return random.random(), float(np.random.rand()), float(torch.rand(()))  # noqa: NPY002


def test_isolated_rng_seeds_inside_and_restores_outside() -> None:
    states = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
    with isolated_rng(3):
        first = draws()
    with isolated_rng(3):
        again = draws()
    with isolated_rng(4):
        other = draws()
    assert first == again
    assert all(a != b for a, b in zip(first, other, strict=True))
    assert random.getstate() == states[0]
    assert (np.random.get_state()[1] == states[1]).all()  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), states[2])


def test_isolated_rng_restores_after_an_error() -> None:
    before = torch.get_rng_state()

    def fail() -> None:
        with isolated_rng(0):
            torch.rand(3)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("seed", [-1, 1.5, "0", True, 2**63, None])
def test_bad_seed_is_named(seed: object) -> None:
    with pytest.raises(ValueError, match="seed must be an integer"):
        make_generator(seed)
