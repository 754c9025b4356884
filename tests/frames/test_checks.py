import re

import numpy as np
import pytest
import torch

from equiangular import (
    assert_simplex_etf,
    class_mean_frame,
    frame_report,
    is_simplex_etf,
    simplex_etf,
    why_not_simplex_etf,
)
from equiangular.frames import etf_distance, nearest_simplex_etf, one_vs_rest_distance, reachable_cosine
from equiangular.frames.checks import gram_tiles
from equiangular.frames.code_objectives import cosine_range
from equiangular.heads import unit_normalize
from equiangular.measures import principal_subspace


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize(("k", "d"), [(2, 1), (10, 9), (64, 128), (513, 512)])
@pytest.mark.parametrize("basis", ["haar", "minimal", "dct"])
def test_every_frame_of_ours_passes_at_its_own_precision(k: int, d: int, basis: str, dtype: torch.dtype) -> None:
    weight = simplex_etf(k, d, basis=basis, dtype=dtype)
    assert is_simplex_etf(weight)
    assert why_not_simplex_etf(weight) is None


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("k", [100, 600])
def test_orthonormal_rows_are_no_etf_in_half_precision_either(k: int, dtype: torch.dtype) -> None:
    reason = why_not_simplex_etf(torch.eye(k, dtype=dtype))
    if 1 / (k - 1) < torch.finfo(dtype).eps * 2:  # too small for the tolerance on pairs to see
        assert re.search(r"sum to a vector of squared norm 1 K, not 0, and atol=\S+ is too wide", reason)
    else:
        assert "rows 0 and 1 have inner product 0" in reason


def frame() -> torch.Tensor:
    return simplex_etf(6, 8, dtype=torch.float64)


def changed(row: int, factor: float) -> torch.Tensor:
    vectors = frame()
    vectors[row] *= factor
    return vectors


def swapped_sign() -> torch.Tensor:
    vectors = frame()
    vectors[4] *= -1
    return vectors


@pytest.mark.parametrize(
    ("vectors", "reason"),
    [
        (changed(2, 1.5), r"row 2 has norm 1.5, not 1$"),
        (2 * frame(), r"row \d has norm 2, not 1; divided by their common norm 2 they are one"),
        (changed(0, 1 + 8e-7), r"row 0 has norm 1\.0000008, not 1$"),
        (swapped_sign(), r"rows \d and \d have inner product 0.2, not -1/\(K-1\) = -0.2: off by 0.4"),
        (torch.eye(4, 3), "row 3 has norm 0"),
        (torch.nn.functional.normalize(torch.randn(9, 4, generator=torch.Generator().manual_seed(0))), "needs d >= 8"),
        (torch.full((2, 2), float("nan")), "NaN"),
    ],
)
def test_reasons(vectors: torch.Tensor, reason: str) -> None:
    assert re.search(reason, why_not_simplex_etf(vectors))
    assert is_simplex_etf(vectors) is False
    with pytest.raises(ValueError, match="not a simplex ETF: "):
        assert_simplex_etf(vectors)


def test_reasons_were_asked_for_by_an_option() -> None:
    for vectors in (frame(), swapped_sign()):
        reason = why_not_simplex_etf(vectors)
        with pytest.warns(DeprecationWarning, match=r"written why_not_simplex_etf\(weight\) now"):
            assert is_simplex_etf(vectors, explain=True) == (reason is None, reason)
        assert is_simplex_etf(vectors, explain=False) is (reason is None)


def test_the_tolerance_counts() -> None:
    noisy = frame() + 1e-5 * torch.randn(6, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert not is_simplex_etf(noisy)
    assert is_simplex_etf(noisy, atol=1e-3)


def test_an_array_will_do() -> None:
    assert is_simplex_etf(np.array([[1.0], [-1.0]]))
    assert is_simplex_etf([[1.0], [-1.0]])
    with pytest.raises(ValueError, match=r"weight must be a \(K, d\) tensor or array of numbers, got str"):
        is_simplex_etf("frame.npy")


@pytest.mark.parametrize("bad", [torch.zeros(3), torch.ones(3, 3, dtype=torch.long), torch.ones(1, 3)])
def test_not_a_frame_at_all(bad: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"floating-point \(K, d\) matrix with K >= 2"):
        is_simplex_etf(bad)


def test_tiles_cover_the_gram_matrix() -> None:
    x = torch.randn(17, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for entries in (1, 17, 40, 10_000):
        tiles = list(gram_tiles(x, entries=entries))
        assert [t[0] for t in tiles] == [0, *[t[1] for t in tiles][:-1]]
        assert torch.allclose(torch.cat([t[2] for t in tiles]), x @ x.T)


def test_a_precision_without_a_tolerance_of_its_own_has_a_strict_one() -> None:
    frame = simplex_etf(3, 4).to(torch.float8_e4m3fn)
    assert not is_simplex_etf(frame)
    assert is_simplex_etf(frame, atol=0.1)


VECTORS = torch.randn(5, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
# Of which the size of the rows says nothing.
SIZE_FREE = {
    "frame_report": lambda v: torch.tensor([frame_report(v).max_cosine, frame_report(v).rank], dtype=torch.float64),
    "etf_distance": etf_distance,
    "cosine_range": lambda v: torch.tensor(cosine_range(v), dtype=torch.float64),
    "reachable_cosine": reachable_cosine,
    "class_mean_frame": lambda v: class_mean_frame(v, 6, dtype=torch.float64),
    "nearest_simplex_etf": nearest_simplex_etf,
    "principal_subspace": lambda v: principal_subspace(v, 3).abs(),
    "unit_normalize": unit_normalize,
}


@pytest.mark.parametrize("power", [-600, -60, 60, 440, 600, 720, 1020])
@pytest.mark.parametrize("name", SIZE_FREE)
def test_the_size_of_the_rows_makes_no_difference(name: str, power: int) -> None:
    """Squares leave the range from 2^512 on, and were 0, infinite or LAPACK's error."""
    if name == "unit_normalize" and power < 0:  # a norm up to 1e-12 counts as zero there
        return
    found = SIZE_FREE[name](VECTORS * 2.0**power)
    torch.testing.assert_close(found, SIZE_FREE[name](VECTORS), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("power", [-600, 60, 1000])
def test_distances_are_as_large_as_the_rows(power: int) -> None:
    near = one_vs_rest_distance(VECTORS * 2.0**power, tolerance=2.0**power * 1e-9)
    for found, expected in zip(near, one_vs_rest_distance(VECTORS, tolerance=1e-9), strict=True):
        torch.testing.assert_close(found / 2.0**power, expected, rtol=1e-9, atol=1e-9)
