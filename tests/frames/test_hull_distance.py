import numpy as np
import pytest
import torch

from equiangular.frames.code_objectives import one_vs_rest_distance
from equiangular.frames.known_codes import known_code
from equiangular.frames.orthogonal import orthoplex
from equiangular.frames.simplex import simplex_etf


@pytest.mark.parametrize("k", [2, 3, 10])
def test_simplex(k: int) -> None:
    # The others of a simplex have their centre at -w_k/(K-1): the distance is K/(K-1).
    lower, upper = one_vs_rest_distance(simplex_etf(k, k + 1, dtype=torch.float64))
    assert torch.allclose(lower, torch.full((k,), k / (k - 1), dtype=torch.float64), atol=1e-5)
    assert torch.allclose(upper, lower, atol=1e-5)


@pytest.mark.parametrize(("k", "d"), [(8, 4), (7, 4), (10, 5)])
def test_orthoplex(k: int, d: int) -> None:
    lower, upper = one_vs_rest_distance(orthoplex(k, d, dtype=torch.float64))
    assert torch.allclose(lower, torch.ones(k, dtype=torch.float64), atol=1e-5)
    assert torch.allclose(upper, torch.ones(k, dtype=torch.float64), atol=1e-5)


@pytest.mark.parametrize("size", [(12, 3), (16, 5), (27, 6), (56, 7)])
def test_symmetric_codes(size: tuple[int, int]) -> None:
    # By symmetry the nearest point of the hull is on the vector's own axis: the distance is 1 - largest cosine.
    weight = known_code(*size, dtype=torch.float64)
    expected = 1 - float((weight @ weight.T).fill_diagonal_(-1).max())
    lower, _ = one_vs_rest_distance(weight)
    assert torch.allclose(lower, torch.full_like(lower, expected), atol=1e-5)


@pytest.mark.parametrize("chunk_size", [3, 256])
@pytest.mark.parametrize(("k", "d"), [(6, 3), (15, 4), (12, 30)])
def test_against_a_quadratic_program(k: int, d: int, chunk_size: int) -> None:
    optimize = pytest.importorskip("scipy.optimize")
    vectors = torch.randn(k, d, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    lower, upper = one_vs_rest_distance(vectors, chunk_size=chunk_size)
    assert (lower <= upper + 1e-9).all()
    for row in range(k):
        others = np.delete(vectors.numpy(), row, axis=0)
        # min ||w - p^T A|| on the simplex, as non-negative least squares with a heavy row for sum(p) = 1
        system = np.vstack([others.T, 1e4 * np.ones(k - 1)])
        _, residual = optimize.nnls(system, np.append(vectors[row].numpy(), 1e4))
        assert float(upper[row]) == pytest.approx(residual, abs=1e-4)
        assert float(lower[row]) == pytest.approx(residual, abs=1e-4)


def test_inside_the_hull() -> None:
    square = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0], [0.2, 0.1]])
    lower, upper = one_vs_rest_distance(square)
    assert lower[4] == 0
    assert upper[4] < 1e-4
    assert (lower[:4] > 0.9).all()


def test_bounds_hold_when_the_steps_run_out() -> None:
    vectors = torch.randn(30, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    rough_lower, rough_upper = one_vs_rest_distance(vectors, steps=5)
    lower, upper = one_vs_rest_distance(vectors)
    assert (rough_lower <= upper + 1e-9).all()
    assert (lower <= rough_upper + 1e-9).all()
    assert (rough_upper - rough_lower).max() > 1e-3


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="steps must be an integer >= 1, got 0"):
        one_vs_rest_distance(torch.eye(3), steps=0)
    with pytest.raises(ValueError, match="tolerance must be a finite number above 0, got 0"):
        one_vs_rest_distance(torch.eye(3), tolerance=0)
    with pytest.raises(ValueError, match="num_classes must be an integer >= 2, got 1"):
        one_vs_rest_distance(torch.eye(1))
