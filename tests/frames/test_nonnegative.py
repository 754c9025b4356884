import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from equiangular.frames.nonnegative import nonnegative_orthogonal_frame, reachable_cosine, warn_unreachable
from equiangular.frames.simplex import simplex_etf


@settings(deadline=None)
@given(dim=st.integers(2, 60), data=st.data(), seed=st.integers(0, 100))
def test_orthonormal_nonnegative_and_every_coordinate_used(dim: int, data: st.DataObject, seed: int) -> None:
    num_classes = data.draw(st.integers(2, dim))
    weight = nonnegative_orthogonal_frame(num_classes, dim, seed=seed, dtype=torch.float64)
    gram = weight @ weight.T
    assert (gram - torch.diag(gram.diagonal()) == 0).all()
    assert (gram.diagonal() - 1).abs().max() < 1e-12
    assert weight.min() >= 0
    owned = (weight > 0).sum(1)
    assert owned.sum() == dim
    assert owned.max() - owned.min() <= 1
    assert (reachable_cosine(weight) - 1).abs().max() < 1e-12


def test_deal_is_random_but_repeatable() -> None:
    first = nonnegative_orthogonal_frame(5, 20, seed=0)
    assert torch.equal(first, nonnegative_orthogonal_frame(5, 20, seed=0))
    assert not torch.equal(first, nonnegative_orthogonal_frame(5, 20, seed=1))


def test_more_classes_than_coordinates() -> None:
    message = r"6 non-negative vectors cannot be orthogonal in 5 .* dim >= 6.*spread_frame\(6, 5\)"
    with pytest.raises(ValueError, match=message):
        nonnegative_orthogonal_frame(6, 5)


@settings(deadline=None)
@given(seed=st.integers(0, 1000), dim=st.integers(1, 8))
def test_no_nonnegative_direction_is_closer(seed: int, dim: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(6, dim, generator=generator, dtype=torch.float64)
    reachable = reachable_cosine(weight)
    unit = torch.nn.functional.normalize(weight, dim=1)
    tried = torch.nn.functional.normalize(torch.rand(500, dim, generator=generator, dtype=torch.float64), dim=1)
    assert ((tried @ unit.T).amax(0) <= reachable + 1e-12).all()
    axis = torch.eye(dim, dtype=torch.float64)[unit.argmax(1)]
    best = torch.where((unit > 0).any(1, keepdim=True), unit.clamp(min=0), axis)
    reached = (torch.nn.functional.normalize(best, dim=1) * unit).sum(1)
    assert torch.allclose(reached, reachable)


def test_half_of_an_etf_is_out_of_reach_behind_a_relu() -> None:
    haar = simplex_etf(100, 512, dtype=torch.float64)
    assert float(reachable_cosine(haar).mean()) == pytest.approx(0.5**0.5, abs=0.01)
    canonical = torch.eye(100) - 0.01  # sqrt(K/(K-1)) (I - 11^T/K) up to scale
    assert float(reachable_cosine(canonical).min()) == pytest.approx((99 / 100) ** 0.5, abs=1e-6)


def test_warning_names_the_classes_and_the_remedy() -> None:
    features = torch.rand(8, 32)
    with pytest.warns(UserWarning, match=r"cannot point at 10 of the 10 class vectors.*0\.\d+ to 0\.\d+.*BatchNorm"):
        assert warn_unreachable(features, simplex_etf(10, 32))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not warn_unreachable(features - 0.1, simplex_etf(10, 32))
        assert not warn_unreachable(features, nonnegative_orthogonal_frame(10, 32))
        assert not warn_unreachable(features[:0], simplex_etf(10, 32))


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="features must have width 5"):
        warn_unreachable(torch.rand(2, 4), torch.eye(5))
    with pytest.raises(ValueError, match="zero-norm row"):
        reachable_cosine(torch.zeros(2, 3))
