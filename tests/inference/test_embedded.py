"""From texts and images to predictions: a model behind an encoder, by the commands, on small models on disk."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from equiangular.data import load_dataset
from equiangular.encoders import load_encoder
from equiangular.training import Classifier, load_model
from tests.command_line import run
from tests.encoders.conftest import bert as bert
from tests.encoders.conftest import vit as vit

QUICK = ("--epochs", "3", "--accelerator", "cpu", "--quiet")


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two kinds of texts, in parquet files."""
    folder = tmp_path_factory.mktemp("bank")
    about = {"card_lost": "my card is lost again", "pay": "please pay the bill"}
    for part, number in (("train", 20), ("test", 5)):
        rows = [(name, " ".join(words.split()[i % 3 :])) for name, words in about.items() for i in range(number)]
        table = pa.table({"text": [text for _, text in rows], "label": [name for name, _ in rows]})
        pq.write_table(table, folder / f"{part}.parquet")
    return folder


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("EQUIANGULAR_CACHE", str(folder))
    return folder


def test_texts_in_classes_out(capsys: pytest.CaptureFixture, bert: Path, texts: Path, tmp_path: Path) -> None:
    encoder, model = f"hf-text:{bert}#mean", tmp_path / "run"
    code, out, err = run(capsys, "train", texts, "--encoder", encoder, "-o", model, *QUICK)
    assert (code, err) == (0, "")
    described = json.loads((model / "model" / "config.json").read_text())
    assert described["kind"] == "vectors"
    assert described["encoder"]["name"] == encoder
    (tmp_path / "new.txt").write_text("my card is lost\n\nplease pay the bill\n")
    code, out, err = run(capsys, "predict", model, tmp_path / "new.txt")
    assert code == 3
    rows = {line.split(",")[0].rpartition(":")[2]: line for line in out.splitlines()[1:]}
    assert "an empty text" in rows["2"]
    task, info = load_model(model)
    vectors = load_encoder(encoder, device="cpu").encode(["my card is lost", "please pay the bill"])
    expected = Classifier(task, info)(vectors).probabilities
    for row, p in zip(("1", "3"), expected, strict=True):
        assert rows[row].split(",")[1:3] == [info.class_names[int(p.argmax())], f"{p.max().item():.6f}"]
    code, _, _ = run(capsys, "predict", model, tmp_path / "new.txt", "--reject", "0.3")  # reads the run's data again
    assert code == 3
    scores = []
    for data in ((), ("--data", texts), ("--data", texts / "test.parquet")):
        code, out, err = run(capsys, "evaluate", model, "-o", tmp_path / "e", "--quiet", *data)
        assert (code, err) == (0, "")
        scores.append(json.loads((tmp_path / "e" / "evaluation.json").read_text())["scores"]["accuracy"])
    assert scores[0] == scores[1] == scores[2]


def test_the_file_of_embed_is_data_for_all(
    capsys: pytest.CaptureFixture, bert: Path, texts: Path, tmp_path: Path
) -> None:
    file = tmp_path / "bank.safetensors"
    code, out, _ = run(capsys, "embed", texts, "--encoder", f"hf-text:{bert}#mean", "-o", file, "--device", "cpu")
    assert code == 0
    assert "40 to train on, 10 to test on, 2 classes" in out
    assert "16 numbers each, float32" in out
    assert f"next: equiangular compare {file}" in out
    code, out, _ = run(capsys, "embed", texts, "--encoder", f"hf-text:{bert}#mean", "-o", file, "--device", "cpu")
    assert "0 encoded; 50 taken from the cache" in out
    data = load_dataset(file)
    names = load_encoder(f"hf-text:{bert}#mean", device="cpu").encode(["card lost", "pay"])
    torch.testing.assert_close(data.names_features, names)
    code, out, err = run(capsys, "train", file, "-o", tmp_path / "run", *QUICK)
    assert (code, err) == (0, "")
    (tmp_path / "new.txt").write_text("my card is lost\n")  # the file says which encoder it was, so texts will do
    code, out, _ = run(capsys, "predict", tmp_path / "run", tmp_path / "new.txt")
    assert code == 0
    np.savez(tmp_path / "new.npz", features=data.test_x.numpy())
    for given in ("new.npz", "new.parquet"):
        if given.endswith("parquet"):
            pq.write_table(pa.table({"embeddings": data.test_x.tolist()}), tmp_path / given)
        code, out, err = run(capsys, "predict", tmp_path / "run", tmp_path / given)
        assert (code, len(out.splitlines())) == (0, 11)
    code, _, err = run(capsys, "evaluate", tmp_path / "run", "--data", file, "-o", tmp_path / "e", "--quiet")
    assert (code, err) == (0, "")
    # Features of another encoder: the same width, other weights.
    code, _, _ = run(capsys, "embed", texts, "--encoder", f"hf-text:{bert}#cls", "-o", tmp_path / "other.safetensors")
    code, _, err = run(capsys, "evaluate", tmp_path / "run", "--data", tmp_path / "other.safetensors", "--quiet")
    assert code == 2
    assert "come from another encoder than those that the model was trained on: its preprocessing has changed" in err


