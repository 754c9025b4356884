"""Class vectors that follow class means, against cosines computed by NumPy."""

import numpy as np
import pytest
import torch

from equiangular.frames import class_mean_frame, is_simplex_etf

MEANS = torch.randn(6, 40, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + 3.0


def cosines_of(means: torch.Tensor) -> np.ndarray:
    rows = means.numpy() - means.numpy().mean(0)
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return rows @ rows.T


@pytest.mark.parametrize("dim", [6, 9, 64])
@pytest.mark.parametrize("similarity", [1.0, 0.5, 0.0])
def test_cosines_are_those_of_the_means_mixed_with_the_etf(dim: int, similarity: float) -> None:
    frame = class_mean_frame(MEANS, dim, similarity=similarity, dtype=torch.float64)
    etf = np.full((6, 6), -0.2) + 1.2 * np.eye(6)
    expected = (1 - similarity) * etf + similarity * cosines_of(MEANS)
    np.testing.assert_allclose((frame @ frame.T).numpy(), expected, atol=1e-12)
    assert frame.shape == (6, dim)
    assert is_simplex_etf(frame) == (similarity == 0)


def test_scale_and_offset_of_the_inputs_do_not_matter() -> None:
    first, second = (class_mean_frame(m, 8, dtype=torch.float64) for m in (MEANS, 7 * MEANS - 100))
    torch.testing.assert_close(first @ first.T, second @ second.T)


def test_fewer_dimensions_keep_the_largest_eigenvalues() -> None:
    frame = class_mean_frame(MEANS, 3, dtype=torch.float64)
    left, values, _ = np.linalg.svd(cosines_of(MEANS))
    expected = left[:, :3] * np.sqrt(values[:3])
    expected = expected / np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose((frame @ frame.T).numpy(), expected @ expected.T, atol=1e-10)


def test_seed_dtype_and_default_device() -> None:
    first, again, other = (class_mean_frame(MEANS, 8, seed=s) for s in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other, atol=0.1)
    assert first.dtype == torch.float32
    state = torch.get_rng_state()
    with torch.device("meta"):
        assert class_mean_frame(MEANS, 8).device.type == "cpu"  # where the means are
        assert class_mean_frame(MEANS, 8, device="meta").is_meta
    assert torch.equal(torch.get_rng_state(), state)
    assert class_mean_frame(MEANS.float(), 8).dtype == torch.float32


@pytest.mark.parametrize(
    ("means", "options", "message"),
    [
        (MEANS, {"similarity": 1.5}, r"similarity must lie in \[0, 1\], got 1.5"),
        (MEANS, {"similarity": True}, "similarity must lie"),
        (MEANS[:1], {}, "2"),
        (MEANS * float("nan"), {}, "means has NaN"),
        (torch.tensor([[1.0, 0.0], [3.0, 0.0], [2.0, 0.0]]), {}, "mean of class 2 is the mean of all"),
        (torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), {}, "classes 0 and 1 would have the same vector"),
        (MEANS, {"dim": 0}, "dim must be an integer >= 1"),
    ],
)
def test_bad_input(means: torch.Tensor, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        class_mean_frame(means, **{"dim": 8, **options})


def test_classes_that_coincide_are_kept_apart_by_less_similarity() -> None:
    frame = class_mean_frame(torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), 4, similarity=0.9)
    assert float(frame[0] @ frame[1]) < 0.95
