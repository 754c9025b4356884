"""Files to batches: images as the training decoded them, tables, texts; what is broken is reported, the rest read."""

import struct
import zlib
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from equiangular.data import load_dataset
from equiangular.data.images import decode_images
from equiangular.data.texts import fit_vocabulary, vocabulary_features
from equiangular.inference import InputBatch, list_inputs, read_inputs
from equiangular.training import ModelInfo

GREY = ModelInfo("etf-la", "digits", (1, 8, 8), ("a", "b"), (3, 2), (0.5,), (0.2,))
COLOUR = replace(GREY, input_shape=(3, 8, 8), mean=(0.5,) * 3, std=(0.2,) * 3)
TABLE = ModelInfo("etf-la", "mlp", (3,), ("a", "b"), (3, 2), (0.0,) * 3, (1.0,) * 3, kind="table")


def picture(path: Path, shape: tuple[int, ...] = (8, 8, 3), seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def together(batches: list[InputBatch]) -> tuple[list[str], torch.Tensor, list[str], list[tuple[str, str]]]:
    names = [name for b in batches for name in b.names]
    labels = [label for b in batches for label in b.labels or []]
    return names, torch.cat([b.inputs for b in batches]), labels, [f for b in batches for f in b.failures]


def thin_png(width: int, height: int) -> bytes:
    """An image of zeros, of which nothing is in memory but its rows' zipped form."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer, rows = zlib.compressobj(9), b""
    for _ in range(height):
        rows += packer.compress(bytes(1 + width))
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    end = chunk(b"IDAT", rows + packer.flush()) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + end


def test_an_image_of_too_many_pixels_is_one_failed_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of a few bytes can ask for all memory, by its size or by the square that it is padded to."""
    picture(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(thin_png(1, 20_000))
    (tmp_path / "c.png").write_bytes(thin_png(3_000, 1_000))
    monkeypatch.setenv("EQUIANGULAR_MAX_PIXELS", "100000")
    names, inputs, _, failed = together([*read_inputs(list_inputs([tmp_path], "image"), COLOUR)])
    assert [Path(name).name for name in names] == ["a.png"]
    assert inputs.shape == (1, 3, 8, 8)
    assert "too long for its width to be padded" in failed[0][1]
    assert "3000 x 1000 = 3,000,000 pixels, and the limit is 100,000; raise it with" in failed[1][1]
    monkeypatch.delenv("EQUIANGULAR_MAX_PIXELS")
    names, inputs, _, failed = together([*read_inputs(list_inputs([tmp_path], "image"), COLOUR)])
    assert (len(names), len(inputs), failed) == (3, 3, [])


def test_files_of_folders_in_order(tmp_path: Path) -> None:
    for name in ("b/2.png", "b/1.JPG", "a/x/3.png", ".hidden/4.png", "b/.5.png"):
        picture(tmp_path / name)
    (tmp_path / "b" / "notes.md").write_text("no image")
    found = list_inputs([tmp_path / "b", tmp_path], "image")
    inside = [str(f.relative_to(tmp_path)) for f in found]
    assert inside == ["b/1.JPG", "b/2.png", "a/x/3.png", "b/1.JPG", "b/2.png"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("none.png", "none.png' does not exist"),
        ("notes.md", "nothing a model of kind 'image' reads: .png"),
        ("", "found none in"),
    ],
)
def test_paths_that_cannot_be_read(tmp_path: Path, given: str, message: str) -> None:
    (tmp_path / "notes.md").write_text("no image")
    with pytest.raises(ValueError, match=message):
        list_inputs([tmp_path / given], "image")


@pytest.mark.parametrize("shape", [(8, 8, 3), (16, 16, 3), (5, 20, 3), (8, 8), (30, 11)])
@pytest.mark.parametrize("info", [GREY, COLOUR])
def test_images_as_the_training_decodes_them(tmp_path: Path, shape: tuple[int, ...], info: ModelInfo) -> None:
    file = picture(tmp_path / "a" / "1.png", shape)
    (batch,) = read_inputs([file], info)
    expected = decode_images([file.read_bytes()], size=8, where="here")[0]
    if info is COLOUR:
        expected = np.broadcast_to(expected, (3, 8, 8))
    elif len(expected) == 3:  # a grey model and a coloured image: the luma of Pillow
        resized = Image.fromarray(expected.transpose(1, 2, 0)).convert("L")
        expected = np.asarray(resized)[None]
    assert torch.equal(batch.inputs[0], torch.from_numpy(expected.copy()))
    assert batch.labels == ["a"]


def test_a_corrupt_image_is_reported_and_the_rest_goes_on(tmp_path: Path) -> None:
    files = [picture(tmp_path / f"{i}.png", seed=i) for i in range(5)]
    files[1].write_bytes(files[1].read_bytes()[:50])
    files[4].write_bytes(b"")
    names, inputs, _, failures = together(list(read_inputs(files, COLOUR, batch_size=2)))
    assert names == [str(files[i]) for i in (0, 2, 3)]
    assert inputs.shape == (3, 3, 8, 8)
    assert [name for name, _ in failures] == [str(files[1]), str(files[4])]
    assert "is not an image that can be read" in failures[0][1]
    assert "has no image data" in failures[1][1]


def test_a_palette_with_transparency_is_laid_on_white_without_a_warning(tmp_path: Path) -> None:
    image = Image.new("P", (8, 8), 1)
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.paste(0, (0, 0, 4, 8))
    image.save(tmp_path / "1.png", transparency=bytes([255, 0]))
    (batch,) = read_inputs([tmp_path / "1.png"], COLOUR)
    assert batch.inputs[0, :, 0, 0].tolist() == [10, 20, 30]
    assert batch.inputs[0, :, 0, 7].tolist() == [255, 255, 255]


def test_a_shape_that_is_no_square_is_not_guessed(tmp_path: Path) -> None:
    wide = replace(COLOUR, input_shape=(3, 8, 12))
    right, wrong = picture(tmp_path / "1.png", (8, 12, 3)), picture(tmp_path / "2.png", (8, 8, 3))
    _, inputs, _, failures = together(list(read_inputs([right, wrong], wide)))
    assert inputs.shape == (1, 3, 8, 12)
    assert "has size 8 x 8, and the model takes 8 x 12" in failures[0][1]


def numbers(n: int = 7) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n, 3)).astype(np.float32)


