"""The long-tail cut, the validation part and the batches, on every kind of data alike."""

from __future__ import annotations

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from equiangular.data import EncodedImages, from_arrays, load_dataset, stream_batches
from equiangular.data.split import make_split
from equiangular.longtail import long_tail_counts

CLASSES, EACH = ("ant", "bee", "cat", "dog"), 40
LABELS = np.repeat(np.arange(4), EACH)


def png(value):
    buffer = io.BytesIO()
    Image.fromarray(np.full((4, 6, 3), value, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def parquet(path, **columns):
    path.mkdir()
    for part in ("train", "test"):
        pq.write_table(pa.table(columns | {"label": np.array(CLASSES)[LABELS]}), path / f"{part}.parquet")
    return path


def dataset(kind, path):
    if kind == "array":
        return from_arrays(np.arange(160.0)[:, None], LABELS, np.zeros((4, 1)), np.arange(4), class_names=CLASSES)
    if kind == "table":
        return load_dataset(parquet(path / "table", a=np.arange(160.0)))
    if kind == "text":
        words = [f"{CLASSES[label]} number{i}" for i, label in enumerate(LABELS)]
        return load_dataset(parquet(path / "text", text=words))
    if kind in ("memory", "stream"):
        column = pa.array([{"bytes": png(i), "path": None} for i in range(160)])
        return load_dataset(parquet(path / "images", image=column), size=4, memory=kind)
    for i, label in enumerate(LABELS):
        folder = path / "train" / CLASSES[label]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{i:03d}.png").write_bytes(png(i))
    return load_dataset(path, size=4)


@pytest.mark.parametrize("kind", ["array", "table", "text", "memory", "stream", "folder"])
def test_cut_and_validation(kind, tmp_path, monkeypatch):
    monkeypatch.setenv("EQUIANGULAR_CACHE", "off")
    data = dataset(kind, tmp_path)
    assert data.class_names == CLASSES
    largest = 32 if kind == "folder" else EACH  # a fifth of each class is the test part there
    split = make_split(data, imbalance=10, holdout=0.25, subset_seed=3)
    counts = np.array(long_tail_counts(largest, 4, 10))
    held = np.bincount(split.holdout_y, minlength=4)
    assert (held + split.class_counts == counts).all()
    assert (held == counts // 4).all()
    assert (np.bincount(split.train_y, minlength=4) == split.class_counts).all()
    assert isinstance(split.train_x, EncodedImages) == (kind == "stream")
    assert split.test_x is data.test_x
    train, holdout = split.train_x[torch.arange(len(split.train_y))], split.holdout_x[torch.arange(held.sum())]
    pool = data.train_x[torch.arange(4 * largest)]
    rows = {row.numpy().tobytes(): int(y) for row, y in zip(pool, data.train_y, strict=True)}
    for x, y in ((train, split.train_y), (holdout, split.holdout_y)):
        assert [rows.pop(row.numpy().tobytes()) for row in x] == y.tolist()  # each sample once, with its label
    index = [torch.tensor([3, 0]), torch.tensor([5])]
    for wanted, batch in zip(index, stream_batches(split.train_x, index), strict=True):
        assert torch.equal(batch, train[wanted])
