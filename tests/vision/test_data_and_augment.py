"""torchvision itself as the reference: its AutoAugment tables, its data sets, its image operations."""

from __future__ import annotations

import gzip
import struct

import numpy as np
import pytest
import torch
from torchvision import transforms
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as F

from equiangular.data import load_dataset
from equiangular.models import make_backbone
from equiangular.training.augment.operations import OPERATIONS
from equiangular.training.augment.policies import POLICIES
from equiangular.training.augment.steps import ResizedCrop


@pytest.mark.parametrize("name", POLICIES)
def test_the_published_sub_policies(name):
    policy = transforms.AutoAugmentPolicy(name)
    theirs = transforms.AutoAugment(policy).policies
    assert len(theirs) == len(POLICIES[name])
    for mine, other in zip(POLICIES[name], theirs, strict=True):
        for (operation, probability, magnitude), (title, share, level) in zip(mine, other, strict=True):
            assert operation.replace("_", "") == title.lower()
            assert probability == pytest.approx(share)
            assert magnitude == (level or 0)


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("posterize", lambda x, s: F.posterize(x, 8 - round(4 * s))),
        ("equalize", lambda x, s: F.equalize(x)),
        ("invert", lambda x, s: F.invert(x)),
        ("rotate", lambda x, s: F.rotate(x, 30 * s, InterpolationMode.NEAREST)),
    ],
)
def test_operations_on_tensors(name, reference):
    images = torch.randint(0, 256, (4, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    for strength in (0.25, 1.0):
        found = OPERATIONS[name](images, torch.full((4,), strength, dtype=torch.float64))
        same = (found == reference(images, strength)).float().mean()
        assert same > 0.99  # a pixel that a rotation takes from exactly between two may come from either


def test_resized_crop():
    images = torch.randint(0, 256, (3, 3, 16, 12), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    parts = torch.tensor([[2, 1, 9, 6], [0, 0, 16, 12], [5, 4, 3, 8]])
    found = ResizedCrop().apply(images, parts)
    for image, part, result in zip(images, parts.tolist(), found, strict=True):
        expected = F.resized_crop(image, *part, [16, 12], InterpolationMode.BILINEAR, antialias=False)
        assert (expected.int() - result.int()).abs().max() <= 1


def write_mnist(folder, prefix, images, labels):
    """The files of MNIST: a header of big-endian integers, then bytes."""
    for name, array in ((f"{prefix}-images-idx3-ubyte", images), (f"{prefix}-labels-idx1-ubyte", labels)):
        head = struct.pack(f">{array.ndim + 1}I", 0x0800 + array.ndim, *array.shape)
        (folder / name).write_bytes(head + array.tobytes())
        (folder / f"{name}.gz").write_bytes(gzip.compress(head + array.tobytes()))


def test_a_data_set_on_disk(tmp_path, monkeypatch):
    monkeypatch.setenv("EQUIANGULAR_CACHE", "off")
    folder = tmp_path / "torchvision" / "MNIST" / "raw"
    folder.mkdir(parents=True)
    images = np.random.default_rng(0).integers(0, 256, (40, 28, 28), dtype=np.uint8)
    labels = (np.arange(40) % 10).astype(np.uint8)
    write_mnist(folder, "train", images, labels)
    write_mnist(folder, "t10k", images[:10], labels[:10])
    data = load_dataset("torchvision:MNIST", root=tmp_path)
    np.testing.assert_array_equal(data.train_x[:, 0], images)
    assert data.train_y.tolist() == labels.tolist()
    assert data.class_names[:2] == ("0 - zero", "1 - one")
    small = load_dataset("torchvision:MNIST", root=tmp_path, size=14, memory="stream")
    assert small.test_x[:].shape == (10, 3, 14, 14)
    with pytest.raises(ValueError, match=r"no data set 'MNISt'; did you mean '.*MNIST'"):
        load_dataset("torchvision:MNISt", root=tmp_path)


@pytest.mark.parametrize("name", ["timm:resnet10t", "torchvision:mobilenet_v3_small"])
def test_backbones(name):
    net = make_backbone(name, (3, 64, 64), seed=0)
    again = make_backbone(name, (3, 64, 64), seed=0)
    x = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        features = net.eval()(x)
        assert features.shape == (2, net.num_features)
        assert torch.equal(again.eval()(x), features)
