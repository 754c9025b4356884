import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from equiangular.frames import rankin_bound, simplex_etf, welch_bound
from equiangular.frames.bounds import _largest_jacobi_zero, levenshtein_bound


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


# Sharp configurations (Cohn and Kumar 2007, table 1): the bound is attained.
SHARP = [
    (12, 3, 5**-0.5),
    (16, 5, 1 / 5),
    (27, 6, 1 / 4),
    (56, 7, 1 / 3),
    (240, 8, 1 / 2),
    (112, 21, 1 / 9),
    (162, 21, 1 / 7),
    (100, 22, 1 / 11),
    (275, 22, 1 / 6),
    (891, 22, 1 / 4),
    (552, 23, 1 / 5),
    (4600, 23, 1 / 3),
    (196560, 24, 1 / 2),
    (756, 105, 1 / 25),
]
# Optimal by other proofs: the bound is strictly below.
NOT_SHARP = [(8, 3, 0.261204), (10, 4, 1 / 6), (24, 4, 0.5), (120, 4, math.cos(math.pi / 5)), (4224, 64, 1 / 8)]


@pytest.mark.parametrize(("num_classes", "dim", "cosine"), SHARP)
def test_attained_by_sharp_configurations(num_classes: int, dim: int, cosine: float) -> None:
    assert levenshtein_bound(num_classes, dim) == pytest.approx(cosine, abs=1e-12)


@pytest.mark.parametrize(("num_classes", "dim", "cosine"), NOT_SHARP)
def test_strictly_below_other_optima(num_classes: int, dim: int, cosine: float) -> None:
    assert cosine - 0.05 < levenshtein_bound(num_classes, dim) < cosine - 1e-4


@settings(deadline=None)
@given(dim=st.integers(2, 300), data=st.data())
def test_simplex_and_orthoplex(dim: int, data: st.DataObject) -> None:
    num_classes = data.draw(st.integers(2, dim + 1))
    assert levenshtein_bound(num_classes, dim) == pytest.approx(-1 / (num_classes - 1), abs=1e-12)
    assert levenshtein_bound(2 * dim, dim) == pytest.approx(0, abs=1e-9)


@settings(deadline=None)
@given(dim=st.integers(3, 40), num_classes=st.integers(3, 20000))
def test_grows_with_classes_and_falls_with_dimension(dim: int, num_classes: int) -> None:
    bound = levenshtein_bound(num_classes, dim)
    assert bound < levenshtein_bound(num_classes + 1, dim) < 1
    assert levenshtein_bound(num_classes, dim + 1) <= bound + 1e-12


@settings(deadline=None)
@given(dim=st.integers(3, 6), num_classes=st.integers(2, 60), seed=st.integers(0, 1000))
def test_no_random_code_is_below(dim: int, num_classes: int, seed: int) -> None:
    vectors = torch.randn(num_classes, dim, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    weight = torch.nn.functional.normalize(vectors, dim=1)
    largest = (weight @ weight.T).fill_diagonal_(-2).max()
    assert largest >= levenshtein_bound(num_classes, dim) - 1e-12


@pytest.mark.parametrize(("num_classes", "cosine"), [(2, -1.0), (3, -0.5), (4, 0.0), (6, 0.5), (12, 3**0.5 / 2)])
def test_plane(num_classes: int, cosine: float) -> None:
    assert levenshtein_bound(num_classes, 2) == pytest.approx(cosine, abs=1e-12)


def test_line() -> None:
    assert levenshtein_bound(2, 1) == -1
    assert levenshtein_bound(3, 1) == 1


@pytest.mark.parametrize("k", [1, 2, 3, 10, 60])
@pytest.mark.parametrize(("a", "b"), [(1.0, 1.0), (1.0, 0.0), (2.5, 1.5), (0.5, -0.5), (256.0, 255.0)])
def test_largest_zero_against_scipy(k: int, a: float, b: float) -> None:
    special = pytest.importorskip("scipy.special")
    assert _largest_jacobi_zero(k, a, b) == pytest.approx(special.roots_jacobi(k, a, b)[0].max(), abs=1e-12)


@pytest.mark.parametrize(("arguments", "message"), [((1, 3), "num_classes .* got 1"), ((5, 0), "dim .* got 0")])
def test_impossible_sizes(arguments: tuple[int, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        levenshtein_bound(*arguments)
