"""simplex_etf over a table of cases. Expected Gram matrices are written down, not computed by the library."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from equiangular import simplex_etf
from equiangular.frames import BASES

CASES = [(2, 1), (2, 2), (3, 2), (6, 5), (10, 9), (10, 64), (100, 99), (513, 512), (1000, 2048)]
LARGE = (4000, 4096)


def gram_error(frame: torch.Tensor) -> float:
    """Largest error of any inner product, in float64 from the entries as they are."""
    k = frame.shape[0]
    gram = frame.double() @ frame.double().T
    gram.diagonal().sub_(1 + 1 / (k - 1))
    return float((gram + 1 / (k - 1)).abs().max())


def dims(k: int, d: int, basis: str) -> int:
    return max(k, d) if basis == "canonical" else d


@pytest.mark.parametrize("basis", BASES)
@pytest.mark.parametrize(("k", "d"), CASES)
def test_gram_matrix(k: int, d: int, basis: str) -> None:
    d = dims(k, d, basis)
    exact = simplex_etf(k, d, basis=basis, dtype=torch.float64)
    assert exact.shape == (k, d)
    assert gram_error(exact) <= 1e-12
    assert gram_error(simplex_etf(k, d, basis=basis, dtype=torch.float32)) <= 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("basis", BASES)
def test_gram_matrix_of_a_large_frame(basis: str) -> None:
    exact = simplex_etf(*LARGE, basis=basis, dtype=torch.float64)
    assert gram_error(exact) <= 1e-12
    assert gram_error(exact.float()) <= 1e-6


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_low_precision_is_a_cast_of_the_exact_frame(dtype: torch.dtype) -> None:
    exact = simplex_etf(50, 64, dtype=torch.float64)
    assert torch.equal(simplex_etf(50, 64, dtype=dtype), exact.to(dtype))
    built_low = (exact.to(dtype) / exact.to(dtype).norm(dim=1, keepdim=True)).to(dtype)  # the naive alternative
    assert gram_error(exact.to(dtype)) <= gram_error(built_low) + torch.finfo(dtype).eps


@settings(deadline=None, max_examples=60)
@given(st.integers(2, 40), st.integers(0, 20), st.sampled_from(BASES), st.integers(0, 2**62))
def test_properties(k: int, extra: int, basis: str, seed: int) -> None:
    frame = simplex_etf(k, dims(k, k - 1 + extra, basis), basis=basis, seed=seed, dtype=torch.float64)
    assert frame.norm(dim=1) == pytest.approx(np.ones(k), abs=1e-12)
    assert float(frame.sum(0).abs().max()) < 1e-12
    assert int(torch.linalg.matrix_rank(frame)) == k - 1
    values = torch.linalg.svdvals(frame)[: k - 1]  # tight: W^T W = K/(K-1) on the span
    assert values.square() == pytest.approx(np.full(k - 1, k / (k - 1)))


def test_default_dimension_and_dtype() -> None:
    assert simplex_etf(5).shape == (5, 4)
    assert simplex_etf(5, basis="canonical").shape == (5, 5)
    assert simplex_etf(5).dtype == torch.get_default_dtype()


@pytest.mark.parametrize("basis", ["haar", "dct"])
def test_seeds(basis: str) -> None:
    first, again, other = (simplex_etf(10, 16, basis=basis, seed=s) for s in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other, atol=0.1)


def test_the_same_numbers_in_another_process_whatever_its_global_seed() -> None:
    code = (
        "import torch, hashlib, equiangular as e; torch.manual_seed({}); torch.rand(5)\n"
        "print(hashlib.sha256(e.simplex_etf(10, 16, seed=3, dtype=torch.float64).numpy().tobytes()).hexdigest())"
    )
    run = [subprocess.run([sys.executable, "-c", code.format(s)], capture_output=True, check=True) for s in (0, 1)]
    assert run[0].stdout == run[1].stdout


@pytest.mark.parametrize("basis", BASES)
def test_global_generators_are_untouched(basis: str) -> None:
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    simplex_etf(10, 16, basis=basis)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()  # noqa: NPY002


def test_dct_spreads_every_vector_over_all_coordinates() -> None:
    frame = simplex_etf(64, 256, basis="dct", dtype=torch.float64)
    assert float(frame.square().max()) < 0.1  # the minimal basis has entries near 1
    assert float(simplex_etf(64, 256, basis="minimal").square().max()) > 0.9
    assert (frame.abs().sum(0) > 0).all()


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((1,), {}, "num_classes must be an integer >= 2, got 1"),
        ((0, 5), {}, "num_classes must be an integer >= 2, got 0"),
        ((2.5, 5), {}, "num_classes must be an integer >= 2, got 2.5"),
        ((100, 64), {}, r"K=100 classes needs d >= K-1 = 99 dimensions, got d=64. best_frame\(100, 64\).*projection"),
        ((5, 0), {}, "dim must be an integer >= 1, got 0"),
        ((5, 4), {"basis": "canonical"}, 'of K=5 classes needs d >= K = 5, got d=4. Use basis="minimal"'),
        ((5, 4), {"basis": "har"}, "did you mean 'haar'"),
        ((5, 4), {"seed": -1}, "seed must be an integer"),
        ((5, 4), {"dtype": torch.int64}, "dtype must be a floating-point dtype, got torch.int64"),
    ],
)
def test_bad_input(arguments: tuple, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        simplex_etf(*arguments, **options)


def test_more_vectors_than_dimensions_never_pass_silently() -> None:
    """Some implementations return ``frame @ eye(K, d)`` there, which is no ETF."""
    truncated = (10 / 9) ** 0.5 * (torch.eye(10, 9).double() - 1 / 10)
    assert gram_error(truncated) > 0.07
    assert gram_error(simplex_etf(10, 9, dtype=torch.float64)) < 1e-12
