"""Normalisation: right away from zero, harmless at it, in every dtype."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from equiangular.heads import unit_normalize

DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16]


@pytest.mark.parametrize("dtype", DTYPES)
def test_agrees_with_a_float64_reference_up_to_one_rounding(dtype: torch.dtype) -> None:
    x = torch.randn(16, 33, generator=torch.Generator().manual_seed(0)).to(dtype)
    expected = x.double() / x.double().square().sum(-1, keepdim=True).sqrt()
    y = unit_normalize(x)
    assert y.dtype == dtype
    torch.testing.assert_close(y.double(), expected, atol=torch.finfo(dtype).eps, rtol=torch.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", ["zero", "subnormal", "tiny", "large"])
def test_gradients_are_finite_at_every_size_of_row(dtype: torch.dtype, size: str) -> None:
    info = torch.finfo(dtype)
    value = {"zero": 0.0, "subnormal": info.smallest_normal / 4, "tiny": info.tiny, "large": info.max**0.5 / 4}[size]
    x = torch.full((2, 3), value, dtype=dtype, requires_grad=True)
    unit_normalize(x).backward(torch.randn(2, 3, generator=torch.Generator().manual_seed(0)).to(dtype))
    assert torch.isfinite(x.grad).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_gradient_at_a_zero_row_is_exactly_zero_and_other_rows_keep_theirs(dtype: torch.dtype) -> None:
    x = torch.tensor([[0.0, 0.0], [3.0, 4.0]], dtype=dtype, requires_grad=True)
    y = unit_normalize(x)
    y.backward(torch.tensor([[5.0, -7.0], [1.0, 0.0]], dtype=dtype))
    assert y[0].eq(0).all()
    assert x.grad[0].eq(0).all()
    # (I - u u^T) g / ||x|| with u = (.6, .8), g = (1, 0)
    torch.testing.assert_close(x.grad[1].double(), torch.tensor([0.128, -0.096]).double(), rtol=2e-2, atol=1e-3)


def test_torchs_own_normalize_is_what_this_function_avoids() -> None:
    x = torch.zeros(1, 2, requires_grad=True)
    F.normalize(x).backward(torch.ones(1, 2))
    assert x.grad.abs().max() > 1e11


def test_gradcheck() -> None:
    x = torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    assert torch.autograd.gradcheck(unit_normalize, x)
    assert torch.autograd.gradgradcheck(unit_normalize, x)


@given(scale=st.floats(1e-6, 1e6), seed=st.integers(0, 1000))
def test_does_not_depend_on_the_length(scale: float, seed: int) -> None:
    x = torch.randn(3, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(unit_normalize(scale * x), unit_normalize(x), rtol=1e-12, atol=1e-12)


def test_eps_is_the_norm_up_to_which_a_row_is_zero() -> None:
    x = torch.tensor([[0.1, 0.0], [0.3, 0.0]])
    assert unit_normalize(x, eps=0.2).tolist() == [[0.0, 0.0], [1.0, 0.0]]


def test_autocast_keeps_float32_as_torchs_norms_do() -> None:
    x = torch.randn(2, 4).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert unit_normalize(x).dtype == torch.float32


@pytest.mark.parametrize("exponent", [20, 33, 62, 66, 79, 81, 100, 124])
def test_a_norm_whose_square_overflows_is_a_norm(exponent: int) -> None:
    """Float32 squares overflow from 1.8e19 on; scaling by a power of two changes no bit of the result."""
    x = torch.randn(2, 4, 7, generator=torch.Generator().manual_seed(1))
    g = torch.randn(2, 4, 7, generator=torch.Generator().manual_seed(2))
    size = 2.0 ** torch.tensor([exponent, exponent, 0, -9])[:, None]  # every row has its own
    small, large = x.clone().requires_grad_(), (x * size).requires_grad_()
    for value in (small, large):
        unit_normalize(value).backward(g)
    assert torch.equal(unit_normalize(small), unit_normalize(large))
    torch.testing.assert_close(large.grad * size, small.grad, rtol=1e-4, atol=1e-5)


def test_a_bfloat16_feature_of_any_finite_size_points_somewhere() -> None:
    x = torch.tensor([[3e38, 0.0], [-3e38, 3e38]], dtype=torch.bfloat16)
    torch.testing.assert_close(
        unit_normalize(x).float(), torch.tensor([[1.0, 0.0], [-(0.5**0.5), 0.5**0.5]]), rtol=0.01, atol=0
    )
