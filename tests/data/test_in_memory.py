"""Frames of pandas and polars and tables of pyarrow: the same data as a file of the same content."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pytest
import torch
from tests.test_doors_tables import penguins, write

from equiangular.compare import configure
from equiangular.data import load_dataset
from equiangular.inference import list_inputs
from equiangular.training.config.options import TrainConfig

pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")


def as_pandas(table):
    return pd.DataFrame(table)


def categorical(table):
    frame = pd.DataFrame(table)
    return frame.astype({"Species": "category", "Island": "category", "Sex": "category"})


def chunked(table):
    whole = pa.table(table)
    return pa.concat_tables([whole.slice(0, 50), whole.slice(50)])


def polars_categories(table):
    return pl.DataFrame(table).with_columns(pl.col("Island", "Species").cast(pl.Categorical))


FRAMES = [as_pandas, categorical, pl.DataFrame, polars_categories, pa.table, chunked]


@pytest.mark.parametrize("frame", FRAMES)
def test_a_frame_is_read_as_its_file(tmp_path, frame):
    wanted = load_dataset(write(tmp_path / "p.parquet", penguins()), label="Species", drop="Stage")
    found = load_dataset(frame(penguins()), label="Species", drop="Stage")
    assert json.dumps(found.encoding) == json.dumps(wanted.encoding)
    assert (found.class_names, found.columns, found.notes) == (wanted.class_names, wanted.columns, wanted.notes)
    for part in ("train_x", "train_y", "test_x", "test_y"):
        assert torch.equal(getattr(found, part), getattr(wanted, part))


def test_what_only_a_frame_can_hold(tmp_path):
    n = 30
    frame = pd.DataFrame(
        {
            "mixed": [1, "two", None] * 10,
            "month": pd.period_range("2020-01", periods=n, freq="M"),
            "code": pd.Categorical([7, 9, 7] * 10),
            "whole": pd.array([1, None, 3] * 10, dtype="Int64"),
            3: np.arange(n) % 7,
            "label": ["a", "b", "a"] * 10,
        },
        index=[f"row {i}" for i in range(n)],
    )
    frame.to_csv(tmp_path / "t.csv", index=False)
    found, wanted = load_dataset(frame), load_dataset(tmp_path / "t.csv")
    assert json.dumps(found.encoding) == json.dumps(wanted.encoding)
    assert torch.equal(found.train_x, wanted.train_x)
    assert [note for note in found.notes if "index of the frame is not read" in note] == list(found.notes[-1:])
    # Categories of numbers are numbers, as they are in a CSV file, and in a feather file too.
    pyarrow.feather.write_feather(
        pa.table({"code": frame["code"].to_numpy(), "label": frame["label"]}), tmp_path / "t.feather"
    )
    assert load_dataset(tmp_path / "t.feather").columns == ("code",)


def test_what_is_no_table_is_refused_with_the_way_out():
    frame = pd.DataFrame({"a": [1, 2], "label": ["x", "y"]})
    for value, message in (
        (frame["a"], "got pandas.Series. A table is a DataFrame"),
        (frame.to_numpy(), r"got numpy.ndarray. Arrays .*from_arrays"),
        (torch.zeros(3), r"got torch.Tensor. Arrays .*from_arrays"),
        (pl.DataFrame({"a": [1]}).lazy(), r"got polars.LazyFrame. Call its .collect\(\) first"),
        ({"a": [1]}, "got dict"),
        (frame[:0], "has no rows; its columns are a, label"),
        (frame.to_csv(), "unknown data set"),
        (frame.to_csv() * 200, "unknown data set"),
        (pd.concat([frame, frame], axis=1), "several columns called 'a'"),
    ):
        with pytest.raises(ValueError, match=message):
            load_dataset(value)


def test_what_keeps_the_name_of_its_data_takes_no_frame():
    frame = pd.DataFrame({"a": [1, 2], "label": ["x", "y"]})
    for use in (
        lambda: TrainConfig(data=frame),
        lambda: configure(frame),
        lambda: list_inputs(frame, "table"),
        lambda: list_inputs([frame], "table"),
    ):
        with pytest.raises(ValueError, match=r"got pandas.DataFrame. Write a table to a file"):
            use()
