"""torchvision's data sets with a stand-in for the library, which need not be installed."""

from __future__ import annotations

import sys
import types

import numpy as np
import pytest
import torch
from PIL import Image

from equiangular.data import EncodedImages, load_dataset


@pytest.fixture(autouse=True)
def _no_cache(monkeypatch):
    monkeypatch.setenv("EQUIANGULAR_CACHE", "off")
    monkeypatch.delenv("EQUIANGULAR_DATA", raising=False)


class CIFAR10:
    classes = ("cat", "dog")
    opened = ()

    def __init__(self, root, train=True, transform=None, target_transform=None, download=False):
        type(self).opened = (*self.opened, (root, train, download))
        self.data = np.arange(48, dtype=np.uint8).reshape(4, 2, 2, 3) + (0 if train else 100)
        self.targets = [0, 1, 0, 1]

    def __len__(self):
        return 4

    def __getitem__(self, index):
        if index >= 4:
            raise IndexError
        return Image.fromarray(self.data[index]), self.targets[index]


class SVHN:
    def __init__(self, root, split="train", transform=None, target_transform=None, download=False):
        if split not in ("train", "test"):
            raise ValueError(f"no split {split}")
        self.data = np.full((6, 3, 5, 5), 7, np.uint8)
        self.labels = np.arange(6) % 3


class Flowers:
    """Images of several sizes, class names in groups of synonyms, no test but a validation part."""

    classes = (("rose", "rosa"), ("lily",))

    def __init__(self, root, split="train", transform=None, target_transform=None):
        if split not in ("train", "val"):
            raise ValueError(f"no split {split}")

    def __iter__(self):
        for i in range(6):
            yield Image.fromarray(np.full((3 + i, 4, 3), (i, 50, 60), np.uint8)), i % 2


class Faces:
    """One part only."""

    def __init__(self, root):
        pass

    def __iter__(self):
        return ((Image.fromarray(np.full((2, 2), i, np.uint8)), i % 2) for i in range(20))


class Broken:
    def __init__(self, root, train=True, download=False):
        raise RuntimeError("Dataset not found or corrupted.")


@pytest.fixture
def library(monkeypatch):
    module, sets = types.ModuleType("torchvision"), types.ModuleType("torchvision.datasets")
    kinds = (CIFAR10, SVHN, Flowers, Faces, Broken)
    for kind in kinds:
        setattr(sets, kind.__name__, kind)
    sets.__all__ = [kind.__name__ for kind in kinds]
    module.datasets = sets
    monkeypatch.setitem(sys.modules, "torchvision", module)
    monkeypatch.setitem(sys.modules, "torchvision.datasets", sets)


@pytest.mark.usefixtures("library")
def test_arrays_are_taken_as_they_are(tmp_path, monkeypatch):
    monkeypatch.setattr(CIFAR10, "opened", ())
    data = load_dataset("torchvision:CIFAR10", root=tmp_path)
    assert (data.name, data.kind, data.class_names) == ("CIFAR10", "image", ("cat", "dog"))
    np.testing.assert_array_equal(data.train_x.permute(0, 2, 3, 1), np.arange(48).reshape(4, 2, 2, 3))
    assert data.test_x[0, 0, 0, 0] == 100
    assert CIFAR10.opened == ((tmp_path / "torchvision", True, True), (tmp_path / "torchvision", False, True))
    data = load_dataset("torchvision:SVHN", root=tmp_path)
    assert (data.class_names, data.input_shape) == (("0", "1", "2"), (3, 5, 5))


@pytest.mark.usefixtures("library")
def test_classes_of_one_name_get_their_number(tmp_path, monkeypatch):
    """ImageNet has a bird and a machine called "crane"; two classes of one name are refused elsewhere."""
    monkeypatch.setattr(CIFAR10, "classes", ("crane", "crane"))
    assert load_dataset("torchvision:CIFAR10", root=tmp_path).class_names == ("crane (0)", "crane (1)")


@pytest.mark.usefixtures("library")
def test_size_and_streaming(tmp_path):
    full = load_dataset("torchvision:CIFAR10", root=tmp_path)
    half = load_dataset("torchvision:CIFAR10", root=tmp_path, size=1)
    mean = full.train_x.double().mean((2, 3), keepdim=True)
    assert (half.train_x.double() - mean).abs().max() <= 0.5
    stream = load_dataset("torchvision:CIFAR10", root=tmp_path, size=2, memory="stream")
    assert isinstance(stream.test_x, EncodedImages)
    assert torch.equal(stream.test_x[:], full.test_x)


@pytest.mark.usefixtures("library")
def test_images_of_several_sizes(tmp_path):
    assert "images of 6 sizes" in load_dataset("torchvision:Flowers", root=tmp_path).notes[0]
    data = load_dataset("torchvision:Flowers", root=tmp_path, size=4)
    assert (data.class_names, data.input_shape) == (("rose, rosa", "lily"), (3, 4, 4))
    assert data.test_y.tolist() == [0, 1] * 3


@pytest.mark.usefixtures("library")
def test_one_part_only_is_split(tmp_path):
    data = load_dataset("torchvision:Faces", root=tmp_path)
    assert (data.input_shape, len(data.train_y), np.bincount(data.test_y).tolist()) == ((1, 2, 2), 16, [2, 2])
    assert torch.equal(data.train_x[:, 0, 0, 0].long() % 2, data.train_y)


@pytest.mark.usefixtures("library")
def test_errors(tmp_path):
    with pytest.raises(ValueError, match=r"torchvision has no data set 'CIFAR1O'; did you mean 'CIFAR10'"):
        load_dataset("torchvision:CIFAR1O", root=tmp_path)
    with pytest.raises(ValueError, match=r"torchvision cannot make 'Broken' in '.*': Dataset not found"):
        load_dataset("torchvision:Broken", root=tmp_path)


def test_a_missing_library_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "torchvision.datasets", None)
    with pytest.raises(ImportError, match="pip install torchvision"):
        load_dataset("torchvision:CIFAR10", root=tmp_path)
