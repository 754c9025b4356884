"""Folders, arrays and hub sets as they come: what is odd about them x the commands that read them."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import struct
import unicodedata
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from equiangular.compare import Comparing, configure
from equiangular.data import Dataset, content_digest, from_arrays, load_dataset
from equiangular.data.images import decode_images
from equiangular.encoders import CallableEncoder, embed
from equiangular.inference import evaluate, list_inputs, predict_files, read_inputs
from equiangular.training import Classifier, TrainConfig, train
from equiangular.training.run.collapse import measure_run
from tests.command_line import run


@pytest.fixture(autouse=True)
def _no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EQUIANGULAR_CACHE", "off")


def fill(place: Path, first: int, number: int = 10, names: str = "{:02}.png") -> None:
    """Images of 6 x 6 that differ, darker or brighter by ``first``."""
    place.mkdir(parents=True, exist_ok=True)
    for i in range(number):
        pixels = np.random.default_rng([first, i]).integers(first, first + 40, (6, 6), dtype=np.uint8)
        Image.fromarray(pixels).save(place / names.format(i))


def cats_and_dogs(folder: Path, number: int = 10, shift: int = 0) -> Path:
    fill(folder / "cat", 10 + shift, number)
    fill(folder / "dog", 150 + shift, number)
    return folder


def trained(data: Path, output: Path, **options: Any) -> Classifier:
    train(TrainConfig(data=str(data), epochs=1, accelerator="cpu", method="etf-ce", width=0.25, **options), output)
    return Classifier.load(output)


MEAN = CallableEncoder(
    lambda images: [[float(np.asarray(image).mean()), 1.0] for image in images], dim=2, modality="image", name="mean"
)


def notes_of(data: Dataset) -> str:
    return "\n".join(data.notes)


# Layout -> (how many images are in the training pool, the validation part, the test part; what is told of it).
def junk(root: Path) -> tuple[int, int, int, str]:
    cats_and_dogs(root)
    (root / "cat" / "._00.png").write_bytes(b"resource fork")
    fill(root / "__MACOSX" / "cat", 1, 3)
    fill(root / ".ipynb_checkpoints", 1, 2)
    (root / "dog" / "Thumbs.db").write_bytes(b"x")
    return 16, 0, 4, "left out 6 files that systems leave or hide (._00.png, 00.png, 01.png and 1 more)"


def empty_class_in_test(root: Path) -> tuple[int, int, int, str]:
    cats_and_dogs(root / "train")
    fill(root / "test" / "cat", 10, 4)
    (root / "test" / "dog").mkdir()
    return 20, 0, 4, "test/: class folders without images, left out: dog"


def three_parts(root: Path) -> tuple[int, int, int, str]:
    cats_and_dogs(root / "train")
    cats_and_dogs(root / "val", 3, shift=20)
    cats_and_dogs(root / "test", 2, shift=40)
    return 26, 6, 4, "used val/ as validation"


def two_parts(root: Path) -> tuple[int, int, int, str]:
    cats_and_dogs(root / "Training")
    cats_and_dogs(root / "Validation", 3, shift=20)
    return 22, 6, 4, "used Validation/ as validation"


def parts_beside_classes(root: Path) -> tuple[int, int, int, str]:
    cats_and_dogs(root)
    cats_and_dogs(root / "val", 3, shift=20)
    cats_and_dogs(root / "test", 2, shift=40)
    return 26, 6, 4, "used val/ as validation"


def class_with_the_name_of_a_part(root: Path) -> tuple[int, int, int, str]:
    fill(root / "ops", 10)
    fill(root / "dev", 150)
    return 16, 0, 4, "read as a class, as it has no class folders: dev/"


def class_of_trains(root: Path) -> tuple[int, int, int, str]:
    fill(root / "plane", 10)
    fill(root / "train", 150)
    return 16, 0, 4, "read as a class, as it has no class folders: train/"


def unlabelled_test(root: Path) -> tuple[int, int, int, str]:
    cats_and_dogs(root / "train")
    cats_and_dogs(root / "val", 3, shift=20)
    fill(root / "test", 5)
    return 20, 0, 6, "used val/ as the test part"


def one_folder_more(root: Path) -> tuple[int, int, int, str]:
    cats_and_dogs(root / "pets-v2" / "images")
    return 16, 0, 4, "classes and parts are those in its folder pets-v2/images/"


def one_folder_more_in_parts(root: Path) -> tuple[int, int, int, str]:
    cats_and_dogs(root / "archive" / "train" / "images")
    cats_and_dogs(root / "archive" / "test" / "images", 2)
    return 20, 0, 4, "classes and parts are those in its folder archive/"


def nested(root: Path) -> tuple[int, int, int, str]:
    cats_and_dogs(root / "train", 5)
    fill(root / "train" / "cat" / "indoors", 30, 4)
    fill(root / "train" / "dog" / "a" / "b", 170, 6)
    fill(root / "test" / "cat" / "x", 10, 2)
    return 20, 0, 2, "train/: 10 images in folders within class folders, read as that class"


def nested_alone(root: Path) -> tuple[int, int, int, str]:
    fill(root / "cat" / "a", 10)
    fill(root / "dog" / "b", 150)
    return 16, 0, 4, "20 images in folders within class folders"


def two_forms_of_unicode(root: Path) -> tuple[int, int, int, str]:
    composed, apart = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    fill(root / "train" / composed, 10, 5)
    fill(root / "train" / apart, 60, 5)
    fill(root / "train" / "dog", 150)
    fill(root / "test" / apart, 10, 2)
    fill(root / "test" / "dog", 150, 2)
    return 20, 0, 4, ""


def strange_class_in_test(root: Path) -> tuple[int, int, int, str]:
    cats_and_dogs(root / "train")
    cats_and_dogs(root / "test", 2)
    fill(root / "test" / "zebra", 90, 3)
    return 20, 0, 4, "3 test samples of classes without training samples are not scored: 'zebra' (3)"


def class_of_one_sample(root: Path) -> tuple[int, int, int, str]:
    cats_and_dogs(root)
    fill(root / "emu", 90, 1)
    return 17, 0, 4, ""


LAYOUTS = (
    junk,
    empty_class_in_test,
    three_parts,
    two_parts,
    parts_beside_classes,
    class_with_the_name_of_a_part,
    class_of_trains,
    unlabelled_test,
    one_folder_more,
    one_folder_more_in_parts,
    nested,
    nested_alone,
    two_forms_of_unicode,
    strange_class_in_test,
    class_of_one_sample,
)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_folder_is_read_alike_by_every_command(tmp_path: Path, layout: Callable[[Path], Any]) -> None:
    root = tmp_path / "pets"
    pool, held, tested, told = layout(root)
    data = load_dataset(root)
    assert (len(data.train_y), len(data.test_y)) == (pool, tested)
    assert (0 if data.holdout is None else len(data.holdout)) == held
    assert told in notes_of(data)
    assert all(unicodedata.is_normalized("NFC", name) for name in data.class_names)
    streamed = load_dataset(root, memory="stream")
    assert torch.equal(streamed.train_x[:][:, :1], data.train_x)
    assert streamed.train_y.tolist() == data.train_y.tolist()
    classifier = trained(root, tmp_path / "run")
    info = classifier.info
    assert sum(info.class_counts) == (pool - held if held else pool - sum(n // 5 for n in data.train_counts))
    for named in (None, root):
        results = evaluate(classifier, data=named)
        assert results["scores"]["samples"] == tested
        assert results["apart"] == dict(data.reading.apart)
        assert told in "\n".join(results["notes"])
    content = json.loads((tmp_path / "run" / "results.json").read_text())["content"]
    compared = Comparing(configure(str(root), methods=("linear-ce", "etf-ce")), tmp_path / "compare")
    assert compared.content == content == content_digest(data)
    assert measure_run(tmp_path / "run").measures["nc1_quotient"] >= 0
    made = embed(root, MEAN)
    assert (made.train_y.tolist(), len(made.test_x)) == (data.train_y.tolist(), tested)
    assert torch.allclose(made.train_x[:, 0], data.train_x.float().mean((1, 2, 3)), atol=1e-3)
    # predict goes through all that is no junk, whatever part it is in
    paths = list_inputs([root], "image")
    assert len(paths) == len(list(predict_files(classifier, read_inputs(paths, info)))) >= pool + tested
    assert not any(name.startswith("._") or "__MACOSX" in str(path) for path in paths for name in [path.name])


def test_a_folder_of_classes_to_evaluate_on(tmp_path: Path) -> None:
    """Another folder than the model's own is scored whole; what it was trained on is not scored."""
    own = cats_and_dogs(tmp_path / "own" / "train").parent
    classifier = trained(own, tmp_path / "run")
    other = cats_and_dogs(tmp_path / "other", 3)
    fill(other / "cat" / "deep", 20, 2)
    fill(other / "emu", 20, 2)
    results = evaluate(classifier, data=other)
    assert (results["scores"]["samples"], results["apart"]) == (8, {"emu": 2})
    assert results["notes"][-1].startswith("2 test samples of classes without training samples are not scored")
    with pytest.raises(ValueError, match=r"own/train' holds what the model was trained on"):
        evaluate(classifier, data=own / "train")
    with pytest.raises(ValueError, match=r"own/train/cat' holds what the model was trained on"):
        evaluate(classifier, data=own / "train" / "cat")
    cats_and_dogs(tmp_path / "foreign" / "train", 3)
    with pytest.raises(ValueError, match=r"has train/ and no test part\. .*--data .*foreign/train"):
        evaluate(classifier, data=tmp_path / "foreign")
    assert evaluate(classifier, data=tmp_path / "foreign" / "train")["scores"]["samples"] == 6
    cats_and_dogs(tmp_path / "foreign" / "val", 2)
    assert evaluate(classifier, data=tmp_path / "foreign")["scores"]["samples"] == 4


