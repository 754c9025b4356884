import pytest
import torch

from equiangular.frames.orthogonal import orthoplex


@pytest.mark.parametrize("basis", ["haar", "canonical"])
@pytest.mark.parametrize(("num_classes", "dim"), [(2, 1), (3, 2), (4, 2), (7, 5), (10, 5), (5, 5), (600, 512)])
def test_unit_rows_at_right_angles_or_opposite(num_classes: int, dim: int, basis: str) -> None:
    weight = orthoplex(num_classes, dim, basis=basis, seed=3, dtype=torch.float64)
    expected = torch.eye(num_classes, dtype=torch.float64)
    for i in range(num_classes - dim):
        expected[i, i + dim] = expected[i + dim, i] = -1
    assert weight.shape == (num_classes, dim)
    assert (weight @ weight.T - expected).abs().max() < 1e-12


def test_orientation_is_random_but_repeatable() -> None:
    assert torch.equal(orthoplex(6, 4, seed=1), orthoplex(6, 4, seed=1))
    assert not torch.allclose(orthoplex(6, 4, seed=1), orthoplex(6, 4, seed=2))
    state = torch.get_rng_state()
    orthoplex(6, 4)
    assert torch.equal(state, torch.get_rng_state())


def test_cast_last() -> None:
    exact = orthoplex(6, 4, dtype=torch.float64)
    assert torch.equal(orthoplex(6, 4, dtype=torch.bfloat16), exact.to(torch.bfloat16))
    assert orthoplex(6, 4).dtype == torch.get_default_dtype()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((9, 4), r"orthoplex in 4 dimensions has 8 vertices, got num_classes=9. Use spread_frame\(9, 4\).*least 5"),
        ((1, 4), "num_classes must be an integer >= 2, got 1"),
        ((2, 0), "dim must be an integer >= 1, got 0"),
    ],
)
def test_impossible_sizes(arguments: tuple[int, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        orthoplex(*arguments)
    with pytest.raises(ValueError, match=r"basis must be one of .*did you mean 'haar'"):
        orthoplex(3, 2, basis="har")
