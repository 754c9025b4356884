import numpy as np
import pytest
import torch
from scipy.fft import dct

from equiangular import simplex_etf, simplex_logits
from equiangular.frames.closed_forms import (
    canonical_rows,
    cosine_columns,
    minimal_rows,
    minimal_simplex,
    turned_simplex,
)
from equiangular.frames.orthogonal import haar_orthonormal


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
    assert np.abs(canonical_rows(k, k, torch.float64).numpy() - expected).max() < 1e-15


def test_the_minimal_form_is_the_cholesky_factor_of_the_gram_matrix() -> None:
    k = 50
    gram = np.where(np.eye(k), 1, -1 / (k - 1))[:-1, :-1]
    assert np.abs(minimal_simplex(k).numpy()[:-1] - np.linalg.cholesky(gram)).max() < 1e-14


@pytest.mark.parametrize("n", [1, 2, 3, 8, 31, 100])
def test_the_cosines_are_scipys_transform(n: int) -> None:
    order, factors = torch.randperm(n, generator=torch.Generator().manual_seed(n)), torch.linspace(-1, 2, n)
    rows = torch.cat(list(cosine_columns(order, factors.double(), n)))
    expected = dct(np.diag(factors.double().numpy())[:, np.argsort(order.numpy())], norm="ortho")
    assert np.abs(rows.numpy() - expected).max() < 1e-14


@pytest.mark.parametrize("size", [1, 7, 16, 200])
def test_a_turned_simplex_is_the_matrix_product(size: int) -> None:
    """Whatever the blocks."""
    turn = torch.linalg.qr(torch.randn(130, 99, generator=torch.Generator().manual_seed(0), dtype=torch.float64))[0].T
    found = turned_simplex(100, 130, turn.split(size), torch.float64)
    assert (found - minimal_simplex(100) @ turn).abs().max() < 1e-15


@pytest.mark.parametrize(("k", "d"), [(2, 1), (10, 9), (10, 64), (100, 99), (100, 128), (300, 512)])
def test_haar_frames_are_those_of_before_the_sums(k: int, d: int) -> None:
    """Frames of stored models were made by a product; float32 rounds both to the same numbers."""
    product = minimal_simplex(k) @ haar_orthonormal(d, k - 1, seed=3).T
    assert torch.equal(simplex_etf(k, d, seed=3), product.float())


@pytest.mark.parametrize("basis", ["canonical", "minimal"])
@pytest.mark.parametrize(("k", "d"), [(2, 2), (3, 7), (10, 10), (100, 128)])
def test_they_equal_the_matrix_product(basis: str, k: int, d: int) -> None:
    x = torch.randn(5, 3, d, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    frame = simplex_etf(k, d, basis=basis, dtype=torch.float64)
    assert torch.allclose(simplex_logits(x, k, basis=basis), x @ frame.T, atol=1e-13)


def test_the_minimal_basis_takes_the_tight_dimension() -> None:
    x = torch.randn(2, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    frame = simplex_etf(10, basis="minimal", dtype=torch.float64)
    assert torch.allclose(simplex_logits(x, 10, basis="minimal"), x @ frame.T, atol=1e-13)


@pytest.mark.parametrize("basis", ["canonical", "minimal"])
def test_gradients(basis: str) -> None:
    x = torch.randn(2, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: simplex_logits(v, 5, basis=basis), x)


@pytest.mark.parametrize("basis", ["canonical", "minimal"])
def test_float32_is_no_worse_than_the_matrix(basis: str) -> None:
    x = torch.randn(64, 1000, generator=torch.Generator().manual_seed(0))
    exact = x.double() @ simplex_etf(1000, 1000, basis=basis, dtype=torch.float64).T
    naive = (x @ simplex_etf(1000, 1000, basis=basis).T - exact).abs().max()
    assert (simplex_logits(x, 1000, basis=basis) - exact).abs().max() <= naive + 1e-6


@pytest.mark.parametrize("basis", ["canonical", "minimal"])
def test_the_features_decide_the_device(basis: str) -> None:
    x = torch.randn(2, 6, generator=torch.Generator().manual_seed(0))
    with torch.device("meta"):
        inside = simplex_logits(x, 5, basis=basis)
    assert torch.equal(inside, simplex_logits(x, 5, basis=basis))
    assert simplex_logits(x.to("meta"), 5, basis=basis).device.type == "meta"


def test_a_million_classes_need_no_matrix() -> None:
    x = torch.ones(1, 10**6, dtype=torch.float64)
    assert float(simplex_logits(x, 10**6, basis="canonical").abs().max()) < 1e-9


@pytest.mark.parametrize(
    ("x", "k", "basis", "message"),
    [
        (torch.zeros(2, 4), 5, "canonical", r"needs d >= 5 features, got \(2, 4\)"),
        (torch.zeros(2, 3), 5, "minimal", r"needs d >= 4 features"),
        (torch.zeros(2, 9), 5, "haar", "one of 'canonical', 'minimal'"),
        (torch.zeros(2, 9, dtype=torch.long), 5, "minimal", "floating-point tensor, got torch.int64"),
        ([[0.0]], 5, "minimal", "floating-point tensor, got list"),
    ],
)
def test_bad_input(x: torch.Tensor, k: int, basis: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        simplex_logits(x, k, basis=basis)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize(("k", "d"), [(2, 1), (2, 5), (9, 8), (9, 30)])
def test_rows_in_their_dtype_are_the_float64_rows_cast(k: int, d: int, dtype: torch.dtype) -> None:
    padded = torch.nn.functional.pad(minimal_simplex(k), (0, d - k + 1))
    assert torch.equal(minimal_rows(k, d, dtype), padded.to(dtype))
    if d >= k:
        centred = (torch.eye(k, dtype=torch.float64) - 1 / k) * (k / (k - 1)) ** 0.5
        assert torch.equal(canonical_rows(k, d, dtype), torch.nn.functional.pad(centred, (0, d - k)).to(dtype))
