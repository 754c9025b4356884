from __future__ import annotations

import dataclasses
import hashlib
import json
import struct

import numpy as np
import pytest

from equiangular.longtail import SubsetManifest, long_tail_indices

TARGETS = np.repeat([0, 1, 2], [50, 40, 30])


def make(targets=TARGETS, seed=0, **changes):
    options = {"source": "demo", "seed": seed, "protocol": "local", "imbalance_factor": 10, **changes}
    return SubsetManifest.from_indices(long_tail_indices(targets, 10, seed=seed), targets, **options)


def test_counts_and_length():
    manifest = make()
    assert manifest.counts == {0: 50, 1: 15, 2: 5}
    assert len(manifest) == 70


def test_hash_is_that_of_the_documented_bytes():
    manifest = SubsetManifest.from_indices(
        [4, 1], [7, 8, 9, 7, 8], source="x", seed=0, protocol="local", imbalance_factor=1
    )
    expected = b"equiangular-subset-1\n2\n" + struct.pack("<qqqq", 4, 1, 8, 8)
    assert manifest.sha256 == hashlib.sha256(expected).hexdigest()


def test_hash_depends_on_indices_labels_and_order_alone():
    assert make().sha256 == make(source="another name", protocol="mine").sha256
    assert make() == make(source="another name")
    assert hash(make()) == hash(make())
    other_labels = TARGETS.copy()
    other_labels[make().indices[0]] = 2
    options = {"source": "demo", "seed": 0, "protocol": "local", "imbalance_factor": 10}
    hashes = {
        make().sha256,
        make(seed=1).sha256,
        SubsetManifest.from_indices(make().indices, other_labels, **options).sha256,
        SubsetManifest.from_indices(make().indices[::-1], TARGETS, **options).sha256,
    }
    assert len(hashes) == 4


@pytest.mark.parametrize("targets", [TARGETS, np.array(["bee", "ant", "cat"])[TARGETS]], ids=["int", "str"])
def test_round_trip(tmp_path, targets):
    manifest = make(targets)
    loaded = SubsetManifest.load(manifest.save(tmp_path / "subset.json"))
    assert loaded == manifest
    for field in dataclasses.fields(manifest):
        np.testing.assert_array_equal(getattr(loaded, field.name), getattr(manifest, field.name))
    assert loaded.indices.dtype == np.int64
    assert [file.name for file in tmp_path.iterdir()] == ["subset.json"]


def test_the_file_states_hash_and_counts(tmp_path):
    manifest = make()
    fields = json.loads(manifest.save(tmp_path / "subset.json").read_text())
    assert fields["sha256"] == manifest.sha256
    assert fields["counts"] == [[0, 50], [1, 15], [2, 5]]


def test_a_changed_file_is_refused(tmp_path):
    path = make().save(tmp_path / "subset.json")
    fields = json.loads(path.read_text())
    fields["indices"][3] += 1
    path.write_text(json.dumps(fields))
    with pytest.raises(ValueError, match="does not match its hash"):
        SubsetManifest.load(path)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("{", "is not a JSON file"),
        ("[1]", "no subset manifest"),
        ('{"format": "equiangular-subset-9"}', "no subset manifest"),
        ('{"format": "equiangular-subset-1"}', "damaged: 'indices'"),
        ('{"format": "equiangular-subset-1", "indices": ["a"], "labels": [1]}', "damaged: 1 labels need as many"),
        ('{"format": "equiangular-subset-1", "indices": 3, "labels": [1]}', "damaged: indices must hold one"),
        ('{"format": "equiangular-subset-1", "indices": [1, 2], "labels": [1]}', "damaged: 1 labels need as many"),
    ],
)
def test_other_files_are_refused(tmp_path, text, match):
    path = tmp_path / "subset.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=match):
        SubsetManifest.load(path)


def test_missing_and_unwritable_files(tmp_path):
    with pytest.raises(ValueError, match="cannot read"):
        SubsetManifest.load(tmp_path / "none.json")
    with pytest.raises(ValueError, match="cannot write the manifest"):
        make().save(tmp_path / "no" / "such" / "folder.json")


def test_check_against_the_data():
    manifest = make()
    manifest.check(TARGETS.tolist())
    with pytest.raises(ValueError, match="cut from 120 samples of 'demo', got 119 targets"):
        manifest.check(TARGETS[1:])
    with pytest.raises(ValueError, match="has label 0 at index 0, the targets have 2"):
        manifest.check(TARGETS[::-1])


@pytest.mark.parametrize(
    ("indices", "match"),
    [
        ([0, 120], r"lie in \[0, 119\] for 120 targets, got values from 0 to 120"),
        ([-1, 3], "got values from -1 to 3"),
        ([3, 5, 3], "distinct, got 3 more than once"),
        ([], "indices is empty"),
        (["a"], "indices must be integers, got"),
    ],
)
def test_bad_indices(indices, match):
    with pytest.raises(ValueError, match=match):
        SubsetManifest.from_indices(indices, TARGETS, source="demo", seed=0, protocol="local", imbalance_factor=10)


def test_the_imbalance_factor_is_checked():
    with pytest.raises(ValueError, match="use 100"):
        make(imbalance_factor=0.01)
