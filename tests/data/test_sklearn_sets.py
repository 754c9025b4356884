from __future__ import annotations

import hashlib
import sys

import numpy as np
import pytest
import torch
from sklearn import datasets

from equiangular.data import load_dataset
from equiangular.data.libraries import SKLEARN_SETS, load_sklearn


@pytest.mark.parametrize("name", SKLEARN_SETS)
def test_every_sample_is_in_one_part(name):
    data = load_sklearn(name)
    bunch = getattr(datasets, f"load_{name}")()
    assert len(data.train_y) + len(data.test_y) == len(bunch.target)
    counts = np.bincount(data.test_y)
    assert (counts == SKLEARN_SETS[name][0]).all()
    np.testing.assert_array_equal(data.train_counts + counts, np.bincount(bunch.target))
    rows = torch.cat([data.train_x, data.test_x]).flatten(1).double().numpy()
    source = bunch.data * 255 / 16 if name == "digits" else bunch.data
    tolerance = 0.5 if name == "digits" else 1e-3
    np.testing.assert_allclose(np.sort(rows, axis=0), np.sort(source, axis=0), atol=tolerance, rtol=1e-6)


def test_digits_keep_their_labels_and_their_values():
    data = load_sklearn("digits")
    bunch = datasets.load_digits()
    known = {image.astype(int).tobytes(): label for image, label in zip(bunch.images, bunch.target, strict=True)}
    for x, y in ((data.train_x, data.train_y), (data.test_x, data.test_y)):
        images = np.rint(x.squeeze(1).numpy() * (16 / 255)).astype(int)
        assert [known[image.tobytes()] for image in images] == y.tolist()
    assert data.input_shape == (1, 8, 8)
    assert data.train_x.dtype == torch.uint8
    assert (int(data.train_x.min()), int(data.train_x.max())) == (0, 255)
    assert data.class_names == tuple("0123456789")
    assert (data.train_counts.min(), data.train_counts.max()) == (124, 133)


def test_the_split_depends_on_its_seed_and_never_changes():
    first, again, other = (load_sklearn("digits", split_seed=seed).test_x for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    digest = hashlib.sha256(first.numpy().tobytes()).hexdigest()
    assert digest == "40a34c8b96f3eb10ee5835727a9c0d12a850e29f9548b0c16eabb803dac064be"


def test_names():
    with pytest.raises(ValueError, match=r"unknown data set 'digit'.*did you mean 'digits'.*Names: digits, wine"):
        load_dataset("digit")
    with pytest.raises(ValueError, match=r"scikit-learn set must be one of 'digits', .*got 'faces'"):
        load_sklearn("faces")
    with pytest.raises(ValueError, match="split_seed must be an integer >= 0, got -1"):
        load_dataset("digits", split_seed=-1)


def test_without_scikit_learn_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ImportError, match=r"The data set 'digits' needs 'sklearn'.*equiangular\[train\]"):
        load_dataset("digits")