def test_the_class_folders_of_a_folder_without_parts_are_what_was_trained_on(tmp_path: Path) -> None:
    own = cats_and_dogs(tmp_path / "own")
    cats_and_dogs(own / "test", 2, shift=40)
    classifier = trained(own, tmp_path / "run")
    with pytest.raises(ValueError, match=r"own/cat' holds what the model was trained on"):
        evaluate(classifier, data=own / "cat")
    assert evaluate(classifier, data=own / "test")["scores"]["samples"] == 4


def test_validation_by_its_name_is_what_is_held_out(tmp_path: Path) -> None:
    three_parts(tmp_path / "pets")
    results = train(
        TrainConfig(data=str(tmp_path / "pets"), epochs=1, accelerator="cpu", method="etf-ce", width=0.25),
        tmp_path / "run",
    )
    assert results["class_counts"] == [10, 10]
    assert "validation part" in results["content"]
    assert results["data"]["notes"][0] == "used val/ as validation"


def test_a_relative_path_is_stored_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cats_and_dogs(tmp_path / "here" / "pets")
    monkeypatch.chdir(tmp_path / "here")
    classifier = trained(Path("pets"), tmp_path / "run")
    assert classifier.info.data["name_or_path"] == str(tmp_path / "here" / "pets")
    again = train(  # the same command goes on with the same run
        TrainConfig(data="pets", epochs=1, accelerator="cpu", method="etf-ce", width=0.25), tmp_path / "run"
    )
    monkeypatch.chdir(tmp_path)
    assert evaluate(classifier)["scores"]["samples"] == 4
    assert again["config"]["data"] == os.path.abspath("here/pets")
    (tmp_path / "here").rename(tmp_path / "there")
    with pytest.raises(ValueError, match=r"cannot be read: unknown data set .*Or name others with --data"):
        evaluate(classifier)
    assert evaluate(classifier, data=tmp_path / "there" / "pets")["scores"]["samples"] == 4  # known by their content


