import math

import pytest
import torch

from equiangular.frames import rankin_bound, simplex_etf, welch_bound


def largest(vectors: torch.Tensor, *, absolute: bool) -> float:
    gram = vectors @ vectors.T
    gram.fill_diagonal_(-2 if not absolute else 0)
    return float(gram.abs().max() if absolute else gram.max())


@pytest.mark.parametrize(("k", "d"), [(2, 1), (5, 4), (10, 9), (5, 30)])
def test_the_simplex_attains_rankin(k: int, d: int) -> None:
    assert largest(simplex_etf(k, d, dtype=torch.float64), absolute=False) == pytest.approx(rankin_bound(k, d))


def test_the_orthoplex_attains_rankin() -> None:
    vectors = torch.cat([torch.eye(4), -torch.eye(4)])
    assert largest(vectors, absolute=False) == rankin_bound(8, 4) == 0


def test_known_equiangular_lines_attain_welch() -> None:
    golden = (1 + math.sqrt(5)) / 2
    rows = [[0, 1, golden], [0, 1, -golden], [1, golden, 0], [1, -golden, 0], [golden, 0, 1], [-golden, 0, 1]]
    vectors = torch.nn.functional.normalize(torch.tensor(rows, dtype=torch.float64))
    assert largest(vectors, absolute=True) == pytest.approx(welch_bound(6, 3))
    assert largest(simplex_etf(8, 7, dtype=torch.float64), absolute=True) == pytest.approx(welch_bound(8, 7))


@pytest.mark.parametrize(("k", "d"), [(5, 3), (20, 6), (100, 16)])
def test_no_random_set_beats_them(k: int, d: int) -> None:
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)
        vectors = torch.nn.functional.normalize(torch.randn(k, d, generator=generator, dtype=torch.float64))
        assert largest(vectors, absolute=False) >= rankin_bound(k, d)
        assert largest(vectors, absolute=True) >= welch_bound(k, d)


@pytest.mark.parametrize("bound", [welch_bound, rankin_bound])
def test_bad_input(bound) -> None:
    with pytest.raises(ValueError, match="num_classes"):
        bound(1, 3)
    with pytest.raises(ValueError, match="dim must be"):
        bound(3, 0)
