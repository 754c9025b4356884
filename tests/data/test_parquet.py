from __future__ import annotations

import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from equiangular.data import load_dataset


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("EQUIANGULAR_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("EQUIANGULAR_DATA", raising=False)


def png(array, kind="PNG"):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, format=kind)
    return buffer.getvalue()


def write(path, columns, names=None):
    path.parent.mkdir(exist_ok=True, parents=True)
    table = pa.table(columns)
    if names is not None:
        features = {"label": {"names": names, "_type": "ClassLabel"}}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(table, path)


def image_column(blobs):
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    return pa.array([{"bytes": blob, "path": None} for blob in blobs], kind)


RGB = np.random.default_rng(0).integers(0, 256, (6, 5, 5, 3), dtype=np.uint8)
LABELS = [0, 1, 2, 0, 1, 2]
NAMES = ["ant", "bee", "cat"]


@pytest.fixture
def folder(tmp_path):
    """A data folder with two training and two test images of each of three classes, RGB noise."""
    path = tmp_path / "insects"
    for part in ("train", "test"):
        write(path / f"{part}.parquet", {"image": image_column(map(png, RGB)), "label": LABELS}, NAMES)
    return path


def test_images(folder):
    data = load_dataset(folder)
    assert (data.name, data.kind, data.class_names) == ("insects", "image", ("ant", "bee", "cat"))
    np.testing.assert_array_equal(data.train_x.permute(0, 2, 3, 1), RGB)
    assert data.test_y.tolist() == LABELS


def test_a_folder_without_data_does_not_hide_a_named_data_set(folder, tmp_path, monkeypatch):
    (tmp_path / "here" / "insects").mkdir(parents=True)  # results of a study, say
    monkeypatch.chdir(tmp_path / "here")
    assert load_dataset("insects", root=folder.parent).num_classes == 3


def test_named_folders_under_root(folder, monkeypatch):
    assert load_dataset("insects", root=folder.parent).num_classes == 3
    monkeypatch.setenv("EQUIANGULAR_DATA", str(folder.parent))
    assert load_dataset("insects").num_classes == 3
    with pytest.raises(ValueError, match=r"did you mean 'insects'.*Names: .*insects"):
        load_dataset("insekts")
    with pytest.raises(ValueError, match=r"data folder '.*none' does not exist"):
        load_dataset("insects", root=folder / "none")


