"""Images by every door: form of the data x what is odd about it x command. Each way in reads the same thing."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from equiangular.compare import Comparing, configure
from equiangular.data import Dataset, content_digest, load_dataset
from equiangular.encoders import CallableEncoder, embed
from equiangular.inference import evaluate, list_inputs, predict_files, read_inputs
from equiangular.training import Classifier, TrainConfig, train
from equiangular.training.run.collapse import measure_run
from tests.image_files import png16

datasets = pytest.importorskip("datasets")

CLASSES, EACH, SIDE = ("ant", "bee"), 10, 8


@pytest.fixture(autouse=True)
def _own_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EQUIANGULAR_CACHE", "off")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hugging_face")
    datasets.disable_progress_bars()


def encoded(values: np.ndarray, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, kind)
    return buffer.getvalue()


def picture(label: int, number: int) -> np.ndarray:
    """Bytes (8, 8): the second class is brighter."""
    rng = np.random.default_rng([label, number])
    return rng.integers(90 * label, 90 * label + 100, (SIDE, SIDE), dtype=np.uint8)


# What is odd about the images: from label and number to a file's bytes, and the pixels (H, W) that it must become.
def plain(label: int, number: int) -> tuple[bytes, np.ndarray | None]:
    pixels = picture(label, number)
    return encoded(pixels), pixels


def sixteen_bits_of_eight(label: int, number: int) -> tuple[bytes, np.ndarray | None]:
    pixels = picture(label, number)
    return encoded(pixels.astype(np.uint16)), pixels


def twelve_bits(label: int, number: int) -> tuple[bytes, np.ndarray | None]:
    pixels = picture(label, number)
    return encoded((pixels.astype(np.int64) * 16 + 15 * (pixels > 180)).astype(np.uint16)), pixels


def whole_numbers(label: int, number: int) -> tuple[bytes, np.ndarray | None]:
    pixels = picture(label, number)
    return encoded(pixels.astype(np.int32) * 256, "TIFF"), pixels


def unit_floats(label: int, number: int) -> tuple[bytes, np.ndarray | None]:
    pixels = picture(label, number)
    return encoded((pixels / 255).astype(np.float32), "TIFF"), pixels


def wide_colours(label: int, number: int) -> tuple[bytes, np.ndarray | None]:
    """Three channels of 12 bits, red with the picture; green below and blue none."""
    red = picture(label, number).astype(np.uint16) * 16 + 15
    return png16(np.stack([red, red // 2, np.zeros_like(red)], 2)), picture(label, number)


def sizes(label: int, number: int) -> tuple[bytes, np.ndarray | None]:
    """Squares of 4, 8 and 16 pixels: what they become is written out with repetition and means."""
    pixels = picture(label, number)
    if number % 3 == 1:
        return encoded(np.kron(pixels, np.ones((2, 2), np.uint8))), pixels
    if number % 3 == 2:
        return encoded(pixels[::2, ::2]), np.kron(pixels[::2, ::2], np.ones((2, 2), np.uint8))
    return encoded(pixels), pixels


def one_broken(label: int, number: int) -> tuple[bytes, np.ndarray | None]:
    blob, pixels = plain(label, number)
    return (blob[:50], None) if (label, number) == (1, 3) else (blob, pixels)


ODD = (plain, sixteen_bits_of_eight, twelve_bits, whole_numbers, unit_floats, wide_colours, sizes, one_broken)
SAID = {
    "sixteen_bits_of_eight": "images of more than 8 bits: values from 0 to 255 become 0 to 255",
    "twelve_bits": "images of more than 8 bits: values from 0 to 4095 become 0 to 255",
    "whole_numbers": "images of more than 8 bits: values from 0 to 65535 become 0 to 255",
    "wide_colours": "images of more than 8 bits: values from 0 to 4095 become 0 to 255",
    "unit_floats": "floating-point images: values from 0 to 1 become 0 to 255",
    "sizes": "images of 3 sizes: padded to a square and resized to 8 x 8; size=N takes another",
    "one_broken": "left out 1 image of 20 that cannot be read",
}
Rows = list[tuple[int, bytes]]


def folder(path: Path, parts: dict[str, Rows]) -> str:
    for part, rows in parts.items():
        for number, (label, blob) in enumerate(rows):
            place = path / ("" if len(parts) == 1 else part) / CLASSES[label]
            place.mkdir(parents=True, exist_ok=True)
            (place / f"{number:02}.{'tif' if blob[:2] in (b'II', b'MM') else 'png'}").write_bytes(blob)
    return str(path)


def parquet(path: Path, parts: dict[str, Rows]) -> str:
    path.mkdir()
    for part, rows in parts.items():
        column = pa.array([{"bytes": blob, "path": None} for _, blob in rows])
        table = pa.table({"image": column, "label": [CLASSES[label] for label, _ in rows]})
        pq.write_table(table, path / f"{part}.parquet")
    return str(path if len(parts) > 1 else path / "train.parquet")


def hugging_face(rows: Rows) -> Any:
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=list(CLASSES))})
    columns = {"image": [{"bytes": blob, "path": None} for _, blob in rows], "label": [label for label, _ in rows]}
    return datasets.Dataset.from_dict(columns, features=features)


def hub(path: Path, parts: dict[str, Rows]) -> str:
    path.mkdir()
    for part, rows in parts.items():
        hugging_face(rows).to_parquet(path / f"{part}-00000-of-00001.parquet")
    return f"hf:{path}"


def saved(path: Path, parts: dict[str, Rows]) -> str:
    sets = {part: hugging_face(rows) for part, rows in parts.items()}
    (datasets.DatasetDict(sets) if len(sets) > 1 else sets["train"]).save_to_disk(str(path))
    return str(path)


FORMS = (folder, parquet, hub, saved)


def rows_of(odd: Callable[[int, int], tuple[bytes, np.ndarray | None]]) -> tuple[Rows, dict[bytes, int]]:
    """Files with labels, and how each that can be read must look."""
    made = [(label, *odd(label, number)) for label in (0, 1) for number in range(EACH)]
    rows = [(label, blob) for label, blob, _ in made]
    return rows, {pixels.tobytes(): label for label, _, pixels in made if pixels is not None}


def seen(data: Dataset) -> dict[bytes, int]:
    """Pixels of one channel and their labels, of both parts."""
    parts = ((data.train_x, data.train_y), (data.test_x, data.test_y))
    return {
        np.ascontiguousarray(x[0].numpy()).tobytes(): CLASSES.index(data.class_names[int(label)])
        for inputs, labels in parts
        for x, label in zip(inputs[:], labels, strict=True)
    }


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("whole", [True, False])
def test_every_form_reads_the_same_pixels(tmp_path: Path, form: Any, odd: Any, whole: bool) -> None:
    rows, expected = rows_of(odd)
    parts = {"train": rows} if whole else {"train": rows[:8] + rows[10:18], "test": rows[8:10] + rows[18:]}
    name = form(tmp_path / "d", parts)
    options: dict[str, Any] = {"skip_broken": True} if odd is one_broken else {}
    if odd is one_broken:
        with pytest.raises(ValueError, match=r"is not an image that can be read .*skip_broken=True"):
            load_dataset(name, skip_broken=False)
        assert load_dataset(name).reading.left_out == load_dataset(name, **options).reading.left_out
    data, streamed = load_dataset(name, **options), load_dataset(name, memory="stream", **options)
    assert seen(data) == seen(streamed) == expected
    assert data.notes == streamed.notes
    assert any(SAID.get(odd.__name__, "") in note for note in data.notes) or odd is plain
    assert len(data.reading.left_out) == (odd is one_broken)


@pytest.mark.parametrize(
    "form", [folder, parquet, *(pytest.param(form, marks=pytest.mark.slow) for form in (hub, saved))]
)
@pytest.mark.parametrize("odd", ODD)
def test_every_command_reads_the_same(tmp_path: Path, form: Any, odd: Any) -> None:
    rows, expected = rows_of(odd)
    name = form(tmp_path / "d", {"train": rows})
    broken = odd is one_broken
    config = TrainConfig(data=name, epochs=1, accelerator="cpu", skip_broken=broken, method="etf-ce", width=0.25)
    data = load_dataset(name, skip_broken=broken)
    results = train(config, tmp_path / "run")
    assert results["data"].get("left_out", []) == list(data.reading.left_out)
    assert results["content"] == content_digest(data)
    assert measure_run(tmp_path / "run").measures["nc1_quotient"] > 0
    compared = Comparing(configure(name, skip_broken=broken, methods=("linear-ce", "etf-ce")), tmp_path / "compare")
    assert compared.content == results["content"]
    classifier = Classifier.load(tmp_path / "run")
    own, named = evaluate(classifier), evaluate(classifier, data=name)
    assert own["scores"]["samples"] == named["scores"]["samples"] == len(data.test_y) == (3 if broken else 4)
    assert any("scored is its test part alone" in note for note in named["notes"])
    batches = list(read_inputs(list_inputs([Path(name.removeprefix("hf:"))], "image"), classifier.info, batch_size=7))
    read = {np.ascontiguousarray(x[0].numpy()).tobytes() for batch in batches for x in batch.inputs}
    assert read == set(expected)
    predictions = list(predict_files(classifier, iter(batches)))
    assert [p.name for p in predictions] == sorted(p.name for p in predictions) or form is not folder
    assert [i for i, p in enumerate(predictions) if p.error] == ([13] if broken else [])
    mean = CallableEncoder(
        lambda images: [[float(np.asarray(image).mean()), 1.0] for image in images],
        dim=2,
        modality="image",
        name="mean",
    )
    made = embed(name, mean, skip_broken=broken)
    assert made.train_y.tolist() == data.train_y.tolist()
    assert len(made.test_x) == len(data.test_x)
    if odd is not sizes:  # an encoder has images in the sizes that they have
        assert torch.allclose(made.train_x[:, 0], data.train_x.float().mean((1, 2, 3)), atol=1e-3)