def write(folder: Path, suffix: str, values: np.ndarray, labels: list | None = None) -> Path:
    path = folder / f"t{suffix}"
    if suffix == ".npz":
        np.savez(path, x=values, **({} if labels is None else {"y": np.array(labels)}))
        return path
    columns = {name: values[:, i] for i, name in enumerate("uvw")}
    table = pa.table(columns if labels is None else {**columns, "label": labels})
    pq.write_table(table, path) if suffix == ".parquet" else pa.csv.write_csv(table, path)
    return path


@pytest.mark.parametrize("suffix", [".npz", ".parquet", ".csv"])
@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_tables(tmp_path: Path, suffix: str, batch_size: int) -> None:
    path = write(tmp_path, suffix, numbers(), ["a", "b"] * 3 + ["a"])
    batches = list(read_inputs([path], TABLE, batch_size=batch_size))
    assert max(len(b.inputs) for b in batches) <= batch_size
    names, inputs, labels, failures = together(batches)
    np.testing.assert_allclose(inputs, numbers(), rtol=1e-6)
    assert names == [f"{path}:{i}" for i in range(1, 8)]
    assert labels == ["a", "b"] * 3 + ["a"]
    assert not failures


@pytest.mark.parametrize("suffix", [".npz", ".parquet", ".csv"])
def test_rows_with_holes_are_reported(tmp_path: Path, suffix: str) -> None:
    values = numbers()
    values[0] = 3e38  # finite, and their sum is not
    values[2, 1], values[5, 0] = np.nan, np.inf
    names, inputs, _, failures = together(list(read_inputs([write(tmp_path, suffix, values)], TABLE, batch_size=4)))
    assert len(inputs) == 5
    assert [name.rpartition(":")[2] for name, _ in failures] == ["3", "6"]
    assert "NaN or infinite" in failures[0][1]
    assert torch.isfinite(inputs).all()
    assert len(names) == 5


