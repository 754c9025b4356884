import pytest
import torch

from equiangular import simplex_etf, simplex_logits


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
