import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from equiangular.frames.orthogonal import hadamard_frame


def sylvester(n: int) -> torch.Tensor:
    matrix = torch.ones(1, 1)
    while len(matrix) < n:
        matrix = torch.kron(torch.tensor([[1.0, 1], [1, -1]]), matrix)
    return matrix


@pytest.mark.parametrize("n", [2, 4, 32, 512])
def test_full_size_is_sylvesters_matrix(n: int) -> None:
    assert torch.equal(hadamard_frame(n, n), sylvester(n) / n**0.5)


@settings(deadline=None)
@given(dim=st.integers(2, 70), data=st.data())
def test_exactly_orthogonal_up_to_the_power_of_two_below(dim: int, data: st.DataObject) -> None:
    num_classes = data.draw(st.integers(2, 2 ** (dim.bit_length() - 1)))
    weight = hadamard_frame(num_classes, dim, dtype=torch.float64)
    assert weight.shape == (num_classes, dim)
    assert (weight @ weight.T - torch.eye(num_classes)).abs().max() < 1e-12


@pytest.mark.parametrize(
    ("num_classes", "dim"), [(100, 65), (600, 513), (2000, 512), pytest.param(9000, 128, marks=pytest.mark.slow)]
)
def test_random_columns_are_nearly_orthogonal(num_classes: int, dim: int) -> None:
    weight = hadamard_frame(num_classes, dim, seed=1, dtype=torch.float64)
    assert torch.allclose(weight.abs(), torch.full_like(weight, dim**-0.5))
    n = 1 << (max(num_classes, dim) - 1).bit_length()
    expected = ((n - dim) / ((n - 1) * dim)) ** 0.5  # standard deviation of a sample without replacement
    cosines = (weight @ weight.T)[~torch.eye(num_classes, dtype=torch.bool)]
    assert float(cosines.square().mean().sqrt()) == pytest.approx(expected, rel=0.1)
    assert cosines.abs().max() < 7 * expected
    assert torch.equal(weight, hadamard_frame(num_classes, dim, seed=1, dtype=torch.float64))
    assert not torch.equal(weight, hadamard_frame(num_classes, dim, seed=2, dtype=torch.float64))


@pytest.mark.parametrize(("num_classes", "dim"), [(9, 3), (200, 8)])
def test_rows_that_agree_are_refused(num_classes: int, dim: int) -> None:
    message = rf"two of the {num_classes} rows agree .*Use spread_frame\({num_classes}, {dim}\)"
    with pytest.raises(ValueError, match=message):
        hadamard_frame(num_classes, dim)


def test_impossible_sizes() -> None:
    with pytest.raises(ValueError, match="num_classes must be an integer >= 2, got 1"):
        hadamard_frame(1, 4)
    with pytest.raises(ValueError, match="dim must be an integer >= 1, got 0"):
        hadamard_frame(4, 0)
