import math

import pytest
import torch

from equiangular.frames.code_objectives import cosine_range, smooth_max_cosine, smooth_softmax_margin


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
