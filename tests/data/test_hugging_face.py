"""Hugging Face's ``datasets`` on local folders: the hub's names go the same way."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image
from pyarrow.feather import write_feather

from equiangular.data import EncodedImages, load_dataset

datasets = pytest.importorskip("datasets")


@pytest.fixture(autouse=True)
def _own_caches(tmp_path, monkeypatch):
    monkeypatch.setenv("EQUIANGULAR_CACHE", "off")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hugging_face")
    datasets.disable_progress_bars()


def store(folder, features=None, **splits):
    """Parquet files of splits, named so that ``datasets`` finds them."""
    folder.mkdir()
    for name, columns in splits.items():
        kinds = None if features is None else datasets.Features(features)
        datasets.Dataset.from_dict(columns, features=kinds).to_parquet(folder / f"{name}-00000-of-00001.parquet")
    return f"hf:{folder}"


ANIMALS = datasets.ClassLabel(names=["ant", "bee"])


def test_an_image_folder(tmp_path):
    for part, values in (("train", [10, 30]), ("test", [50, 70])):
        for name, value in zip(("ant", "bee"), values, strict=True):
            (tmp_path / "pets" / part / name).mkdir(parents=True)
            for i in range(3):
                pixels = np.full((4, 4, 3), value + i, np.uint8)
                pixels[0, 0] = (1, 2, 3)
                Image.fromarray(pixels).save(tmp_path / "pets" / part / name / f"{i}.png")
    data = load_dataset(f"hf:{tmp_path / 'pets'}")
    assert (data.name, data.kind, data.class_names) == ("pets", "image", ("ant", "bee"))
    assert data.train_x[:, 0, 1, 1].tolist() == [10, 11, 12, 30, 31, 32]
    assert data.test_x[:, 0, 1, 1].tolist() == [50, 51, 52, 70, 71, 72]
    assert data.test_y.tolist() == [0, 0, 0, 1, 1, 1]
    assert data.source.endswith("test: its split test")
    same = load_dataset(tmp_path / "pets")
    assert torch.equal(same.train_x, data.train_x)
    stream = load_dataset(f"hf:{tmp_path / 'pets'}", size=4, memory="stream")
    assert isinstance(stream.train_x, EncodedImages)
    assert torch.equal(stream.train_x[:], data.train_x)
    (tmp_path / "pets" / "train" / "ant" / "1.png").write_bytes(b"junk")
    with pytest.raises(ValueError, match=r"pets, split train: row 2 is not an image that can be read"):
        load_dataset(f"hf:{tmp_path / 'pets'}", skip_broken=False)
    assert (
        load_dataset(f"hf:{tmp_path / 'pets'}")
        .reading.left_out[0]
        .startswith(f"{tmp_path / 'pets'}, split train: row 2")
    )


def test_images_in_columns_of_other_names(tmp_path):
    pictures = [Image.fromarray(np.full((2, 2), value, np.uint8)) for value in range(8)]
    features = {
        "img": datasets.Image(),
        "fine_label": datasets.ClassLabel(names=["a", "b", "c", "d"]),
        "coarse_label": ANIMALS,
    }
    columns = {"img": pictures, "fine_label": [0, 1, 2, 3] * 2, "coarse_label": [0, 0, 1, 1] * 2}
    name = store(tmp_path / "cifar", features, train=columns, test=columns)
    with pytest.raises(
        ValueError, match=r"2 columns of class labels; .*Name the one to learn, as in 'hf:.*#fine_label'"
    ):
        load_dataset(name)
    fine, coarse = load_dataset(f"{name}#fine_label"), load_dataset(f"{name}#coarse_label")
    assert (fine.class_names, coarse.class_names) == (("a", "b", "c", "d"), ("ant", "bee"))
    assert fine.train_x[:, 0, 0, 0].tolist() == list(range(8))
    assert coarse.test_y.tolist() == [0, 0, 1, 1] * 2
    with pytest.raises(ValueError, match="has no column 'fine'; did you mean 'fine_label'"):
        load_dataset(f"{name}#fine")


def test_texts_and_the_choice_of_a_test_part(tmp_path):
    features = {"sentence": datasets.Value("string"), "label": ANIMALS}
    train = {"sentence": ["busy bee", "red ant", "small ant", "loud bee"], "label": [1, 0, 0, 1]}
    unlabelled = {"sentence": ["ant?", "bee?"], "label": [-1, -1]}
    validation = {"sentence": ["an ant", "a bee", "two bees"], "label": [0, 1, 1]}
    name = store(tmp_path / "texts", features, train=train, validation=validation, test=unlabelled)
    data = load_dataset(name)
    assert (data.kind, len(data.test_y)) == ("text", 3)
    assert data.source.endswith("test: its split validation")
    alone = load_dataset(store(tmp_path / "alone", features, train={k: v * 5 for k, v in train.items()}))
    assert np.bincount(alone.test_y).tolist() == [2, 2]
    assert "20% of each class, split seed 0" in alone.source


def test_tables(tmp_path):
    columns = {"id": ["p", "q", "r", "s"], "u": [1.5, 2.5, 3.5, 4.5], "v": [1, 2, 3, 4], "labels": [7, 9, 7, 9]}
    columns["note"] = ["", "", "", ""]
    data = load_dataset(store(tmp_path / "table", train=columns, test=columns))
    assert (data.kind, data.class_names) == ("table", ("7", "9"))
    assert data.train_x.tolist() == [[1.5, 1.0], [2.5, 2.0], [3.5, 3.0], [4.5, 4.0]]


COLOURS, PROSE = ["red", "blue", "green", "blue"] * 5, [f"some words {i % 7} here and {i % 5}" for i in range(20)]
DAYS = [datetime(2020, 1, 1 + i) for i in range(20)]


@pytest.mark.parametrize(
    "columns",
    [
        {"x": np.linspace(0, 1, 20), "colour": COLOURS},
        {"x": np.linspace(0, 1, 20), "review": PROSE},
        {"colour": COLOURS, "review": PROSE},
        {"x": np.linspace(0, 1, 20), "when": DAYS, "sold": [True, False] * 10},
        {"colour": COLOURS},
        {"review": PROSE},
    ],
    ids=lambda columns: "-".join(columns),
)
def test_columns_count_as_in_a_file(tmp_path, columns):
    name = store(tmp_path / "table", train={**columns, "label": [0, 1] * 10})
    here, there = load_dataset(name), load_dataset(next((tmp_path / "table").glob("*.parquet")))
    assert here.kind == there.kind
    assert torch.equal(here.train_x, there.train_x)
    assert torch.equal(here.test_y, there.test_y)


def test_errors(tmp_path, monkeypatch):
    columns = {"u": [1.0, 2.0], "label": [0, 1]}
    with pytest.raises(ValueError, match=r"has no split 'train'; its splits are test"):
        load_dataset(store(tmp_path / "half", test=columns))
    with pytest.raises(ValueError, match=r"has 0 columns of class labels; its columns are u, v"):
        load_dataset(store(tmp_path / "bare", train={"u": [1.0], "v": [1]}))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"cannot load '.*empty': "):
        load_dataset(f"hf:{tmp_path / 'empty'}")

    def offline(*_):
        raise ConnectionError("Couldn't reach 'someone/birds' on the Hub\nmore lines")

    monkeypatch.setattr(datasets, "load_dataset", offline)
    with pytest.raises(ValueError, match=r"cannot load 'someone/birds': Couldn't reach .* on the Hub$"):
        load_dataset("hf:someone/birds")


def test_names_and_configurations_reach_the_library(monkeypatch):
    asked = []

    def load(*arguments):
        asked.append(arguments)
        table = datasets.Dataset.from_dict({"u": [1.0, 2.0] * 10, "label": [0, 1] * 10})
        return {"train": table}

    monkeypatch.setattr(datasets, "load_dataset", load)
    assert load_dataset("hf:uoft-cs/birds").name == "birds"
    load_dataset("hf:uoft-cs/birds:small#label")
    assert asked == [("uoft-cs/birds", None), ("uoft-cs/birds", "small")]


@pytest.mark.parametrize("form", ["feather", "saved"])
def test_arrow_files_are_looked_through_before_they_are_believed(tmp_path, form):
    """Here a text that is none, which Arrow says of a column only when asked to look through it."""
    offsets = pa.py_buffer(np.array([0, 1, 2, 4], np.int32).tobytes())
    texts = pa.StringArray.from_buffers(3, offsets, pa.py_buffer(b"ab\xff\xff"))
    table = pa.table({"text": texts, "label": ["x", "y", "x"]})
    path = tmp_path / ("train.feather" if form == "feather" else "saved")
    if form == "feather":
        write_feather(table, path)
    else:
        datasets.Dataset(table).save_to_disk(str(path))
    with pytest.raises(ValueError, match=r"(?i)cannot (read|load) .*utf-?8"):
        load_dataset(path)
