"""Features that another program made, in every kind of file, over all commands: the same answers."""

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import save_file

from tests.command_line import run

KINDS = ("npz", "npy", "list", "fixed", "datasets", "safetensors")
QUICK = ("--accelerator", "cpu", "--quiet")


def rows(number: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Three classes around points of their own, in 6 dimensions."""
    rng = np.random.default_rng(seed)
    y = np.arange(number) % 3
    return (2 * np.eye(3, 6)[y] + rng.normal(size=(number, 6))).astype(np.float32), y


def write(folder: Path, kind: str, x: np.ndarray, y: np.ndarray) -> Path:
    """The rows in a file of that kind; what commands are given."""
    folder.mkdir()
    names = np.array(["ant", "bee", "cow"])[y]
    if kind == "npz":
        np.savez(folder / "f.npz", embeddings=x, labels=names)
    elif kind == "npy":
        np.save(folder / "f.npy", x)
        (folder / "f_labels.txt").write_text("\n".join(names))
    elif kind == "safetensors":  # which holds no text
        metadata = {"class_names": json.dumps(["ant", "bee", "cow"])}
        save_file({"features": x, "labels": y}, folder / "f.safetensors", metadata=metadata)
    elif kind == "datasets":
        datasets = pytest.importorskip("datasets")
        datasets.Dataset.from_dict({"features": x.tolist(), "label": names.tolist()}).save_to_disk(folder / "f")
        return folder / "f"
    else:
        column = pa.list_(pa.float32(), *([6] if kind == "fixed" else []))
        table = pa.table({"embedding": pa.array(x.tolist(), column), "label": names})
        pq.write_table(table, folder / "f.parquet")
    return next(path for path in folder.iterdir() if path.suffix != ".txt")


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict:
    return {}


@pytest.mark.parametrize("kind", KINDS)
def test_every_command(capsys: pytest.CaptureFixture, tmp_path: Path, kind: str, expected: dict) -> None:
    file, new = write(tmp_path / "a", kind, *rows(150, 0)), write(tmp_path / "b", kind, *rows(60, 1))
    model = tmp_path / "run"
    capsys.readouterr()  # the bar of datasets
    code, _, err = run(capsys, "train", file, "--method", "gaussian", "-o", model, *QUICK)
    assert (code, err) == (0, "")
    code, _, err = run(capsys, "evaluate", model, "--data", new, "-o", tmp_path / "e", *QUICK)
    assert (code, err) == (0, "")
    found = {"scores": json.loads((tmp_path / "e" / "evaluation.json").read_text())["scores"]}
    assert found["scores"]["accuracy"] > 70
    options = ("--methods", "class-means,gaussian", "--seeds", "2", "--tune", "none", "-o", tmp_path / "c")
    code, _, err = run(capsys, "compare", file, *options, "--quiet")
    assert code == 0, err
    summary = json.loads((tmp_path / "c" / "results.json").read_text())
    assert summary["data"]["kind"] == "vectors"
    code, out, err = run(capsys, "predict", model, new)
    assert (code, err) == (0, "")
    found["classes"] = [(row["class"], row["probability"]) for row in csv.DictReader(out.splitlines())]
    assert len(found["classes"]) == 60
    for key, value in found.items():  # the same rows, whatever they came in
        assert expected.setdefault(key, value) == value, key


FITTED = ("class-means", "gaussian", "ridge", "random-features", "kernel", "logistic", "logistic-balanced")


@pytest.mark.parametrize("method", FITTED)
def test_every_fitted_method_rejects(capsys: pytest.CaptureFixture, tmp_path: Path, method: str) -> None:
    rate = 0.1
    file, model = write(tmp_path / "a", "npz", *rows(600, 0)), tmp_path / "run"
    assert run(capsys, "train", file, "--method", method, "-o", model, *QUICK)[0] == 0
    x, _ = rows(600, 1)
    between = np.full((200, 6), 2 / 3, dtype=np.float32) * (np.arange(6) < 3)  # as far from one class as from another
    between += 0.1 * np.random.default_rng(2).normal(size=between.shape).astype(np.float32)
    share = {}
    for name, features in (("known", x), ("between", between)):
        np.save(tmp_path / f"{name}.npy", features)
        code, out, _ = run(capsys, "predict", model, tmp_path / f"{name}.npy", "--reject", rate)
        assert code == 0
        share[name] = np.mean([row["rejected"] == "yes" for row in csv.DictReader(out.splitlines())])
    held_out = 48  # a tenth of the training part
    assert share["known"] < rate + 4 * np.sqrt(rate * (1 - rate) * (1 / held_out + 1 / 600))
    assert share["between"] > 2 * share["known"]


def test_features_of_another_encoder_are_a_row_that_says_so(capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
    x, y = rows(90, 0)
    for name, revision in (("mine", "1"), ("theirs", "2")):
        said = {"encoder": json.dumps({"name": name, "revision": revision, "dim": 6})}
        save_file({"features": x, "labels": y}, tmp_path / f"{name}.safetensors", metadata=said)
    run(capsys, "train", tmp_path / "mine.safetensors", "--method", "ridge", "-o", tmp_path / "run", *QUICK)
    assert run(capsys, "predict", tmp_path / "run", tmp_path / "mine.safetensors")[0] == 0
    code, out, _ = run(capsys, "predict", tmp_path / "run", tmp_path / "theirs.safetensors")
    assert code == 3
    assert "from another encoder than those that the model was trained on: revision '1' against '2'" in out
    np.save(tmp_path / "broken.npy", x)
    (tmp_path / "broken.npy").write_bytes((tmp_path / "broken.npy").read_bytes()[:200])
    code, out, _ = run(capsys, "predict", tmp_path / "run", tmp_path / "broken.npy")
    assert code == 3
    assert "cannot read" in out