def test_the_cache_is_used_and_follows_the_content(folder, tmp_path, monkeypatch):
    first = load_dataset(folder)
    files = sorted((tmp_path / "cache").iterdir())
    assert len(files) == 1  # train and test hold the same images here
    with monkeypatch.context() as patch:
        patch.setattr("equiangular.data.images.decode_images", lambda *a, **k: pytest.fail("decoded again"))
        assert torch.equal(load_dataset(folder).train_x, first.train_x)
    write(folder / "train.parquet", {"image": image_column(map(png, 255 - RGB)), "label": LABELS}, NAMES)
    np.testing.assert_array_equal(load_dataset(folder).train_x.permute(0, 2, 3, 1), 255 - RGB)
    files[0].write_bytes(b"damaged")
    assert torch.equal(load_dataset(folder).test_x, first.test_x)
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_the_cache_can_be_off_or_unusable(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("EQUIANGULAR_CACHE", "off")
    assert load_dataset(folder).num_classes == 3
    assert not (tmp_path / "cache").exists()
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EQUIANGULAR_CACHE", str(tmp_path / "file" / "below"))
    assert load_dataset(folder).num_classes == 3


def test_grey_images_have_one_channel_unless_the_other_part_has_three(tmp_path):
    grey = np.repeat(RGB[..., :1], 3, axis=3)
    for part, arrays in (("train", grey), ("test", grey)):
        write(tmp_path / f"{part}.parquet", {"image": image_column(map(png, arrays)), "label": LABELS})
    assert load_dataset(tmp_path).input_shape == (1, 5, 5)
    write(tmp_path / "test.parquet", {"image": image_column(map(png, RGB)), "label": LABELS})
    data = load_dataset(tmp_path)
    assert data.input_shape == (3, 5, 5)
    np.testing.assert_array_equal(data.train_x.permute(0, 2, 3, 1), grey)


def test_size_pads_on_white_and_averages_by_area(tmp_path):
    wide = np.zeros((2, 4), dtype=np.uint8)
    wide[:, 2:] = 100
    square = np.arange(16, dtype=np.uint8).reshape(4, 4) * 8
    blobs = [png(wide), png(square), png(np.zeros((2, 2), np.uint8)), png(square)]
    write(tmp_path / "x.parquet", {"image": image_column(blobs * 5), "label": [0, 1] * 10})
    assert load_dataset(tmp_path / "x.parquet").input_shape == (1, 4, 4)
    data = load_dataset(tmp_path / "x.parquet", size=2)
    images = torch.cat([data.train_x, data.test_x])[:, 0]
    found = {tuple(image.flatten().tolist()) for image in images}
    # By hand: a row of white above and below the wide one; 2 x 2 means of the square one, rounded half up.
    assert found == {(128, 178, 128, 178), (20, 36, 84, 100), (0, 0, 0, 0)}


def test_tables(tmp_path):
    columns = {"b": [1.5, 2.5, 3.5, 4.5], "a": [1, 2, 3, 4], "label": [0, 1, 0, 1]}
    write(tmp_path / "train.parquet", columns)
    write(tmp_path / "test.parquet", {"a": [9], "label": [1], "b": [8.5]})
    data = load_dataset(tmp_path)
    assert (data.kind, data.train_x[1].tolist(), data.test_x[0].tolist()) == ("table", [2.5, 2.0], [8.5, 9.0])


def test_texts_take_their_vocabulary_from_the_training_part(tmp_path):
    write(tmp_path / "train.parquet", {"text": ["red apple", "green pear", "red plum"], "label": ["x", "y", "x"]})
    write(tmp_path / "test.parquet", {"text": ["blue apple", "zebra"], "label": ["y", "x"]})
    data = load_dataset(tmp_path)
    assert (data.kind, data.class_names, data.test_y.tolist()) == ("text", ("x", "y"), [1, 0])
    assert data.input_shape == (8,)  # five words and three pairs
    torch.testing.assert_close(data.train_x.norm(dim=1), torch.ones(3))
    assert (data.test_x != 0).sum(1).tolist() == [1, 0]


def test_a_single_file_is_split(tmp_path):
    write(tmp_path / "all.parquet", {"a": np.arange(100.0), "label": np.arange(100) % 2})
    data = load_dataset(tmp_path / "all.parquet", split_seed=3)
    assert (len(data.train_y), np.bincount(data.test_y).tolist()) == (80, [10, 10])
    assert torch.equal(data.test_x[:, 0].long() % 2, data.test_y)
    other = load_dataset(tmp_path / "all.parquet", split_seed=4)
    assert not torch.equal(data.test_x, other.test_x)


@pytest.mark.parametrize(
    ("columns", "names", "match"),
    [
        ({"a": [1.0, 2.0]}, None, "has no column 'label'; its columns are a"),
        ({"a": [1.0, 2.0], "label": [0, None]}, None, "row 2 has no label"),
        ({"a": [1.0, 2.0], "label": [0, 2]}, ["x", "y"], r"row 2 has label 2, outside \[0, 1\] for 2 classes"),
        ({"a": [1.0, 2.0], "label": [0, 0]}, ["x", "y"], "no training sample of class 'y'"),
        ({"a": [{"u": 1}, {"u": 2}], "label": [0, 1]}, None, "nothing to learn from: 'a' .*holds struct"),
        ({"a": [1.0, np.inf], "label": [0, 1]}, None, "row 2: column 'a' is infinite"),
        ({"label": [0, 1]}, None, "nothing to learn from: it has no column beside the label"),
        (
            {"a": [1.0, 2.0], "label": [{"u": 1}, {"u": 2}]},
            None,
            "column 'label' holds struct.* texts or whole numbers",
        ),
        ({"a": [1.0, 2.0], "label": [0.5, 1.0]}, None, r"column 'label' holds 0\.5: a class for every number"),
        ({"text": ["u", None], "label": [0, 1]}, None, "row 2: it has no text"),
        ({"text": ["!", "?"], "label": [0, 1]}, None, "no vocabulary can be made of 2 training texts"),
        ({"image": image_column([png(RGB[0]), b"junk"]), "label": [0, 1]}, None, "train.parquet: row 2 is"),
        ({"image": image_column([png(RGB[0]), png(RGB[1])[:60]]), "label": [0, 1]}, None, "row 2 is not an image"),
        ({"image": image_column([None, png(RGB[0])]), "label": [0, 1]}, None, "row 1 has no image data"),
    ],
)
def test_bad_training_files(tmp_path, columns, names, match):
    write(tmp_path / "train.parquet", columns, names)
    write(tmp_path / "test.parquet", columns, names)
    with pytest.raises(ValueError, match=match):
        load_dataset(tmp_path)


def test_parts_that_disagree(tmp_path):
    write(tmp_path / "train.parquet", {"a": [1.0, 2.0], "label": [0, 1]}, ["x", "y"])
    write(tmp_path / "test.parquet", {"a": [1.0], "label": [0]}, ["y", "x"])
    with pytest.raises(ValueError, match="name different classes"):
        load_dataset(tmp_path)
    write(tmp_path / "test.parquet", {"b": [1.0], "label": [0]}, ["x", "y"])
    with pytest.raises(ValueError, match=r"test.parquet' has no column 'a', which the training part has"):
        load_dataset(tmp_path)


def test_unreadable_files(tmp_path):
    (tmp_path / "train.parquet").write_bytes(b"no parquet")
    with pytest.raises(ValueError, match=r"cannot read '.*train.parquet' as parquet"):
        load_dataset(tmp_path)
    write(tmp_path / "train.parquet", {"a": [1.0, 2.0], "label": [0, 1]})
    whole = (tmp_path / "train.parquet").read_bytes()
    (tmp_path / "train.parquet").write_bytes(whole[: len(whole) // 2])  # a copy that broke off
    with pytest.raises(ValueError, match=r"cannot read '.*train.parquet' as parquet"):
        load_dataset(tmp_path)
    (tmp_path / "table.csv").write_text("a,b")
    with pytest.raises(ValueError, match=r"cannot read '.*table.csv' as csv: it has no rows"):
        load_dataset(tmp_path / "table.csv")
    (tmp_path / "table.doc").write_text("a,b")
    message = r"no data set found in .*table.doc.: a .doc file is not read. Expected a table \(.csv"
    with pytest.raises(ValueError, match=message):
        load_dataset(tmp_path / "table.doc")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no data set found"):
        load_dataset(tmp_path / "empty")
    with pytest.raises(ValueError, match="size must be an integer >= 1, got 0"):
        load_dataset(tmp_path, size=0)
