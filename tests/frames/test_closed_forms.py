import numpy as np
import pytest
import torch
from scipy.fft import dct

from equiangular.frames.closed_forms import canonical_simplex, minimal_simplex, orthonormal_dct


def recursive_simplex(n: int) -> np.ndarray:
    """The O(K^3) recursion of Kasarla et al. 2022, written from its formula: n + 1 vectors in n dimensions."""
    if n == 1:
        return np.array([[1.0, -1.0]])
    top = np.concatenate([[1.0], np.full(n, -1 / n)])[None]
    rest = np.sqrt(1 - 1 / n**2) * recursive_simplex(n - 1)
    return np.concatenate([top, np.concatenate([np.zeros((n - 1, 1)), rest], axis=1)])


@pytest.mark.parametrize("k", [2, 3, 4, 10, 100, 300])
def test_the_minimal_form_equals_the_recursion(k: int) -> None:
    """The same matrix as by O(K^3) operations; what that costs is in the frames benchmark."""
    assert np.abs(minimal_simplex(k).numpy() - recursive_simplex(k - 1).T).max() < 1e-14


@pytest.mark.parametrize("k", [2, 3, 10])
def test_the_canonical_form_is_the_papers_formula(k: int) -> None:
    expected = np.sqrt(k / (k - 1)) * (np.eye(k) - np.ones((k, k)) / k)
    assert np.abs(canonical_simplex(k).numpy() - expected).max() < 1e-15


def test_the_minimal_form_is_the_cholesky_factor_of_the_gram_matrix() -> None:
    k = 50
    gram = np.where(np.eye(k), 1, -1 / (k - 1))[:-1, :-1]
    assert np.abs(minimal_simplex(k).numpy()[:-1] - np.linalg.cholesky(gram)).max() < 1e-14


@pytest.mark.parametrize("n", [1, 2, 3, 8, 31])
def test_the_cosine_transform_equals_scipys(n: int) -> None:
    rows = np.random.default_rng(n).standard_normal((4, n))
    assert np.abs(orthonormal_dct(torch.from_numpy(rows)).numpy() - dct(rows, norm="ortho")).max() < 1e-14
