import math

import numpy as np
import pytest
import torch

from equiangular.frames.code_objectives import (
    cosine_range,
    one_vs_rest_distance,
    smooth_max_cosine,
    smooth_softmax_margin,
)
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


def test_hull_distance_bad_input() -> None:
    with pytest.raises(ValueError, match="steps must be an integer >= 1, got 0"):
        one_vs_rest_distance(torch.eye(3), steps=0)
    with pytest.raises(ValueError, match="tolerance must be a finite number above 0, got 0"):
        one_vs_rest_distance(torch.eye(3), tolerance=0)
    with pytest.raises(ValueError, match="num_classes must be an integer >= 2, got 1"):
        one_vs_rest_distance(torch.eye(1))


def unit(k: int, d: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    vectors = torch.randn(k, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return torch.nn.functional.normalize(vectors, dim=1).to(dtype)


def off_diagonal(matrix: torch.Tensor) -> torch.Tensor:
    return matrix[~torch.eye(len(matrix), dtype=torch.bool)]


SIZES = [(2, 3), (7, 3), (33, 5), (64, 16)]
CHUNKS = [2, 5, 32, 4096]


@pytest.mark.parametrize("chunk_size", CHUNKS)
@pytest.mark.parametrize(("k", "d"), SIZES)
def test_cosine_range_against_the_whole_gram_matrix(k: int, d: int, chunk_size: int) -> None:
    weight = unit(k, d) * torch.linspace(0.1, 3, k)[:, None]  # norms do not matter
    cosines = off_diagonal(torch.corrcoef(torch.cat([weight, -weight], 1))[:k, :k])  # mean 0: correlation is cosine
    low, high = cosine_range(weight, chunk_size=chunk_size)
    assert low == pytest.approx(float(cosines.min()), abs=1e-12)
    assert high == pytest.approx(float(cosines.max()), abs=1e-12)


@pytest.mark.parametrize("temperature", [1.0, 0.05, 1e-3])
@pytest.mark.parametrize("chunk_size", CHUNKS)
@pytest.mark.parametrize(("k", "d"), SIZES)
def test_smooth_max_cosine_and_gradient_against_autograd(k: int, d: int, chunk_size: int, temperature: float) -> None:
    weight = unit(k, d).requires_grad_(True)
    pairs = off_diagonal(weight @ weight.T)
    expected = temperature * torch.logsumexp(pairs / temperature, 0)
    expected.backward()
    value, largest, gradient = smooth_max_cosine(weight.detach(), temperature, chunk_size=chunk_size)
    assert value == pytest.approx(expected.item(), abs=1e-12)
    assert largest == pytest.approx(pairs.max().item(), abs=1e-14)
    assert torch.allclose(gradient, weight.grad, atol=1e-12)
    assert largest <= value <= largest + temperature * math.log(k * (k - 1)) + 1e-12


@pytest.mark.parametrize("temperature", [1.0, 0.05, 1e-3])
@pytest.mark.parametrize("chunk_size", CHUNKS)
@pytest.mark.parametrize(("k", "d"), SIZES)
def test_smooth_softmax_margin_and_gradients_against_autograd(
    k: int, d: int, chunk_size: int, temperature: float
) -> None:
    weight, directions = unit(k, d).requires_grad_(True), unit(k, d, seed=1).requires_grad_(True)
    differences = weight[None] - weight[:, None]  # [k, j] = w_j - w_k
    pairs = off_diagonal(torch.einsum("kjd,kd->kj", differences, directions))
    expected = temperature * torch.logsumexp(pairs / temperature, 0)
    expected.backward()
    value, largest, to_weight, to_directions = smooth_softmax_margin(
        weight.detach(), directions.detach(), temperature, chunk_size=chunk_size
    )
    assert value == pytest.approx(expected.item(), abs=1e-12)
    assert largest == pytest.approx(pairs.max().item(), abs=1e-14)
    assert torch.allclose(to_weight, weight.grad, atol=1e-12)
    assert torch.allclose(to_directions, directions.grad, atol=1e-12)


def test_float32_is_no_worse_than_the_naive_formula() -> None:
    exact = unit(300, 64)
    weight = exact.float()
    truth = smooth_max_cosine(exact, 0.01)[2]
    naive = weight.clone().requires_grad_(True)
    (0.01 * torch.logsumexp(off_diagonal(naive @ naive.T) / 0.01, 0)).backward()
    naive_error = (naive.grad.double() - truth).abs().max()
    error = (smooth_max_cosine(weight, 0.01, chunk_size=37)[2].double() - truth).abs().max()
    assert error <= 2 * naive_error + 1e-7


def test_memory_is_that_of_a_tile() -> None:
    """No tensor of K x K entries is ever made."""
    largest = 0

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            nonlocal largest
            out = func(*args, **(kwargs or {}))
            for tensor in out if isinstance(out, (tuple, list)) else (out,):
                largest = max(largest, tensor.numel() if isinstance(tensor, torch.Tensor) else 0)
            return out

    k, d, chunk = 2000, 8, 64
    weight = unit(k, d, dtype=torch.float32)
    with Watch():
        cosine_range(weight, chunk_size=chunk)
        smooth_max_cosine(weight, 0.1, chunk_size=chunk)
        smooth_softmax_margin(weight, weight.clone(), 0.1, chunk_size=chunk)
    assert largest == k * d


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="zero-norm row"):
        cosine_range(torch.zeros(3, 2))
    with pytest.raises(ValueError, match="num_classes must be an integer >= 2, got 1"):
        cosine_range(torch.ones(1, 2))