def test_an_encoder_that_has_changed_is_refused(
    capsys: pytest.CaptureFixture, bert: Path, texts: Path, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    place = shutil.copytree(bert, tmp_path / "bert")
    run(capsys, "train", texts, "--encoder", f"hf-text:{place}#mean", "-o", tmp_path / "run", *QUICK)
    weights = load_file(place / "model.safetensors")
    save_file({k: v * 1.01 for k, v in weights.items()}, place / "model.safetensors", metadata={"format": "pt"})
    (tmp_path / "new.txt").write_text("my card is lost\n")
    code, out, err = run(capsys, "predict", tmp_path / "run", tmp_path / "new.txt")
    assert "is not the one that the features came from: revision" in out + err
    assert code in (2, 3)
    shutil.rmtree(place)
    code, out, err = run(capsys, "predict", tmp_path / "run", tmp_path / "new.txt")
    assert "cannot be loaded" in out + err


def test_the_same_folder_with_another_encoder_is_refused(
    capsys: pytest.CaptureFixture, bert: Path, texts: Path, tmp_path: Path
) -> None:
    run(capsys, "train", texts, "--encoder", f"hf-text:{bert}#mean", "-o", tmp_path / "run", *QUICK)
    code, _, err = run(capsys, "train", texts, "--encoder", f"hf-text:{bert}#cls", "-o", tmp_path / "run", *QUICK)
    assert code == 2
    assert "encoder" in err


def test_images_in_classes_out(capsys: pytest.CaptureFixture, vit: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name, level in (("bright", 200), ("dark", 20)):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for i in range(12):
            pixels = np.full((10 + i, 14, 3), level, np.uint8) + rng.integers(0, 20, (10 + i, 14, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pets" / name / f"{i}.png")
    code, _, err = run(
        capsys, "train", tmp_path / "pets", "--encoder", f"hf-image:{vit}", "-o", tmp_path / "run", *QUICK
    )
    assert (code, err) == (0, "")
    (tmp_path / "pets" / "dark" / "broken.png").write_bytes(b"no image")
    code, out, _ = run(capsys, "predict", tmp_path / "run", tmp_path / "pets")
    assert code == 3
    assert len(out.splitlines()) == 1 + 25
    assert "broken.png is not an image that can be read" in out
    (tmp_path / "pets" / "dark" / "broken.png").unlink()
    code, _, err = run(capsys, "evaluate", tmp_path / "run", "-o", tmp_path / "e", "--quiet")
    assert (code, err) == (0, "")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("digits", "--encoder", "minilm"), "the encoder 'minilm' takes texts, and the data are images"),
        (("iris", "--encoder", "auto"), "'iris' cannot be embedded: it is a table of numbers"),
        (("digits", "--encoder", "efficentnet-lite0"), "did you mean 'efficientnet-lite0'"),
    ],
)
@pytest.mark.parametrize("command", ["train", "compare", "embed"])
def test_bad_requests(capsys: pytest.CaptureFixture, tmp_path: Path, command: str, given: tuple, message: str) -> None:
    code, _, err = run(capsys, command, *given, "-o", tmp_path / "x.safetensors")
    assert code == 2
    assert message in err


def test_where_embed_writes_is_checked_first(capsys: pytest.CaptureFixture, texts: Path, tmp_path: Path) -> None:
    code, _, err = run(capsys, "embed", texts, "-o", tmp_path / "x.npz")
    assert (code, "ends in .safetensors" in err) == (2, True)
    code, out, _ = run(capsys, "embed", "--help")
    assert (code, "--encoder" in out) == (0, True)
    code, out, _ = run(capsys, "list", "encoders")
    assert (code, "minilm" in out) == (0, True)


@pytest.mark.slow
def test_compare_works_on_the_features(capsys: pytest.CaptureFixture, bert: Path, texts: Path, tmp_path: Path) -> None:
    given = ("--methods", "linear-la,etf-la", "--seeds", "2", "--tune", "none", "--epochs", "2", "--quiet")
    code, _, err = run(capsys, "compare", texts, "--encoder", f"hf-text:{bert}#mean", "-o", tmp_path / "c", *given)
    assert code == 0
    assert "vectors data of shape 16" in err
    results = json.loads((tmp_path / "c" / "results.json").read_text())
    assert results["config"]["encoder"] == f"hf-text:{bert}#mean"
