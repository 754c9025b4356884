import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from equiangular.frames.gram import check_gram, frame_from_gram, nearest_correlation
from equiangular.frames.simplex import simplex_etf


def random_gram(k: int, rank: int, seed: int) -> torch.Tensor:
    vectors = torch.randn(k, rank, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    unit = torch.nn.functional.normalize(vectors, dim=1)
    return unit @ unit.T


@settings(deadline=None)
@given(k=st.integers(2, 20), rank=st.integers(1, 10), extra=st.integers(0, 5), seed=st.integers(0, 1000))
def test_the_frame_has_the_cosines_asked_for(k: int, rank: int, extra: int, seed: int) -> None:
    gram = random_gram(k, rank, seed)
    dim = min(k, rank) + extra
    weight = frame_from_gram(gram, dim, seed=seed, dtype=torch.float64, atol=1e-12)
    assert weight.shape == (k, dim)
    assert (weight @ weight.T - gram).abs().max() < 1e-6


def test_dim_defaults_to_the_rank_and_the_seed_turns() -> None:
    etf = simplex_etf(7, 6, dtype=torch.float64)
    weight = frame_from_gram(etf @ etf.T, dtype=torch.float64)
    assert weight.shape == (7, 6)
    other = frame_from_gram(etf @ etf.T, seed=1, dtype=torch.float64)
    assert not torch.allclose(weight, other, atol=1e-2)
    assert torch.allclose(weight @ weight.T, other @ other.T)


def test_arrays_and_lists() -> None:
    assert frame_from_gram(np.eye(3), 4).shape == (3, 4)
    assert frame_from_gram([[1, 0], [0, 1]]).dtype == torch.get_default_dtype()


HIGHAM = [[2, -1, 0, 0], [-1, 2, -1, 0], [0, -1, 2, -1], [0, 0, -1, 2]]
# Higham 2002, section 4, to the four digits printed there.
HIGHAM_NEAREST = [
    [1.0000, -0.8084, 0.1916, 0.1068],
    [-0.8084, 1.0000, -0.6562, 0.1916],
    [0.1916, -0.6562, 1.0000, -0.8084],
    [0.1068, 0.1916, -0.8084, 1.0000],
]


def test_nearest_correlation_of_the_paper() -> None:
    nearest = nearest_correlation(torch.tensor(HIGHAM))
    assert torch.allclose(nearest, torch.tensor(HIGHAM_NEAREST, dtype=torch.float64), atol=6e-5)


@settings(deadline=None, max_examples=25)
@given(k=st.integers(2, 7), seed=st.integers(0, 1000))
def test_nearest_correlation_is_one_and_nothing_near_is_nearer(k: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    matrix = torch.rand(k, k, generator=generator, dtype=torch.float64) * 2 - 1
    matrix = ((matrix + matrix.T) / 2).fill_diagonal_(1)
    nearest = nearest_correlation(matrix)
    assert torch.equal(nearest.diagonal(), torch.ones(k, dtype=torch.float64))
    assert torch.linalg.eigvalsh(nearest)[0] > -1e-12
    distance = torch.linalg.matrix_norm(nearest - matrix)
    for rank in (1, 2, k):
        other = random_gram(k, rank, seed)
        for step in (1e-3, 0.1, 1.0):  # correlation matrices are convex
            tried = (1 - step) * nearest + step * other
            assert torch.linalg.matrix_norm(tried - matrix) >= distance - 1e-6


def test_a_correlation_matrix_is_its_own_nearest() -> None:
    gram = random_gram(6, 3, 0)
    assert torch.allclose(nearest_correlation(gram), gram, atol=1e-8)


BAD = torch.tensor([[1.0, -0.9, -0.9], [-0.9, 1.0, -0.9], [-0.9, -0.9, 1.0]])


def test_impossible_cosines() -> None:
    with pytest.raises(ValueError, match=r"no vectors have these cosines: .* eigenvalue -0.8\. .*nearest=True"):
        frame_from_gram(BAD)
    weight = frame_from_gram(BAD, nearest=True, dtype=torch.float64)
    assert torch.allclose(weight @ weight.T, 1.5 * torch.eye(3, dtype=torch.float64) - 0.5, atol=1e-6)  # the simplex


def test_rank_above_dim() -> None:
    with pytest.raises(ValueError, match=r"Gram matrix has rank 5, got dim=4: .*need 5 dimensions"):
        frame_from_gram(torch.eye(5), 4)


@pytest.mark.parametrize(
    ("gram", "message"),
    [
        (torch.ones(2, 3), r"shape \(K, K\), got \(2, 3\)"),
        (torch.ones(1, 1), "num_classes must be an integer >= 2, got 1"),
        (torch.tensor([[1.0, 0.5], [0.4, 1.0]]), r"symmetric, got 0.[45] at \(0, 1\) and 0.[45] at \(1, 0\)"),
        (torch.tensor([[1.0, 0.5], [0.5, 2.0]]), r"ones on its diagonal, got 2 in row 1"),
        (torch.tensor([[1.0, 1.5], [1.5, 1.0]]), r"cosines lie in \[-1, 1\], got an entry of absolute value 1.5"),
        (torch.tensor([[1.0, float("nan")], [0.5, 1.0]]), "NaN or infinite"),
        ("text", "matrix of numbers, got str"),
    ],
)
def test_not_a_gram_matrix(gram: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_gram(gram)
