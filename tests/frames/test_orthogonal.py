import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from equiangular.frames import haar_orthonormal, simplex_equiangular_tight_frame, simplex_etf
from equiangular.frames.orthogonal import hadamard_frame, orthoplex

N, D = 1500, 4


def first_entries(make) -> np.ndarray:
    return np.stack([make(np.random.default_rng(i), i) for i in range(N)])


def unsigned(rng: np.random.Generator, seed: int) -> np.ndarray:
    return np.linalg.qr(rng.standard_normal((D, D)))[0]


def uniform(rng: np.random.Generator, seed: int) -> np.ndarray:
    q, r = np.linalg.qr(rng.random((D, D)))
    return q * np.sign(np.diag(r))


def ours(rng: np.random.Generator, seed: int) -> np.ndarray:
    return haar_orthonormal(D, D, seed=seed).numpy()


def p_values(matrices: np.ndarray) -> list[float]:
    """Entries x of a Haar matrix: (x + 1)/2 ~ Beta((d-1)/2, (d-1)/2); its trace has mean 0 and variance 1."""
    marginal = stats.beta((D - 1) / 2, (D - 1) / 2)
    values = [stats.kstest((matrices[:, i, j] + 1) / 2, marginal.cdf).pvalue for i in range(D) for j in range(D)]
    trace = matrices.trace(axis1=1, axis2=2)
    values.append(stats.ttest_1samp(trace, 0).pvalue)
    values.append(stats.ttest_1samp(trace**2, 1).pvalue)
    turned = matrices @ unsigned(np.random.default_rng(10**6), 0)  # invariance under a fixed rotation
    values.append(stats.ks_2samp(turned[:, 0, 0], matrices[:, 0, 0]).pvalue)
    return values


def test_ours_is_haar_and_the_test_has_power() -> None:
    bonferroni = 0.001 / (D * D + 3)
    assert min(p_values(first_entries(ours))) > bonferroni
    assert min(p_values(first_entries(unsigned))) < bonferroni
    assert min(p_values(first_entries(uniform))) < bonferroni


def torch_frame(seed: int) -> np.ndarray:
    return simplex_etf(3, 6, seed=seed, dtype=torch.float64).numpy()


def numpy_frame(seed: int) -> np.ndarray:
    return simplex_equiangular_tight_frame(3, 6, seed=seed)


def uniform_frame(seed: int) -> np.ndarray:
    q, _ = np.linalg.qr(np.random.default_rng(seed).random((6, 3)))
    return np.sqrt(3 / 2) * (np.eye(3) - 1 / 3) @ q.T


@pytest.mark.parametrize(("make", "haar"), [(torch_frame, True), (numpy_frame, True), (uniform_frame, False)])
def test_a_frame_points_everywhere(make, haar: bool) -> None:
    """Each vertex of a Haar-oriented frame is uniform on the sphere; the frame of a uniform draw is not."""
    ones = np.ones(6) / np.sqrt(6)
    cosines = np.array([make(seed)[0] @ ones for seed in range(1000)])
    assert (stats.kstest((cosines + 1) / 2, stats.beta(2.5, 2.5).cdf).pvalue > 1e-4) == haar


def test_the_first_column_does_not_lean_towards_the_ones_vector() -> None:
    """E |cos| is sqrt(2 / (100 pi)) = 0.080 for a uniform direction in 100 dimensions, 0.87 for a uniform draw."""
    ones = np.ones(100) / 10
    ours_lean = np.mean([abs(haar_orthonormal(100, 10, seed=s).numpy()[:, 0] @ ones) for s in range(300)])
    wrong_lean = np.mean(
        [abs(np.linalg.qr(np.random.default_rng(s).random((100, 10)))[0][:, 0] @ ones) for s in range(9)]
    )
    assert ours_lean == pytest.approx(0.080, abs=0.02)
    assert wrong_lean > 0.8


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (5, 5), (40, 7)])
def test_columns_are_orthonormal(rows: int, columns: int) -> None:
    q = haar_orthonormal(rows, columns, seed=0)
    assert q.dtype == torch.float64
    assert torch.allclose(q.T @ q, torch.eye(columns, dtype=torch.float64), atol=1e-14)


@pytest.mark.parametrize(
    ("rows", "columns", "message"),
    [(2, 3, "rows must be an integer >= 3, got 2. 3 orthonormal"), (3, 0, "columns must be an integer >= 1")],
)
def test_bad_shapes(rows: int, columns: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        haar_orthonormal(rows, columns, seed=0)


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
def test_orthoplex_impossible_sizes(arguments: tuple[int, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        orthoplex(*arguments)
    with pytest.raises(ValueError, match=r"basis must be one of .*did you mean 'haar'"):
        orthoplex(3, 2, basis="har")


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


def test_hadamard_impossible_sizes() -> None:
    with pytest.raises(ValueError, match="num_classes must be an integer >= 2, got 1"):
        hadamard_frame(1, 4)
    with pytest.raises(ValueError, match="dim must be an integer >= 1, got 0"):
        hadamard_frame(4, 0)
