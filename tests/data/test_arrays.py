from __future__ import annotations

import numpy as np
import pytest
import torch

from equiangular.data import from_arrays, load_dataset

X1 = np.zeros((1, 1))


def images(n, *shape):
    return np.random.default_rng(0).integers(0, 256, (n, *shape), dtype=np.uint8)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((8, 9), (1, 8, 9)),
        ((8, 9, 3), (3, 8, 9)),
        ((3, 8, 9), (3, 8, 9)),
        ((1, 8, 8), (1, 8, 8)),
        ((3, 8, 3), (3, 3, 8)),  # either could be the channels: the last one is
    ],
)
def test_image_layouts(shape, expected):
    x = images(10, *shape)
    data = from_arrays(x, [0, 1] * 5, x[:4], [0, 1, 1, 0])
    assert (data.kind, data.input_shape) == ("image", expected)
    channel = {2: lambda a: a, 3: lambda a: a[..., 1] if shape[2] == 3 else a[expected[0] // 2]}[len(shape)]
    np.testing.assert_array_equal(data.train_x[2, expected[0] // 2], channel(x[2]))


def test_tables_tensors_and_string_labels():
    x = torch.randn(10, 3, dtype=torch.float64)
    data = from_arrays(x, ["b", "a"] * 5, x[:2], ["a", "b"])
    assert (data.kind, data.train_x.dtype, data.class_names) == ("table", torch.float32, ("a", "b"))
    assert data.train_y.tolist() == [1, 0] * 5
    assert data.test_y.tolist() == [0, 1]


def test_labels_with_gaps_are_numbered_in_order():
    data = from_arrays(np.zeros((6, 1)), [3, 9, 30] * 2, np.zeros((2, 1)), [30, 3])
    assert (data.class_names, data.test_y.tolist()) == (("3", "9", "30"), [2, 0])


def test_class_names_make_labels_indices():
    data = from_arrays(np.zeros((4, 1)), [1, 0, 1, 0], np.zeros((1, 1)), [1], class_names=["no", "yes"])
    assert (data.class_names, data.train_y.tolist()) == (("no", "yes"), [1, 0, 1, 0])
    data = from_arrays(np.zeros((4, 1)), [2, 0, 2, 0], X1, [2], class_names=["no", "maybe", "yes"])
    assert (data.class_names, data.train_y.tolist(), data.test_y.tolist()) == (("no", "yes"), [1, 0, 1, 0], [1])
    assert data.notes == ("classes without training samples, left out: maybe",)


def test_without_a_test_part_a_fifth_of_each_class_is_taken():
    labels = np.repeat([0, 1, 2], [50, 20, 3])
    x = np.arange(73.0)[:, None]
    data = from_arrays(x, labels, split_seed=1)
    assert np.bincount(data.test_y, minlength=3).tolist() == [10, 4, 0]
    np.testing.assert_array_equal(np.sort(torch.cat([data.train_x, data.test_x])[:, 0]), np.arange(73))
    np.testing.assert_array_equal(labels[data.test_x[:, 0].long()], data.test_y)
    assert "split seed 1" in data.source


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ((X1, [0], X1, None), "belong together"),
        ((np.zeros((3, 1)), [0, 1]), "3 samples, train_y 2 labels"),
        ((np.zeros((2, 3, 3)), [0, 1]), r"uint8 images .*got float64 of shape \(2, 3, 3\).*astype\('uint8'\)"),
        ((images(2, 5, 6, 7), [0, 1]), r"1, 3 or 4 channels, last or first, got shape \(2, 5, 6, 7\)"),
        ((np.array([["a"], ["b"]]), [0, 1]), "must hold numbers, got dtype <U1"),
        ((np.zeros((4, 1)), [0.5, 1, 0, 1]), "train_y must hold class labels, got 0.5"),
        ((np.zeros((4, 1)), [0, 1, 0, 1], X1, [2]), "no test sample is of a class .*'2' \\(1\\)"),
        ((np.full((4, 1), np.nan), [0, 1, 0, 1], X1, [1]), "train_x: row 1, column 0 is nan"),
    ],
)
def test_bad_input(arguments, match):
    with pytest.raises(ValueError, match=match):
        from_arrays(*arguments)


def test_npz(tmp_path):
    x, y = images(10, 4, 4), np.array([0, 1] * 5)
    path = tmp_path / "mine.npz"
    np.savez(path, train_x=x, train_y=y, test_x=x[:3], test_y=y[:3], class_names=np.array(["cat", "dog"]))
    data = load_dataset(path)
    assert (data.name, data.class_names, data.input_shape) == ("mine", ("cat", "dog"), (1, 4, 4))
    np.testing.assert_array_equal(data.train_x[:, 0], x)
    np.savez(path, x=x, y=y)
    assert (len(load_dataset(path).train_y), len(load_dataset(str(path)).test_y)) == (8, 2)


def test_npz_errors(tmp_path):
    path = tmp_path / "mine.npz"
    np.savez(path, x=np.zeros((2, 1)))
    with pytest.raises(ValueError, match=r"needs arrays train_x and train_y \(or x and y\), got x"):
        load_dataset(path)
    path.write_bytes(b"no zip file")
    with pytest.raises(ValueError, match=r"mine.npz' is not a readable .npz file \(it is no .npz archive"):
        load_dataset(path)
    np.savez(path, x=np.array([{"a": 1}], dtype=object), y=np.array([0]))
    with pytest.raises(ValueError, match=r"mine.npz' is not a readable.*allow_pickle=False"):
        load_dataset(path)


def test_images_of_one_colour_are_counted_in_all_parts() -> None:
    x = images(10, 4, 4, 3)
    x[3], x[7] = 9, (1, 2, 3)
    counted = "4 images of 20 of one colour throughout"
    assert counted in from_arrays(x, [0, 1] * 5, x, [0, 1] * 5).notes
    assert counted in from_arrays(x, [0, 1] * 5, val_x=x, val_y=[0, 1] * 5).notes
    assert not from_arrays(x[:3], [0, 1, 1], x[:3], [0, 1, 1]).notes
