import numpy as np
import pytest
import torch
from scipy.linalg import orthogonal_procrustes
from scipy.optimize import minimize

from equiangular import is_simplex_etf, nearest_simplex_etf, simplex_etf
from equiangular.frames import etf_distance, nearest_orientation
from equiangular.frames.closed_forms import minimal_simplex
from equiangular.frames.orthogonal import orthoplex


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


@pytest.mark.parametrize(("k", "d"), [(4, 3), (5, 9), (30, 64)])
def test_for_a_simplex_it_is_the_nearest_etf(k: int, d: int) -> None:
    vectors = randn(k, d)
    torch.testing.assert_close(nearest_orientation(minimal_simplex(k), vectors), nearest_simplex_etf(vectors))
    torch.testing.assert_close(nearest_orientation(simplex_etf(k, d).double(), vectors), nearest_simplex_etf(vectors),
                               atol=1e-6, rtol=0)  # fmt: skip


@pytest.mark.parametrize(("k", "d"), [(12, 4), (40, 8), (6, 6)])
def test_against_scipys_procrustes(k: int, d: int) -> None:
    frame, vectors = randn(k, d), randn(k, d, seed=1)
    rotation, _ = orthogonal_procrustes(frame.numpy(), vectors.numpy())
    torch.testing.assert_close(nearest_orientation(frame, vectors), torch.from_numpy(frame.numpy() @ rotation))


@pytest.mark.parametrize(("frame", "d"), [(randn(12, 4), 4), (randn(5, 3), 9), (randn(5, 30), 7), (randn(40, 8), 8)])
def test_inner_products_stay_and_a_turned_frame_is_found_again(frame: torch.Tensor, d: int) -> None:
    moved = nearest_orientation(frame, randn(len(frame), d, seed=2))
    torch.testing.assert_close(moved @ moved.T, frame @ frame.T)
    torch.testing.assert_close(nearest_orientation(frame, 0.1 * moved), moved)


def test_rows_that_are_not_seen_do_not_count_but_follow() -> None:
    frame, seen = orthoplex(8, 4, dtype=torch.float64), torch.tensor([True] * 5 + [False] * 3)
    turned = frame @ torch.linalg.qr(randn(4, 4))[0]
    vectors = torch.where(seen[:, None], turned, 100.0)
    torch.testing.assert_close(nearest_orientation(frame, vectors, seen), turned)
    rotation, _ = orthogonal_procrustes(frame[seen].numpy(), randn(8, 4, seed=3)[seen].numpy())
    expected = torch.from_numpy(np.asarray(frame) @ rotation)
    torch.testing.assert_close(nearest_orientation(frame, randn(8, 4, seed=3), seen), expected)


@pytest.mark.parametrize(
    ("frame", "vectors", "message"),
    [
        (torch.eye(3), torch.ones(3, 2), "rank 3 does not fit into d=2"),
        (torch.eye(3), torch.ones(4, 3), "frame has 3 rows for 4 vectors"),
        (torch.eye(2), torch.tensor([[0.0, float("nan")], [1.0, 0.0]]), "vectors has NaN"),
    ],
)
def test_orientation_bad_input(frame: torch.Tensor, vectors: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        nearest_orientation(frame, vectors)


def test_a_mask_of_another_length() -> None:
    with pytest.raises(ValueError, match=r"seen of shape \(2,\)"):
        nearest_orientation(torch.eye(3), torch.eye(3), torch.tensor([True, False]))