def test_columns_by_name_whatever_their_order(tmp_path: Path) -> None:
    values, known = numbers(), replace(TABLE, columns=("u", "v", "w"))
    columns = {name: values[:, "uvw".index(name)] for name in "wuv"} | {"more": values[:, 0]}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    (batch,) = read_inputs([tmp_path / "t.parquet"], known)
    np.testing.assert_array_equal(batch.inputs, values)
    (batch,) = read_inputs([tmp_path / "t.parquet"], replace(TABLE, columns=("u", "v", "x")))
    assert "has no column 'x'; its columns are w, u, v, more" in batch.failures[0][1]


def test_embedded_images_and_class_names(tmp_path: Path) -> None:
    blobs = [picture(tmp_path / f"{i}.png", seed=i).read_bytes() for i in range(3)]
    meta = {b"huggingface": b'{"info": {"features": {"label": {"names": ["a", "b"]}}}}'}
    column = [{"bytes": blobs[0]}, {"bytes": b"broken"}, {"bytes": blobs[2]}]
    table = pa.table({"image": column, "label": [1, 0, 0]}).replace_schema_metadata(meta)
    pq.write_table(table, tmp_path / "t.parquet")
    names, inputs, labels, failures = together(list(read_inputs([tmp_path / "t.parquet"], COLOUR)))
    assert [n.rpartition(":")[2] for n in names] == ["1", "3"]
    assert labels == ["b", "a"]
    assert len(failures) == 1
    expected = np.asarray(Image.open(tmp_path / "2.png")).transpose(2, 0, 1)
    assert torch.equal(inputs[1], torch.from_numpy(expected.copy()))


def test_texts(tmp_path: Path) -> None:
    vocabulary = fit_vocabulary(["pay the bill", "lost card"])
    size = len(vocabulary["terms"])
    zeros, ones = (0.0,) * size, (1.0,) * size
    info = replace(TABLE, kind="text", input_shape=(size,), mean=zeros, std=ones, vocabulary=vocabulary)
    texts = ["my card", "the bill", "zzz"]
    (tmp_path / "t.txt").write_text("\n".join(texts) + "\n")
    pq.write_table(pa.table({"text": texts}), tmp_path / "t.parquet")
    expected = vocabulary_features(texts, vocabulary)
    for name in ("t.txt", "t.parquet"):
        names, inputs, _, failures = together(list(read_inputs([tmp_path / name], info, batch_size=2)))
        np.testing.assert_array_equal(inputs, expected)
        assert names == [f"{tmp_path / name}:{i}" for i in (1, 2, 3)]
        assert not failures
    (batch,) = read_inputs([tmp_path / "t.txt"], replace(info, vocabulary=None))
    assert "stored without a vocabulary" in batch.failures[0][1]


def test_tables_that_do_not_fit(tmp_path: Path) -> None:
    (tmp_path / "broken.npz").write_bytes(b"no archive")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1")
    (tmp_path / "broken.csv").write_text("")
    np.savez(tmp_path / "other.npz", weights=numbers())
    np.savez(tmp_path / "wide.npz", x=np.zeros((2, 5)))
    np.savez(tmp_path / "labels.npz", x=np.zeros((2, 3)), y=np.array(1))
    np.savez(tmp_path / "named.npz", x=np.zeros((2, 3)), class_names=np.array("a"))
    np.savez(tmp_path / "pickled.npz", x=np.array([{}], dtype=object))
    pq.write_table(pa.table({"u": [1.0], "v": ["x"], "w": [2.0]}), tmp_path / "text.parquet")
    pq.write_table(pa.table({"u": [1.0]}), tmp_path / "narrow.parquet")
    expected = {
        "broken.npz": "cannot read .*broken.npz",
        "labels.npz": r"its labels have shape \(\), its inputs are 2",
        "named.npz": r"class_names must be a list of texts, got an array of shape \(\)",
        "broken.parquet": "cannot read",
        "broken.csv": "cannot read",
        "other.npz": "needs an array named x, .* got weights",
        "wide.npz": r"its inputs have shape \(5,\), the model takes \(3,\)",
        "pickled.npz": "cannot read",
        "text.parquet": "column 'v' holds 'x', not a number",
        "narrow.parquet": "1 columns of numbers, the model takes 3",
    }
    files = [tmp_path / name for name in expected]
    failures = [failure for batch in read_inputs(files, TABLE) for failure in batch.failures]
    assert [name.removesuffix(":1") for name, _ in failures] == [str(f) for f in files]
    for (_, reason), message in zip(failures, expected.values(), strict=True):
        with pytest.raises(ValueError, match=message):
            raise ValueError(reason)


