"""The orientation is Haar. The same test rejects an unsigned QR and a uniform draw, so it has power."""

import numpy as np
import pytest
import torch
from scipy import stats

from equiangular.frames import haar_orthonormal, simplex_equiangular_tight_frame, simplex_etf

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
