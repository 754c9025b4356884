from __future__ import annotations

import numpy as np
import pytest
import torch

from equiangular.training.augment.operations import NAMES
from equiangular.training.augment.policies import CHOICES, POLICIES, AutoAugment, RandAugment

SHAPE = (3, 32, 32)


def test_randaugment_draws_each_of_fourteen_equally_often():
    assert len(CHOICES) == 14
    drawn = RandAugment(3, 5).draw(7000, SHAPE, torch.Generator().manual_seed(0))
    assert drawn.shape == (7000, 3, 2)
    counts = np.bincount(drawn[..., 0].long().flatten(), minlength=len(NAMES))
    assert counts[NAMES.index("invert")] == 0
    assert np.delete(counts, NAMES.index("invert")).min() > 1300  # 1500 expected, 37 is the deviation
    assert (drawn[..., 1].abs() == 0.5).all()
    for name in ("rotate", "color"):
        assert 0.4 < (drawn[..., 1][drawn[..., 0] == NAMES.index(name)] > 0).float().mean() < 0.6
    for name in ("posterize", "solarize", "equalize"):
        assert (drawn[..., 1][drawn[..., 0] == NAMES.index(name)] > 0).all()


def test_policies_are_of_twentyfive_pairs():
    for pairs in POLICIES.values():
        assert len(pairs) == 25
        for name, probability, magnitude in (operation for pair in pairs for operation in pair):
            assert name in NAMES
            assert 0 <= probability <= 1
            assert 0 <= magnitude <= 9
    assert POLICIES["cifar10"][1] == (("rotate", 0.7, 2), ("translate_x", 0.3, 9))
    assert POLICIES["imagenet"][14] == (("color", 0.6, 4), ("contrast", 1.0, 8))
    assert POLICIES["svhn"][24] == (("shear_x", 0.7, 2), ("invert", 0.1, 0))


def test_autoaugment_follows_its_probabilities(monkeypatch):
    pair = (("rotate", 0.7, 3), ("color", 0.2, 9))
    monkeypatch.setitem(POLICIES, "cifar10", (pair,))
    drawn = AutoAugment().draw(4000, SHAPE, torch.Generator().manual_seed(0))
    for place, (name, probability, _) in enumerate(pair):
        operation = drawn[:, place, 0]
        done = operation == NAMES.index(name)
        assert (done | (operation == NAMES.index("identity"))).all()
        assert abs(float(done.float().mean()) - probability) < 0.03
    turned = drawn[:, 0, 1]
    torch.testing.assert_close(turned.abs(), torch.full_like(turned, 3 / 9))
    assert 0.45 < (turned > 0).float().mean() < 0.55
    assert (drawn[:, 1, 1] == 1).all()  # a factor of 1.9; the search found a direction, it is not drawn


def test_autoaugment_draws_sub_policies_uniformly():
    drawn = AutoAugment("svhn").draw(5000, SHAPE, torch.Generator().manual_seed(0))
    expected = np.zeros(len(NAMES))
    for pair in POLICIES["svhn"]:
        for name, probability, _ in pair:
            expected[NAMES.index(name)] += 5000 * probability / 25
            expected[0] += 5000 * (1 - probability) / 25
    found = np.bincount(drawn[..., 0].long().flatten(), minlength=len(NAMES))
    assert (np.abs(found - expected) <= 5 * np.sqrt(expected)).all()


def test_parameters_out_of_range():
    with pytest.raises(ValueError, match="number of operations of randaugment must be an integer >= 1"):
        RandAugment(0)
    with pytest.raises(ValueError, match=r"magnitude of randaugment must lie in \[0, 30\], got 31"):
        RandAugment(2, 31)
    with pytest.raises(ValueError, match=r"must be one of .*'svhn', got 'cifar'; did you mean 'cifar10'"):
        AutoAugment("cifar")