@pytest.mark.parametrize("cells", [[1, 2], [1.5, None], [{"bytes": [1]}], [{"bytes": b"", "path": 3}]])
def test_a_column_of_images_that_holds_something_else(cells: list, tmp_path: Path) -> None:
    pq.write_table(pa.table({"image": cells, "label": ["a"] * len(cells)}), tmp_path / "t.parquet")
    (batch,) = read_inputs([tmp_path / "t.parquet"], COLOUR)
    assert "the column of images holds" in batch.failures[0][1]
    with pytest.raises(ValueError, match="the column of images holds"):
        load_dataset(tmp_path / "t.parquet")


def test_a_column_of_vectors_that_holds_something_else(tmp_path: Path) -> None:
    pq.write_table(pa.table({"features": ["a", "b"]}), tmp_path / "t.parquet")
    (batch,) = read_inputs([tmp_path / "t.parquet"], replace(TABLE, kind="vectors"))
    assert "column 'features' must hold lists of numbers, got string" in batch.failures[0][1]


def test_views_of_texts_are_texts(tmp_path: Path) -> None:
    texts = pa.array(["the card is lost", "pay the bill now", "where is my card"] * 4)
    labels = ["a", "b", "a"] * 4
    pq.write_table(pa.table({"text": texts, "label": labels}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"text ": texts.cast(pa.string_view()), "label": labels}), tmp_path / "b.parquet")
    one, two = (load_dataset(tmp_path / name) for name in ("a.parquet", "b.parquet"))
    assert one.kind == two.kind == "text"
    assert torch.equal(one.train_x, two.train_x)


def test_offsets_of_a_damaged_feather_file_are_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Arrow itself ends the process where a changed byte of a feather file makes an offset that leads out of it."""
    (tmp_path / "t.feather").write_bytes(b"")
    damaged = Mock(validate=Mock(side_effect=pa.ArrowInvalid("Offset invariant failure")))
    for found, said in (
        (Mock(return_value=damaged), "Offset"),
        (Mock(side_effect=pa.ArrowMemoryError("9")), "holds more"),
    ):
        monkeypatch.setattr("pyarrow.feather.read_table", found)
        with pytest.raises(ValueError, match=f"t.feather.*{said}"):
            load_dataset(tmp_path / "t.feather")
    damaged.validate.assert_called_once_with(full=True)


def test_vectors_in_half_precision_are_read(tmp_path: Path) -> None:
    values = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    for kind in (torch.bfloat16, torch.float16, torch.float8_e5m2):
        save_file({"features": values.to(kind), "labels": torch.arange(2)}, tmp_path / "v.safetensors")
        (batch,) = read_inputs([tmp_path / "v.safetensors"], replace(TABLE, kind="vectors"))
        assert not batch.failures
        assert batch.inputs.tolist() == values.to(kind).float().tolist()
    save_file({"features": values, "labels": torch.arange(2.0).bfloat16()}, tmp_path / "v.safetensors")
    with pytest.raises(ValueError, match="labels must hold 2 integers or strings"):
        load_dataset(tmp_path / "v.safetensors")


def test_a_column_of_a_type_that_arrow_does_nothing_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pq.write_table(pa.table({"u": [1.0, 2.0] * 9, "label": ["a", "b"] * 9}), tmp_path / "t.parquet")
    monkeypatch.setattr("equiangular.data.fit_columns._fit", Mock(side_effect=pa.ArrowNotImplementedError("no kernel")))
    with pytest.raises(ValueError, match=r"t.parquet' has a column of a type that cannot be used: no kernel"):
        load_dataset(tmp_path / "t.parquet")


def test_reading_holds_a_batch_at_a_time(tmp_path: Path) -> None:
    files = [picture(tmp_path / f"{i}.png") for i in range(6)]
    batches = read_inputs(files, COLOUR, batch_size=2)
    next(batches)
    for file in files[4:]:
        file.unlink()  # not read yet: their loss is seen
    failures = [failure for batch in batches for failure in batch.failures]
    assert len(failures) == 2