@pytest.mark.parametrize("form", ["npz", "medmnist", "capital", "columns"])
def test_arrays_by_their_usual_names(tmp_path: Path, form: str) -> None:
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], 10)
    x = rng.integers(0, 100, (20, 6, 6), dtype=np.uint8) + (120 * y).astype(np.uint8)[:, None, None]
    test, test_y = x[::5] + 1, y[::5]
    arrays = {
        "npz": {"x": x, "y": y[:, None], "test_x": test, "test_y": test_y[:, None]},
        "capital": {"X": x, "Y": y, "test_X": test, "test_Y": test_y},
        "columns": {"data": x, "label": y, "test_data": test, "test_label": test_y},
        "medmnist": {
            **{"train_images": x, "train_labels": y[:, None], "test_images": test, "test_labels": test_y[:, None]},
            **{"val_images": x[:4] + 2, "val_labels": y[::5][:, None]},
        },
    }[form]
    np.savez(tmp_path / "a.npz", **arrays)
    data = load_dataset(tmp_path / "a.npz")
    assert (data.kind, data.class_names, data.test_y.tolist()) == ("image", ("0", "1"), test_y.tolist())
    np.testing.assert_array_equal(data.train_x[:20, 0], x)
    assert (data.holdout is not None) == (form == "medmnist")
    classifier = trained(tmp_path / "a.npz", tmp_path / "run")
    assert evaluate(classifier)["scores"]["samples"] == 4
    shutil.copy(tmp_path / "a.npz", tmp_path / "b.npz")  # another file: its test part by the same names
    assert evaluate(classifier, data=tmp_path / "b.npz")["scores"]["samples"] == 4


