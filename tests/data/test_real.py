"""Checks on real data, run where EQUIANGULAR_DATA names a folder of it."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from equiangular.data import load_dataset, stream_batches
from equiangular.longtail import long_tail_counts, long_tail_indices

ROOT = os.environ.get("EQUIANGULAR_DATA", "")
pytestmark = [pytest.mark.skipif(not ROOT, reason="EQUIANGULAR_DATA is not set"), pytest.mark.slow]


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
        ("cifar100_lt50", "stream", (3, 32, 32), 100, 12_608, 10_000, 500, 10),
        ("plankton", 48, (1, 48, 48), 121, 24_221, 6_115, 1583, 7),
        ("letter", None, (16,), 26, 16_000, 4_000, 648, 576),
        ("wine_quality_white", None, (11,), 7, 3_918, 980, 1758, 4),
        ("clinc150_imbalanced", None, (4096,), 151, 10_625, 5_500, 100, 25),
        ("banking77", None, (4096,), 77, 10_003, 3_080, 187, 35),
        ("fashion_mnist", "stream", (3, 28, 28), 10, 60_000, 10_000, 6000, 6000),
    ],
)
def test_sizes(name, size, shape, num_classes, train, test, largest, smallest):
    if not (Path(ROOT) / name).exists():
        pytest.skip(f"{name} is not there")
    # What has 70,000 images is not decoded: those of the other sets are.
    data = load_dataset(name, memory="stream") if size == "stream" else load_dataset(name, size=size)
    assert (data.input_shape, data.num_classes) == (shape, num_classes)
    assert (len(data.train_y), len(data.test_y)) == (train, test)
    assert (data.train_counts.max(), data.train_counts.min()) == (largest, smallest)
    assert not any(name.isdigit() for name in data.class_names) or name == "wine_quality_white"  # graded 3 to 9


def test_cifar_pixels_and_cuts():
    if not (Path(ROOT) / "cifar10_lt50").exists():
        pytest.skip("cifar10_lt50 is not there")
    data = load_dataset("cifar10_lt50")
    mean = data.test_x.double().mean((0, 2, 3)) / 255
    np.testing.assert_allclose(mean, [0.4942, 0.4851, 0.4504], atol=5e-4)  # published for the 10,000 test images
    for factor in (50, 100, 200):
        counts = np.bincount(data.train_y[long_tail_indices(data.train_y, factor)])
        assert counts.tolist() == long_tail_counts(5000, 10, factor)


def test_plankton_as_an_image_folder_and_as_a_stream(tmp_path):
    """The same images from parquet, from files in class folders, and decoded by workers on demand."""
    file = Path(ROOT) / "plankton" / "test.parquet"
    if not file.exists():
        pytest.skip("plankton is not there")
    rows = pq.read_table(file).slice(0, 400).to_pylist()
    labels = np.array([row["label"] for row in rows])
    kept = [row for row in rows if (labels == row["label"]).sum() >= 5]
    for i, row in enumerate(kept):
        folder = tmp_path / "train" / f"class{row['label']:03d}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{i:03d}.jpg").write_bytes(row["image"]["bytes"])
    data = load_dataset(tmp_path, size=48, split_seed=1)
    whole = load_dataset("plankton", size=48)
    assert len(data.train_y) + len(data.test_y) == len(kept)
    assert data.num_classes == len({row["label"] for row in kept})
    known = {image.numpy().tobytes(): int(y) for image, y in zip(whole.test_x, whole.test_y, strict=True)}
    for image, label in zip(data.train_x, data.train_y, strict=True):
        assert data.class_names[int(label)] == f"class{known[image.numpy().tobytes()]:03d}"
    assert (whole.test_x[:, :, 0, 0] > 200).float().mean() > 0.9  # padded on white
    stream = load_dataset("plankton", size=48, memory="stream")
    order = torch.randperm(len(stream.train_y), generator=torch.Generator().manual_seed(0))[:256].split(64)
    for index, batch in zip(order, stream_batches(stream.train_x, order, workers=2), strict=True):
        assert (batch == whole.train_x[index]).all()
