"""Giving a head other classes."""

import pytest
import torch

from equiangular import simplex_etf
from equiangular.heads import ETFHead, make_head

from .conftest import D, K, features


def test_reset_keeps_device_dtype_frozen_state_and_seed(kind: str) -> None:
    head = make_head(kind, D, K, dtype=torch.float64, seed=3, scale="learned", norm="batch").eval()
    for parameter in head.parameters(recurse=False):
        parameter.requires_grad_(False)
    head.reset(7)
    fresh = make_head(kind, D, 7, dtype=torch.float64, seed=3, scale="learned")
    assert head.num_classes == 7
    assert not head.training
    assert not any(p.requires_grad for p in head.parameters(recurse=False))
    assert head.norm.weight.requires_grad
    torch.testing.assert_close(head.weight, fresh.weight)
    torch.testing.assert_close(head.scale, fresh.scale)
    assert head(features(dtype=torch.float64)).shape == (6, 7)
    head.reset(0)
    assert torch.equal(head(features(dtype=torch.float64)), head(features(dtype=torch.float64), pre_logits=True))
    assert "weight" not in head.state_dict()
    head.reset(4)
    assert head.weight.dtype == torch.float64
    assert not any(p.requires_grad for p in head.parameters(recurse=False))


def test_reset_keeps_trained_batchnorm_and_projection_where_they_fit() -> None:
    head = ETFHead(D, K, projection="linear", norm="batch")  # dim = 4
    with torch.no_grad():
        head.projection.weight.fill_(0.5)
        head.norm.weight.fill_(0.25)
    head.reset(3)
    assert head.dim == 4
    assert head.projection.weight.eq(0.5).all()
    assert head.norm.weight.eq(0.25).all()
    head.reset(9)
    assert head.dim == 8
    assert head(features()).shape == (6, 9)


def test_a_reset_that_does_not_fit_changes_nothing() -> None:
    head = ETFHead(D, K)
    before = head(features())
    with pytest.raises(ValueError, match=r"K=20 classes needs features of width >= 19, got d=8"):
        head.reset(20)
    assert head.num_classes == K
    assert torch.equal(head(features()), before)


def test_no_classes_from_the_start(kind: str) -> None:
    head = make_head(kind, D, 0, normalize=False)
    assert torch.equal(head(features()), features())
    with pytest.raises(ValueError, match="num_classes=0 has no targets"):
        head.targets(torch.tensor([0]))


def test_nor_does_one_that_does_not_fit_behind_a_projection() -> None:
    head = ETFHead(D, 4, projection="linear", norm="batch", prototypes=simplex_etf(4, 3)).eval()
    before = head(features())
    with pytest.raises(ValueError, match="cannot draw 9 new ones"):
        head.reset(9)
    assert (head.num_classes, head.dim) == (4, 3)
    assert torch.equal(head(features()), before)
