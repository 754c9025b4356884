"""Folders of images as people have them, on the command line: one pixel, no classes, broken ones, one colour."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from equiangular.data import load_dataset
from equiangular.inference import list_inputs, predict_files, read_inputs
from equiangular.training import Classifier
from tests.command_line import run

FAST = ("--epochs", 1, "--accelerator", "cpu", "--method", "etf-ce", "--width", 0.25, "--quiet")


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EQUIANGULAR_CACHE", "off")
    monkeypatch.chdir(tmp_path)


def fill(place: str, first: int, number: int = 10, size: tuple[int, int] = (6, 6)) -> None:
    Path(place).mkdir(parents=True, exist_ok=True)
    for i in range(number):
        pixels = np.random.default_rng([first, i]).integers(first, first + 40, size, dtype=np.uint8)
        Image.fromarray(pixels).save(Path(place) / f"{i:02}.png")


def pair(name: str, number: int = 10, size: tuple[int, int] = (6, 6)) -> str:
    fill(f"{name}/cat", 10, number, size)
    fill(f"{name}/dog", 150, number, size)
    return name


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (2, 2)])
def test_the_smallest_images(capsys: Any, size: tuple[int, int]) -> None:
    """A network that halves its images has nothing left of one pixel; another is taken, or a named one refused."""
    pair("set", size=size)
    code, _, err = run(capsys, "train", "set", "-o", "run", *FAST)
    assert code == 0, err
    assert run(capsys, "evaluate", "run", "--quiet")[0] == 0
    code, out, _ = run(capsys, "predict", "run", "set")
    assert (code, len(out.splitlines())) == (0, 21)
    code, _, err = run(capsys, "train", "set", "-o", "named", "--backbone", "digits", *FAST)
    assert code == (0 if min(size) > 1 else 2)
    assert code == 0 or f"got {size[0]} x {size[1]}. Use --backbone resnet8, or larger images (--size 8)." in err


def test_images_made_one_pixel(capsys: Any) -> None:
    code, _, err = run(capsys, "train", pair("set"), "-o", "run", "--size", 1, *FAST)
    assert code == 0
    assert "20 images of 20 of one colour throughout" in err


@pytest.mark.parametrize("command", ["train", "compare", "embed"])
def test_images_without_classes(capsys: Any, command: str) -> None:
    fill("flat", 10)
    output = "v.safetensors" if command == "embed" else "out"
    code, _, err = run(capsys, command, "flat", "-o", output)
    assert code == 2
    assert "flat': it has 10 images and no class folders. An image is of the class whose folder it lies in" in err
    assert "predicts them as they are: equiangular predict RUN " in err


def test_folders_that_are_no_data_set() -> None:
    Path("empty/a").mkdir(parents=True)
    fill("tested/test/cat", 10)
    fill("tested/val/cat", 10)
    fill("alone/a/b", 10)
    pair("phone")
    for file in sorted(Path("phone").rglob("*.png")):
        file.rename(file.with_suffix(".heic"))
    fill("beside/cat", 10)
    fill("beside", 10)
    for name, told in {
        "empty": "it has no files",
        "tested": "it has test/ and val/ and no train/. Name the training part train",
        "alone": "all its images are in a/, and a classifier needs two classes",
        "phone": r"its files are of other kinds: \.heic 20\. Expected",
        "beside": r"has images of 'cat' alone \(10 images without one\), and a classifier needs two classes",
    }.items():
        with pytest.raises(ValueError, match=told):
            load_dataset(name)


def test_predictions_count_images_of_one_colour(capsys: Any) -> None:
    run(capsys, "train", pair("set"), "-o", "run", *FAST)
    fill("new", 10, 4)
    for i in range(2):
        Image.new("RGB", (6, 6), (i, 7, 9)).save(f"new/flat{i}.png")
    code, out, err = run(capsys, "predict", "run", "new", "--batch-size", 3)
    assert (code, err.strip()) == (0, "2 images of 6 of one colour throughout")
    assert len(out.splitlines()) == 7
    fill("labelled/cat", 10, 3)
    Image.new("L", (6, 6), 3).save("labelled/cat/flat.png")
    _, _, err = run(capsys, "evaluate", "run", "--data", "labelled")
    assert "  1 image of 4 of one colour throughout\n" in err


def test_what_is_said_of_inputs_that_failed(capsys: Any) -> None:
    run(capsys, "train", pair("set"), "-o", "run", *FAST)
    Path("broken.png").write_bytes(b"x")
    code, out, err = run(capsys, "predict", "run", "broken.png")
    assert (code, next(csv.DictReader(out.splitlines()))["class"]) == (3, "")
    assert "1 of 1 input could not be read; the column 'error' says why. Nothing was predicted." in err
    code, _, err = run(capsys, "predict", "run", "broken.png", "set/cat/00.png", "-o", "p.json")
    assert (code, len(json.loads(Path("p.json").read_text()))) == (3, 2)
    assert "1 of 2 inputs could not be read; the key 'error' says why. The others are done." in err


def test_an_image_that_broke_after_training_lets_no_trained_row_be_scored(capsys: Any) -> None:
    """Without it the fifth for the test is drawn anew, also where broken images are left out."""
    run(capsys, "train", pair("set", 30), "-o", "run", *FAST)
    assert run(capsys, "evaluate", "run", "--quiet")[0] == 0
    Path("set/cat/03.png").write_bytes(b"x")
    for options in ((), ("--skip-broken",), ("--data", "set", "--skip-broken")):
        code, _, err = run(capsys, "evaluate", "run", "--quiet", *options)
        assert code == 2
        assert "the data that the model was trained on have changed since" in err


def test_what_was_left_out_in_training_is_left_out_of_its_test_part(capsys: Any) -> None:
    pair("set", 30)
    Path("set/cat/03.png").write_bytes(b"x")
    run(capsys, "train", "set", "-o", "run", *FAST)
    code, _, err = run(capsys, "evaluate", "run", "--quiet")
    assert code == 0
    assert "left out 1 image of 60 that cannot be read: " in err


def test_images_of_a_table_by_path_and_under_another_name(capsys: Any) -> None:
    """Training and prediction read the same columns: structs with bytes, or a path in their place."""
    rows = []
    for label, first in (("cat", 10), ("dog", 150)):
        fill(f"pictures/{label}", first)
        rows += [{"bytes": None, "path": str(p.absolute())} for p in sorted(Path(f"pictures/{label}").iterdir())]
    rows[0] = {"bytes": Path(rows[0]["path"]).read_bytes(), "path": None}
    table = {"picture": pa.array(rows), "label": ["cat"] * 10 + ["dog"] * 10}
    pq.write_table(pa.table(table), "set.parquet")
    assert run(capsys, "train", "set.parquet", "-o", "run", *FAST)[0] == 0
    classifier = Classifier.load("run")
    data = load_dataset("set.parquet")
    batches = list(read_inputs(list_inputs(["set.parquet"], "image"), classifier.info))
    assert [p.error for p in predict_files(classifier, iter(batches))] == [None] * 20
    assert {x.numpy().tobytes() for batch in batches for x in batch.inputs} == {
        x.numpy().tobytes() for part in (data.train_x, data.test_x) for x in part
    }


def test_broken_images_of_all_parts_are_listed_at_once(capsys: Any) -> None:
    blob = Path(pair("set") + "/cat/00.png").read_bytes()
    for part, broken in (("train", (2, 5)), ("test", (1,))):
        rows = [{"bytes": b"x" if i in broken else blob, "path": None} for i in range(12)]
        pq.write_table(pa.table({"image": pa.array(rows), "label": ["cat", "dog"] * 6}), f"{part}.parquet")
    with pytest.raises(ValueError, match="3 of 24 images cannot be read") as caught:
        load_dataset(".")
    assert [f"{name} " in str(caught.value) for name in ("row 3", "row 6", "row 2")] == [True] * 3
    assert len(load_dataset(".", skip_broken=True).reading.left_out) == 3
