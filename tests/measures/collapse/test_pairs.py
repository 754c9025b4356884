"""Measures of all pairs: blocks of half the Gram matrix against all of it, near coincidence against differences."""

import math

import pytest
import torch

from equiangular.measures.collapse import pairs
from equiangular.measures.collapse.pairs import pair_measures


def by_differences(means: torch.Tensor, variances: torch.Tensor, classes: int) -> dict[str, torch.Tensor]:
    """The definitions, over all pairs at once."""
    k = len(means)
    other = ~torch.eye(k, dtype=torch.bool)
    norms = means.norm(dim=1)
    unit = torch.where(norms[:, None] > 0, means / norms[:, None], 0)
    cosines = (unit @ unit.T)[other]
    gram = means @ means.T
    etf = torch.eye(k, dtype=means.dtype) - 1 / classes
    apart = (unit[:, None] - unit).norm(dim=2)[other].log()
    distance = (means[:, None] - means).square().sum(2)
    return {
        "std": cosines.std(correction=0),
        "deviation": (cosines + 1 / (classes - 1)).abs().mean(),
        "max_cosine": cosines.max(),
        "etf": (gram / gram.norm() - etf / etf.norm()).norm(),
        "gnc2": apart.var(correction=0),
        "cdnv": ((variances[:, None] + variances) / (2 * distance))[other].mean(),
    }


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(("k", "d"), [(2, 3), (7, 4), (8, 30), (23, 5)])
def test_blocks_are_the_whole(k: int, d: int, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairs, "_BLOCK", 7)
    generator = torch.Generator().manual_seed(k)
    means = torch.randn(k, d, generator=generator, dtype=torch.float64)
    if k > 7:
        means[3] = 0
        means[5] = means[4] + 1e-9  # of one direction and all but one place
        means[6] = 2 * means[4]
        means[-1] = means[2] - 1e-3  # in another block
    variances = torch.rand(k, generator=generator, dtype=torch.float64)
    for classes in (k, k + 3):
        found = pair_measures(means, variances=variances, num_classes=classes, dtype=dtype)
        if k > 7:  # the reference's own rounding of directions that differ by nothing
            assert found.pop("gnc2") > 1
        expected = by_differences(means, variances, classes)
        for name, value in found.items():
            assert value.dtype == torch.float64
            tolerance = 1e-10 if dtype == torch.float64 else 3e-6
            assert math.isclose(float(value), float(expected[name]), rel_tol=tolerance, abs_tol=tolerance), name


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_close_points_keep_their_digits(dtype: torch.dtype) -> None:
    """Against differences in float64, for points from far apart to all but coinciding."""
    generator = torch.Generator().manual_seed(0)
    base = torch.randn(20, 6, generator=generator, dtype=torch.float64)
    shifts = 10.0 ** torch.linspace(-12, 0, 20, dtype=torch.float64)[:, None]
    points = torch.cat([base, base + shifts * torch.randn(20, 6, generator=generator, dtype=torch.float64)])
    ones = torch.ones(len(points), dtype=torch.float64)
    expected = by_differences(points, ones, len(points))
    found = pair_measures(points, variances=ones, dtype=dtype)
    tolerance = 1e-9 if dtype == torch.float64 else 1e-4
    for name in ("cdnv", "gnc2"):
        assert abs(found[name] - expected[name]) <= tolerance * expected[name]
    naive = points.square().sum(1)[:, None] + points.square().sum(1) - 2 * points @ points.T
    assert abs((1 / naive[~torch.eye(40, dtype=torch.bool)]).mean() - expected["cdnv"]) > 0.1 * expected["cdnv"]


def test_what_is_not_defined() -> None:
    means = torch.tensor([[1.0, 0.0], [1.0, 0.0], [-2.0, 0.0]], dtype=torch.float64)
    found = pair_measures(means, variances=torch.zeros(3, dtype=torch.float64))
    assert found["gnc2"] == math.inf
    assert found["cdnv"].isnan()
    assert pair_measures(means, variances=torch.ones(3, dtype=torch.float64))["cdnv"] == math.inf
    assert all(value.isnan() for value in pair_measures(means[:1]).values())
    assert pair_measures(means, wanted=("std",)).keys() == {"std"}