def test_tables_under_capital_x_are_read() -> None:
    data = from_arrays(np.arange(40).reshape(20, 2), np.repeat([[0], [1]], 10, 0))
    assert (data.kind, data.num_classes) == ("table", 2)


def test_two_classes_of_one_name_are_refused_where_they_are_read(tmp_path: Path) -> None:
    y = np.repeat([0, 1], 10)
    x = np.arange(20, dtype=np.uint8)[:, None, None] * np.ones((4, 4), np.uint8)
    np.savez(tmp_path / "t.npz", x=x, y=y, class_names=["ant", "ant"])
    with pytest.raises(ValueError, match=r"names two classes alike: 'ant' \(label 0\) and 'ant' \(label 1\)"):
        load_dataset(tmp_path / "t.npz")
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    metadata = {b"huggingface": b'{"info": {"features": {"label": {"names": ["ant", "ant"]}}}}'}
    table = pa.table({"u": [0.0, 1.0] * 10, "label": [0, 1] * 10}).replace_schema_metadata(metadata)
    pq.write_table(table, tmp_path / "t.parquet")
    with pytest.raises(ValueError, match="two classes alike: 'ant'"):
        load_dataset(tmp_path / "t.parquet")
    classifier = trained(cats_and_dogs(tmp_path / "pets"), tmp_path / "run")
    np.savez(tmp_path / "other.npz", x=np.zeros((2, 6, 6), np.uint8), y=np.array([0, 1]), class_names=["cat", "cat "])
    with pytest.raises(ValueError, match="its class_names names two classes alike"):
        evaluate(classifier, data=tmp_path / "other.npz")


def test_hub_sets_with_null_labels_and_identifiers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()
    features = {
        "row": datasets.Value("string"),
        "u": datasets.Value("float64"),
        "label": datasets.ClassLabel(names=["ant", "bee"]),
    }
    rows = {"row": [f"r{i}" for i in range(20)], "u": [i / 10 for i in range(20)], "label": [0] * 10 + [1] * 10}
    (tmp_path / "h").mkdir()
    for part, columns in (("train", rows), ("validation", rows), ("test", {**rows, "label": [None] * 20})):
        made = datasets.Dataset.from_dict(columns, features=datasets.Features(features))
        made.to_parquet(tmp_path / "h" / f"{part}-00000-of-00001.parquet")
    data = load_dataset(f"hf:{tmp_path / 'h'}")
    assert (data.kind, data.input_shape, len(data.test_y)) == ("table", (1,), 20)
    assert "the split test has no labels, so it is not used" in data.notes
    assert "used the split validation as the test part" in data.notes
    assert "row" in notes_of(data)


