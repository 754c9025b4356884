"""Data that a model was trained on are known by their content: wherever they lie, their test part alone is scored."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import equiangular as eq
from equiangular.data import load_dataset, write_vectors
from equiangular.encoders import CallableEncoder
from equiangular.inference import evaluate
from equiangular.report.evaluation import evaluation_page
from equiangular.training import Classifier, TrainConfig, train

ROWS = 40


def table(folder: Path) -> Path:
    x = np.random.default_rng(0).normal(size=(ROWS, 3)).round(3)
    lines = [f"{a},{b},{c},{'up' if i % 2 else 'down'}" for i, (a, b, c) in enumerate(x.tolist())]
    (folder / "rows.csv").write_text("\n".join(["a,b,c,label", *lines]))
    return folder / "rows.csv"


def texts(folder: Path) -> Path:
    lines = [f"word{i} thing{i % 7},{'up' if i % 2 else 'down'}" for i in range(ROWS)]
    (folder / "texts.csv").write_text("\n".join(["text,label", *lines]))
    return folder / "texts.csv"


def vectors(folder: Path) -> Path:
    x = np.random.default_rng(0).normal(size=(ROWS, 3)).astype("f4")
    np.savez(folder / "v.npz", X=x, y=np.arange(ROWS) % 2)
    return folder / "v.npz"


def images(folder: Path) -> Path:
    generator = np.random.default_rng(0)
    for i in range(ROWS):
        (folder / "set" / str(i % 2)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(generator.integers(0, 255, (8, 8), dtype="u1")).save(folder / "set" / str(i % 2) / f"{i}.png")
    return folder / "set"


def trained(make: Callable[[Path], Path], folder: Path) -> tuple[Path, Classifier]:
    """Data, and a classifier that was trained on them."""
    data = make(folder)
    method = "ridge" if make is vectors else "linear-la"
    train(TrainConfig(data=str(data), method=method, epochs=1, accelerator="cpu"), folder / "run")
    return data, Classifier.load(folder / "run")


@pytest.mark.parametrize("make", [table, texts, vectors, images])
def test_moved_and_copied(make, tmp_path: Path) -> None:
    data, classifier = trained(make, tmp_path)
    expected = evaluate(classifier)["scores"]
    elsewhere = tmp_path / "elsewhere" / ("other" + data.suffix)
    elsewhere.parent.mkdir()
    shutil.copytree(data, elsewhere) if data.is_dir() else shutil.copy(data, elsewhere)
    found = evaluate(classifier, data=elsewhere)
    assert found["scores"]["samples"] == expected["samples"] == 8
    assert found["scores"]["per_class"] == expected["per_class"]
    assert any("has the inputs that the model was trained on" in note for note in found["notes"])
    shutil.rmtree(data) if data.is_dir() else data.unlink()  # moved
    assert evaluate(classifier, data=elsewhere)["scores"]["samples"] == 8


def test_the_texts_behind_a_file_of_features(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = CallableEncoder(
        lambda batch: [[float(len(t)), float(sum(map(ord, t)) % 97), 1.0] for t in batch],
        dim=3, modality="text", name="letters", revision="1",
    )  # fmt: skip
    source = texts(tmp_path)
    made = eq.embed(load_dataset(source, raw=True), encoder, cache=tmp_path / "cache")
    write_vectors(made, tmp_path / "v.safetensors")
    train(TrainConfig(data=str(tmp_path / "v.safetensors"), method="ridge", accelerator="cpu"), tmp_path / "run")
    classifier = Classifier.load(tmp_path / "run")
    monkeypatch.setattr("equiangular.encoders.known.load_encoder", lambda *_, **__: encoder)
    found = evaluate(classifier, data=source)
    assert found["scores"]["samples"] == evaluate(classifier)["scores"]["samples"] == 8
    assert any("has the inputs that the model was trained on" in note for note in found["notes"])


def test_other_rows_of_the_same_labels_are_all_scored(tmp_path: Path) -> None:
    train(TrainConfig(data=str(table(tmp_path)), method="linear-la", epochs=1, accelerator="cpu"), tmp_path / "run")
    (tmp_path / "new.csv").write_text((tmp_path / "rows.csv").read_text().replace("0.1", "0.2"))
    assert evaluate(Classifier.load(tmp_path / "run"), data=tmp_path / "new.csv")["scores"]["samples"] == ROWS


@pytest.mark.parametrize("make", [table, texts, vectors, images])
def test_data_that_have_changed_are_no_test_part(make, tmp_path: Path) -> None:
    data, classifier = trained(make, tmp_path)
    if data.is_dir():
        for file in sorted(data.rglob("*.png"))[:6]:
            file.rename(file.with_name("a" + file.name))
            Image.new("L", (8, 8), 77).save(file)
    elif data.suffix == ".npz":
        np.savez(data, X=np.load(data)["X"][::-1], y=np.arange(ROWS) % 2)
    else:
        head, *rows = data.read_text().splitlines()
        data.write_text("\n".join([head, *reversed(rows), rows[0]]))
    for given in (None, data):
        with pytest.raises(ValueError, match=r"have changed since: the test part of .* may hold what was trained on"):
            evaluate(classifier, data=given)


def test_labels_of_the_test_part_that_have_changed_are_told(tmp_path: Path) -> None:
    x, y = np.random.default_rng(0).normal(size=(ROWS, 3)).astype("f4"), np.arange(ROWS) % 2
    data = {"train_x": x, "train_y": y, "test_x": x + 1, "test_y": y}
    np.savez(tmp_path / "d.npz", **data)
    train(TrainConfig(data=str(tmp_path / "d.npz"), method="linear-la", epochs=1, accelerator="cpu"), tmp_path / "run")
    classifier = Classifier.load(tmp_path / "run")
    told = "the labels of the test part of 'd' have changed since the training"
    assert not any(told in note for note in evaluate(classifier)["notes"])
    np.savez(tmp_path / "d.npz", **{**data, "test_y": 1 - y})
    assert any(told in note for note in evaluate(classifier)["notes"])


def reordered(data: Path, folder: Path, keep: int) -> Path:
    """The last rows or images of data, backwards, in a place of its own; the label of a row by its name."""
    other = folder / ("part" + data.suffix)
    if data.is_dir():
        files = sorted(data.rglob("*.png"), key=lambda f: int(f.stem))[::-1][:keep]
        for i, file in enumerate(files):
            (other / file.parent.name).mkdir(parents=True, exist_ok=True)
            shutil.copy(file, other / file.parent.name / f"new-{i}.png")
    elif data.suffix == ".npz":
        arrays = np.load(data)
        np.savez(other, X=arrays["X"][::-1][:keep], y=arrays["y"][::-1][:keep])
    else:
        head, *rows = data.read_text().splitlines()
        other.write_text("\n".join([head, *rows[::-1][:keep]]))
    return other


@pytest.mark.parametrize("keep", [ROWS, 13])
@pytest.mark.parametrize("make", [table, texts, vectors, images])
def test_training_samples_in_another_order_are_counted(make, keep: int, tmp_path: Path) -> None:
    data, classifier = trained(make, tmp_path)
    found = evaluate(classifier, data=reordered(data, tmp_path, keep))
    own = load_dataset(data, encoding=classifier.info.encoding if make is table else None)
    kept = {row.tobytes() for row in own.train_x.numpy()}
    repeated = sum(row.tobytes() in kept for row in own.test_x.numpy())  # texts of unknown words are all alike
    assert found["scores"]["samples"] == keep
    if keep == ROWS:
        assert found["trained_on"] == len(own.train_x) + repeated
    assert 0 < found["trained_on"] < keep
    assert found["notes"][0].startswith(
        f"{found['trained_on']} of {keep} samples equal one of the model's training part"
    )


@pytest.mark.parametrize("make", [table, texts, vectors, images])
def test_training_samples_alone_are_refused(make, tmp_path: Path) -> None:
    data, classifier = trained(make, tmp_path)
    refused = []
    for keep in range(1, 9):  # nearly 4 of 5 are training samples: some of these parts begins with one alone
        shutil.rmtree(tmp_path / "part", ignore_errors=True)
        part = reordered(data, tmp_path, keep)
        try:
            assert evaluate(classifier, data=part)["trained_on"] < keep
        except ValueError as error:
            refused.append(str(error))
    assert refused
    assert all(re.match("(every|the only) sample of .* is one that the model was trained on", why) for why in refused)


def test_rows_that_repeat_by_nature_are_scored(tmp_path: Path) -> None:
    rows = [f"{i % 2},{i // 2 % 2},{'up' if i % 2 else 'down'}" for i in range(ROWS)]
    (tmp_path / "rows.csv").write_text("\n".join(["a,b,label", *rows]))
    train(
        TrainConfig(data=str(tmp_path / "rows.csv"), method="linear-la", epochs=1, accelerator="cpu"), tmp_path / "run"
    )
    (tmp_path / "new.csv").write_text("\n".join(["a,b,label", *rows[:9]]))
    found = evaluate(Classifier.load(tmp_path / "run"), data=tmp_path / "new.csv")
    assert found["trained_on"] == 9
    assert "as 100 % of its own test samples do" in found["notes"][0]
    assert list(evaluation_page(found).notes) == found["notes"]


def test_training_data_that_are_gone_are_told(tmp_path: Path) -> None:
    data, classifier = trained(table, tmp_path)
    part = reordered(data, tmp_path, 13)
    data.unlink()
    found = evaluate(classifier, data=part)
    assert found["trained_on"] is None
    assert any("cannot be told from others" in note for note in found["notes"])


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_streamed_images_are_known_again(mode, tmp_path: Path) -> None:
    data = images(tmp_path)
    for file in data.rglob("*.png"):
        Image.open(file).convert(mode).save(file)
    config = TrainConfig(data=str(data), method="linear-la", epochs=1, accelerator="cpu", memory="stream")
    result = train(config, tmp_path / "run")
    classifier = Classifier.load(tmp_path / "run")
    for given in (None, data, shutil.copytree(data, tmp_path / "copy")):
        scores = evaluate(classifier, data=given)["raw_scores"]
        assert scores["balanced_accuracy"] == pytest.approx(result["test"]["balanced_accuracy"])
    found = evaluate(classifier, data=reordered(data, tmp_path, ROWS))
    assert found["trained_on"] == ROWS - 8
