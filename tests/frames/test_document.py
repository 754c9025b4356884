"""The document's function keeps the document's promise, k = d + 1 included, where its own code does not."""

import numpy as np
import pytest
import torch
from scipy import linalg

from equiangular import simplex_equiangular_tight_frame


def error(m: np.ndarray) -> float:
    k = len(m)
    return float(np.abs(m @ m.T - np.where(np.eye(k), 1, -1 / (k - 1))).max())


def as_in_the_document(k: int, d: int, rng: np.random.Generator) -> np.ndarray:
    u, _ = linalg.polar(rng.standard_normal((k, d)))
    return np.sqrt(k / (k - 1)) * (np.eye(k) - np.ones(k) / k) @ u


@pytest.mark.parametrize(("k", "d"), [(2, 1), (2, 3), (6, 5), (6, 6), (10, 9), (10, 50), (100, 99), (513, 512)])
def test_the_promise(k: int, d: int) -> None:
    m = simplex_equiangular_tight_frame(k, d, seed=0)
    assert m.shape == (k, d)
    assert m.dtype == np.float64
    assert error(m) < 1e-13


@pytest.mark.parametrize(("k", "d", "least"), [(6, 5, 1e-3), (10, 9, 1e-3), (2, 1, 1e-3)])
def test_the_documents_code_breaks_it_in_the_tight_case(k: int, d: int, least: float) -> None:
    assert max(error(as_in_the_document(k, d, np.random.default_rng(s))) for s in range(5)) > least


def test_seeds() -> None:
    fixed = [simplex_equiangular_tight_frame(5, 8, seed=s) for s in (1, 1, 2)]
    assert (fixed[0] == fixed[1]).all()
    assert np.abs(fixed[0] - fixed[2]).max() > 0.1
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    free = [simplex_equiangular_tight_frame(5, 8) for _ in range(2)]
    assert np.abs(free[0] - free[1]).max() > 0.1
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002


@pytest.mark.parametrize(
    ("k", "d", "message"),
    [(1, 3, ">= 2, got 1"), (6, 4, r"k=6 vectors needs d >= k-1 = 5 dimensions, got d=4"), (3, 0, "d must be")],
)
def test_bad_input(k: int, d: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        simplex_equiangular_tight_frame(k, d)


def test_a_bad_seed() -> None:
    with pytest.raises(ValueError, match=r"seed must be an integer >= 0, got -1\. None draws"):
        simplex_equiangular_tight_frame(3, 2, seed=-1)


def test_it_needs_no_device() -> None:
    with torch.device("meta"):
        assert error(simplex_equiangular_tight_frame(4, 3)) < 1e-14