def test_all_broken_images_are_listed_at_once(tmp_path: Path) -> None:
    cats_and_dogs(tmp_path / "pets")
    for name in ("cat/03", "dog/00", "dog/09"):
        (tmp_path / "pets" / f"{name}.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"3 of 20 images cannot be read\..*skip_broken=True") as caught:
        load_dataset(tmp_path / "pets")
    assert [name for name in ("cat/03", "dog/00", "dog/09") if name in str(caught.value)] == [
        "cat/03",
        "dog/00",
        "dog/09",
    ]
    streamed = load_dataset(tmp_path / "pets", memory="stream")
    with pytest.raises(ValueError, match=r"(3|2) of \d+ images cannot be read"):
        trained(tmp_path / "pets", tmp_path / "run", memory="stream")
    assert len(streamed.train_y) == 16
    data = load_dataset(tmp_path / "pets", memory="stream", skip_broken=True)
    assert len(data.train_y) + len(data.test_y) == 17
    assert len(data.reading.left_out) == 3


def test_images_of_one_colour_are_counted(tmp_path: Path) -> None:
    cats_and_dogs(tmp_path / "pets")
    Image.new("L", (6, 6), 9).save(tmp_path / "pets" / "cat" / "03.png")
    assert load_dataset(tmp_path / "pets").notes == ("1 image of 20 of one colour throughout",)


@pytest.mark.parametrize("kind", ["images", "rows"])
def test_failures_of_predict_are_in_the_order_of_the_input(tmp_path: Path, capsys: Any, kind: str) -> None:
    cats_and_dogs(tmp_path / "pets")
    trained(tmp_path / "pets", tmp_path / "run")
    broken = [0, 4, 5, 19]
    if kind == "images":
        for i in broken:
            (tmp_path / "pets" / ("cat" if i < 10 else "dog") / f"{i % 10:02}.png").write_bytes(b"x")
        given = tmp_path / "pets"
    else:
        pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        files = list_inputs([tmp_path / "pets"], "image")
        column = [{"bytes": b"x" if i in broken else file.read_bytes()} for i, file in enumerate(files)]
        given = tmp_path / "rows.parquet"
        pq.write_table(pa.table({"image": column}), given)
    code, out, _ = run(capsys, "predict", tmp_path / "run", given, "--batch-size", 3)
    rows = list(csv.DictReader(out.splitlines()))
    assert code == 3
    assert [i for i, row in enumerate(rows) if row["error"]] == broken
    if kind == "rows":
        assert [row["input"].rpartition(":")[2] for row in rows] == [str(i + 1) for i in range(20)]


def png_header(width: int, height: int) -> bytes:
    """A PNG of a few bytes that states a size; its pixels are all zero."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = zlib.compress(bytes((width + 1) * height), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def test_a_small_file_takes_no_large_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of a few bytes of 1 x 100,000 pixels would be a square of 30 GB; its area is as it would be there."""
    for shape in ((1, 100_000), (100_000, 1)):
        image = decode_images([png_header(*shape)], size=4, where="demo")[0]
        assert image.shape[1:] == (4, 4)
        assert image.min() >= 254  # a line of black in a square of white
    monkeypatch.setenv("EQUIANGULAR_MAX_PIXELS", "1000")
    with pytest.raises(ValueError, match=r"50 x 50 = 2,500 pixels, and the limit is 1,000; .*EQUIANGULAR_MAX_PIXELS"):
        decode_images([png_header(50, 50)], where="demo")
    monkeypatch.setenv("EQUIANGULAR_MAX_PIXELS", "many")
    with pytest.raises(ValueError, match="must be a number of pixels, got 'many'"):
        decode_images([png_header(5, 5)], where="demo")


@pytest.mark.parametrize("shape", [(4200, 30), (30, 4200), (5000, 4100)])
def test_long_images_are_as_if_padded_first(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, shape, dtype=np.uint8)
    image = Image.fromarray(pixels)
    side = max(shape)
    square = Image.new("L", (side, side), 255)
    square.paste(image, ((side - shape[1]) // 2, (side - shape[0]) // 2))
    expected = np.asarray(square.resize((10, 10), Image.Resampling.BOX)).astype(int)
    buffer = io.BytesIO()
    image.save(buffer, "BMP")
    found = decode_images([buffer.getvalue()], size=10, where="demo")[0, 0].astype(int)
    assert abs(found - expected).max() <= 1


def test_the_first_command_on_photographs(tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Photographs of different sizes, one of them broken: it works and tells. Of two in 16 it names both and stops."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for name, colour in (("beach", (210, 190, 90)), ("forest", (30, 120, 40))):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(8):
            h, w = rng.integers(60, 200, 2)
            pixels = np.clip(np.array(colour) + rng.normal(0, 20, (h, w, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"IMG_{i}.jpg")
    broken = tmp_path / "photos" / "forest" / "IMG_3.jpg"
    broken.write_bytes(broken.read_bytes()[:900])
    options = ("photos", "-o", "run", "--epochs", 1, "--accelerator", "cpu", "--width", 0.25)
    code, out, err = run(capsys, "train", *options)
    assert code == 0
    assert "read photos: 13 training and 2 test samples of 2 classes, images of 3 x 64 x 64" in err
    assert "padded to a square and resized to 64 x 64; --size N takes another" in err
    assert "left out 1 image of 16 that cannot be read: " in err
    assert "forest/IMG_3.jpg is not an image that can be read (image file is truncated" in err
    assert len((out + err).splitlines()) <= 24
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert ["forest/IMG_3.jpg" in line for line in results["data"]["left_out"]] == [True]
    code, _, err = run(capsys, "train", *options[:2], "none", *options[3:], "--no-skip-broken")
    assert code == 2
    assert "forest/IMG_3.jpg is not an image that can be read" in err
    assert "go on without it: --skip-broken." in err
    shutil.copy(broken, broken.with_name("IMG_4.jpg"))
    code, _, err = run(capsys, "train", *options[:2], "two", *options[3:])
    assert code == 2
    assert "2 of 16 images cannot be read. Drop or replace them, or go on without them: --skip-broken." in err
    assert [f"forest/IMG_{i}.jpg" in err for i in (3, 4, 5)] == [True, True, False]
    code, out, err = run(capsys, "train", *options, "--skip-broken", "--size", 16, "-o", "small")
    assert code == 0
    assert "images of 3 x 16 x 16" in err
    assert "resized to 64" not in err


def test_commands_say_what_they_leave_out(tmp_path: Path, capsys: Any) -> None:
    """``evaluate`` and ``compare`` on a folder with a broken image, ``predict`` on one with what systems leave."""
    trained(cats_and_dogs(tmp_path / "own"), tmp_path / "run")
    other = cats_and_dogs(tmp_path / "other", 6)
    (other / "dog" / "03.png").write_bytes(b"x")
    (other / "dog" / "._03.png").write_bytes(b"x")
    code, _, err = run(capsys, "evaluate", tmp_path / "run", "--data", other, "--quiet")
    assert (code, "1 input cannot be read" in err, "--skip-broken" in err) == (2, True, True)
    code, _, err = run(capsys, "evaluate", tmp_path / "run", "--data", other, "--quiet", "--skip-broken")
    assert code == 0
    assert "left out 1 input that cannot be read" in err
    code, _, err = run(capsys, "predict", tmp_path / "run", other, "--quiet", "-o", tmp_path / "p.csv")
    assert code == 3
    assert "left out 1 file that systems leave or hide (._03.png)" in err
    options = ("--epochs", 1, "--seeds", 2, "--tune", "none", "--methods", "linear-ce,etf-ce", "--width", 0.25)
    code, _, err = run(capsys, "compare", other, "-o", tmp_path / "compare", "--quiet", *options, "--skip-broken")
    assert code == 0
    assert "left out 1 image of 12 that cannot be read" in " ".join(err.split())
