from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from equiangular.data import load_dataset


@pytest.fixture(autouse=True)
def _no_cache(monkeypatch):
    monkeypatch.setenv("EQUIANGULAR_CACHE", "off")


def fill(folder, values, shape=(4, 4), suffix=".png"):
    folder.mkdir(parents=True)
    for i, value in enumerate(values):
        Image.fromarray(np.full(shape, value, np.uint8)).save(folder / f"{i}{suffix}")


@pytest.fixture
def root(tmp_path):
    for part in ("train", "test"):
        fill(tmp_path / "pets" / part / "cat", [10, 11, 12])
        fill(tmp_path / "pets" / part / "dog", [20, 21])
    return tmp_path / "pets"


def test_train_and_test(root):
    (root / "train" / "cat" / "notes.txt").write_text("not an image")
    (root / "train" / ".hidden").mkdir()
    data = load_dataset(root)
    assert (data.name, data.kind, data.class_names) == ("pets", "image", ("cat", "dog"))
    assert data.train_x[:, 0, 0, 0].tolist() == [10, 11, 12, 20, 21]
    assert data.train_y.tolist() == [0, 0, 0, 1, 1]
    assert data.input_shape == (1, 4, 4)


def test_a_test_part_without_one_of_the_classes(root):
    for file in (root / "test" / "cat").iterdir():
        file.unlink()
    (root / "test" / "cat").rmdir()
    data = load_dataset(root)
    assert data.test_y.tolist() == [1, 1]
    assert data.test_x[:, 0, 0, 0].tolist() == [20, 21]


def test_without_a_test_folder_a_fifth_is_taken(tmp_path):
    fill(tmp_path / "train" / "a", range(10))
    fill(tmp_path / "train" / "b", range(100, 120))
    data = load_dataset(tmp_path, split_seed=2)
    values = data.test_x[:, 0, 0, 0]
    assert np.bincount(data.test_y).tolist() == [2, 4]
    assert ((values >= 100) == data.test_y.bool()).all()


def test_size(tmp_path):
    fill(tmp_path / "train" / "a", range(5), shape=(4, 8))
    fill(tmp_path / "train" / "b", range(5), shape=(6, 3), suffix=".bmp")
    data = load_dataset(tmp_path)  # the median of the longer sides 8, 8, ..., 6, 6, ... is 7
    assert data.input_shape == (1, 7, 7)
    assert data.notes == ("images of 2 sizes: padded to a square and resized to 7 x 7; size=N takes another",)
    assert load_dataset(tmp_path, size=6).input_shape == (1, 6, 6)


def test_errors(root, tmp_path):
    file = root / "train" / "dog" / "1.png"
    file.write_bytes(file.read_bytes()[:40])
    with pytest.raises(ValueError, match=r"train/dog/1.png is not an image that can be read"):
        load_dataset(root, skip_broken=False)
    assert len(load_dataset(root).train_y) == 4  # one is left out unasked
    file.write_bytes(b"text")
    with pytest.raises(ValueError, match=r"train/dog/1.png is not an image that can be read \(unknown format\)"):
        load_dataset(root, skip_broken=False)
    file.unlink()
    file.mkdir()
    assert len(load_dataset(root).train_y) == 4
    file.rmdir()
    fill(root / "test" / "dogs", [1])
    (root / "train" / "emu").mkdir()
    data = load_dataset(root)
    assert (data.class_names, len(data.test_y), data.reading.apart) == (("cat", "dog"), 5, {"dogs": 1})
    assert data.notes == (
        "train/: class folders without images, left out: emu",
        "10 images of 10 of one colour throughout",
        "1 test sample of classes without training samples are not scored: 'dogs' (1)",
    )
    for name in ("cat", "dog"):
        shutil.rmtree(root / "test" / name)
    with pytest.raises(ValueError, match=r"no test sample is of a class .*did you mean 'dog'"):
        load_dataset(root)
    (tmp_path / "bare" / "train").mkdir(parents=True)
    with pytest.raises(ValueError, match="has no images in class folders, and a classifier needs two classes"):
        load_dataset(tmp_path / "bare")


def test_class_folders_without_a_train_folder(tmp_path):
    fill(tmp_path / "pets" / "cat", range(10))
    fill(tmp_path / "pets" / "dog", range(100, 105), suffix=".JPEG")
    fill(tmp_path / "pets" / ".trash", [7])
    data = load_dataset("pets", root=tmp_path)
    assert (data.name, data.class_names) == ("pets", ("cat", "dog"))
    assert (len(data.train_y), np.bincount(data.test_y).tolist()) == (12, [2, 1])
    (tmp_path / "pets" / "dog" / "0.JPEG").write_bytes(b"")
    with pytest.raises(ValueError, match=r"dog/0\.JPEG has no image data"):
        load_dataset(tmp_path / "pets", skip_broken=False)


def test_a_folder_that_may_not_be_read(tmp_path, monkeypatch):
    (tmp_path / "pets").mkdir()

    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(ValueError, match=r"no data set found in '.*pets'"):
        load_dataset(tmp_path / "pets")
