import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from equiangular import is_simplex_etf, nearest_simplex_etf, simplex_etf
from equiangular.frames import etf_distance


def randn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize(("k", "d"), [(2, 1), (5, 4), (5, 9), (30, 64), (200, 199)])
def test_an_etf_is_its_own_nearest(k: int, d: int) -> None:
    frame = simplex_etf(k, d, seed=4, dtype=torch.float64)
    assert torch.allclose(nearest_simplex_etf(3 * frame + randn(d)), frame, atol=1e-12)
    assert float(etf_distance(frame * torch.rand(k, 1, generator=torch.Generator().manual_seed(0)).double())) < 1e-12


@pytest.mark.parametrize(("k", "d"), [(4, 3), (5, 9), (30, 64)])
def test_the_result_is_an_etf_and_no_random_one_is_closer(k: int, d: int) -> None:
    vectors = randn(k, d)
    best = nearest_simplex_etf(vectors)
    assert is_simplex_etf(best, atol=1e-10)
    distance = (vectors - best).norm()
    for seed in range(50):
        assert (vectors - simplex_etf(k, d, seed=seed, dtype=torch.float64)).norm() >= distance


def test_against_a_search_over_rotations_of_the_plane() -> None:
    vectors, base = randn(3, 2).numpy(), simplex_etf(3, 2, dtype=torch.float64).numpy()

    def cost(angle: float, flip: float) -> float:
        c, s = np.cos(angle), np.sin(angle)
        return float(np.sum((vectors - base @ np.array([[c, -s], [flip * s, flip * c]])) ** 2))

    starts = np.linspace(0, 2 * np.pi, 12)
    best = min(minimize(lambda a, f=flip: cost(a[0], f), [x]).fun for flip in (1.0, -1.0) for x in starts)
    ours = float((torch.from_numpy(vectors) - nearest_simplex_etf(torch.from_numpy(vectors))).square().sum())
    assert ours == pytest.approx(best, rel=1e-8)


def test_collapsed_means_still_have_a_nearest_etf() -> None:
    assert is_simplex_etf(nearest_simplex_etf(torch.ones(4, 6, dtype=torch.float64)), atol=1e-10)
    for k, d, rank in [(4, 6, 1), (4, 3, 1), (10, 9, 5), (10, 9, 8)]:
        means = randn(k, rank) @ randn(rank, d, seed=1)
        nearest = nearest_simplex_etf(means)
        assert is_simplex_etf(nearest, atol=1e-10)
        for seed in range(20):
            other = simplex_etf(k, d, seed=seed, dtype=torch.float64)
            assert (means - nearest).norm() <= (means - other).norm()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_result_has_the_dtype_of_the_input(dtype: torch.dtype) -> None:
    means = randn(6, 8).to(dtype)
    assert torch.equal(nearest_simplex_etf(means), nearest_simplex_etf(means.double()).to(dtype))
    assert etf_distance(means).dtype == torch.float64


def test_the_distance_ignores_rotation_and_scale_and_sees_a_deviation() -> None:
    vectors, rotation = randn(6, 8), torch.linalg.qr(randn(8, 8))[0]
    assert float(etf_distance(vectors)) == pytest.approx(float(etf_distance(5 * vectors @ rotation)))
    frame = simplex_etf(6, 8, dtype=torch.float64)
    distances = [float(etf_distance(frame + size * randn(6, 8))) for size in (1e-6, 1e-3, 1e-1)]
    assert distances == sorted(distances)
    assert 1e-8 < distances[0] < 1e-5


def test_the_nuclear_norm_form_of_the_distance() -> None:
    vectors = torch.nn.functional.normalize(randn(6, 8))
    nuclear = torch.linalg.svdvals(vectors.T @ simplex_etf(6, basis="minimal", dtype=torch.float64)).sum()
    assert float(etf_distance(vectors)) == pytest.approx(float((2 - 2 * nuclear / 6).sqrt()))


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        (torch.ones(9, 4), "9 vectors in d=4 dimensions .* needs d >= 8"),
        (torch.ones(1, 4), "num_classes must be"),
        (torch.tensor([[1.0, float("nan")], [0.0, 1.0]]), "NaN"),
    ],
)
def test_bad_input(vectors: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        nearest_simplex_etf(vectors)


def test_a_zero_row_has_no_distance() -> None:
    with pytest.raises(ValueError, match="zero-norm row"):
        etf_distance(torch.tensor([[1.0, 0.0], [0.0, 0.0]]))
