"""Checks on real data, run where EQUIANGULAR_DATA names a folder of it."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from equiangular.data import load_dataset
from equiangular.longtail import long_tail_counts, long_tail_indices

ROOT = os.environ.get("EQUIANGULAR_DATA", "")
pytestmark = [
    pytest.mark.skipif(not ROOT, reason="EQUIANGULAR_DATA is not set"),
    pytest.mark.slow,
]


@pytest.fixture(autouse=True, scope="module")
def _own_cache(tmp_path_factory):
    before = os.environ.get("EQUIANGULAR_CACHE")
    os.environ["EQUIANGULAR_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield
    os.environ.pop("EQUIANGULAR_CACHE")
    if before is not None:
        os.environ["EQUIANGULAR_CACHE"] = before


@pytest.mark.parametrize(
    ("name", "size", "shape", "num_classes", "train", "test", "largest", "smallest"),
    [
        ("cifar10_lt50", None, (3, 32, 32), 10, 13_996, 10_000, 5000, 100),
        ("cifar100_lt50", None, (3, 32, 32), 100, 12_608, 10_000, 500, 10),
        ("plankton", 32, (1, 32, 32), 121, 24_221, 6_115, 1583, 7),
        ("letter", None, (16,), 26, 16_000, 4_000, 648, 576),
        ("wine_quality_white", None, (11,), 7, 3_918, 980, 1758, 4),
        ("clinc150_imbalanced", None, (4096,), 151, 10_625, 5_500, 100, 25),
    ],
)
def test_sizes(name, size, shape, num_classes, train, test, largest, smallest):
    if not (Path(ROOT) / name).exists():
        pytest.skip(f"{name} is not there")
    data = load_dataset(name, size=size)
    assert (data.input_shape, data.num_classes) == (shape, num_classes)
    assert (len(data.train_y), len(data.test_y)) == (train, test)
    assert (data.train_counts.max(), data.train_counts.min()) == (largest, smallest)


def test_cifar_pixels_and_cuts():
    if not (Path(ROOT) / "cifar10_lt50").exists():
        pytest.skip("cifar10_lt50 is not there")
    data = load_dataset("cifar10_lt50")
    mean = data.test_x.double().mean((0, 2, 3)) / 255
    np.testing.assert_allclose(mean, [0.4942, 0.4851, 0.4504], atol=5e-4)  # published for the 10,000 test images
    for factor in (50, 100, 200):
        counts = np.bincount(data.train_y[long_tail_indices(data.train_y, factor)])
        assert counts.tolist() == long_tail_counts(5000, 10, factor)
