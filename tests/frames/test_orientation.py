import numpy as np
import pytest
import torch
from scipy.linalg import orthogonal_procrustes

from equiangular import simplex_etf
from equiangular.frames import nearest_orientation, nearest_simplex_etf
from equiangular.frames.closed_forms import minimal_simplex
from equiangular.frames.orthogonal import orthoplex


def randn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


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
def test_bad_input(frame: torch.Tensor, vectors: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        nearest_orientation(frame, vectors)


def test_a_mask_of_another_length() -> None:
    with pytest.raises(ValueError, match=r"seen of shape \(2,\)"):
        nearest_orientation(torch.eye(3), torch.eye(3), torch.tensor([True, False]))
