"""Measures of a feature file: what more there is with logits, beside all that there is without."""

import dataclasses
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.numpy import save_file

from equiangular.measures.feature_files import FeatureFile, measure_file, read_features


def test_logits_add_nc4_and_change_nothing_else() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(3).repeat(20)
    features = torch.randn(3, 4, generator=generator)[labels] + torch.randn(60, 4, generator=generator) / 2
    without = FeatureFile(features, labels)
    logits = torch.randn(60, 3, generator=generator)
    expected = measure_file(without, batch_size=7)
    found = measure_file(dataclasses.replace(without, logits=logits), batch_size=7)
    means = torch.stack([features[labels == k].mean(0) for k in range(3)])
    agreed = torch.cdist(features, means).argmin(1) == logits.argmax(1)
    assert found.pop("nc4") == agreed.double().mean()
    assert {name: value for name, value in found.items() if name in expected} == expected


def test_every_kind_of_file_holds_the_same(tmp_path: Path) -> None:
    given = {"features": np.random.default_rng(0).normal(size=(6, 4)).astype("f4"), "labels": np.arange(6) % 3}
    np.savez(tmp_path / "f.npz", **given)
    save_file(given, tmp_path / "f.safetensors")
    pq.write_table(pa.table({**given, "features": given["features"].tolist()}), tmp_path / "f.parquet")
    for kind in ("npz", "safetensors", "parquet"):
        found = read_features(tmp_path / f"f.{kind}")
        np.testing.assert_array_equal(found.features.numpy().astype("f4"), given["features"])
        assert found.labels.tolist() == [0, 1, 2, 0, 1, 2]


@pytest.mark.parametrize(
    "kind", [pa.list_(pa.float32()), pa.large_list(pa.float64()), pa.list_(pa.float32(), 4)], ids=str
)
def test_vectors_in_a_column_of_lists(kind: pa.DataType, tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(6, 4)).astype("f4")
    table = pa.table({"features": pa.array(x.tolist(), kind), "labels": np.arange(6) % 3})
    pq.write_table(table, tmp_path / "f.parquet")
    found = read_features(tmp_path / "f.parquet")
    np.testing.assert_array_equal(found.features.numpy().astype("f4"), x)
    assert found.labels.tolist() == [0, 1, 2, 0, 1, 2]
