"""What `train` leaves is what evaluate, predict and export use: the same scores, class names and probabilities."""

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest

from equiangular.cli import main
from equiangular.inference import evaluate
from equiangular.training import Classifier, ModelInfo

QUICK = ("--epochs", "3", "--imbalance", "5", "--quiet", "--accelerator", "cpu")


def run(*arguments: object) -> None:
    with pytest.raises(SystemExit) as stop:
        main([str(a) for a in arguments])
    assert not stop.value.code


def same(one: float | None, other: float | None) -> bool:
    """Equal; what is NaN here is null there."""
    gone = [value is None or math.isnan(value) for value in (one, other)]
    return all(gone) if any(gone) else math.isclose(one, other, abs_tol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["etf-ce-pc", "linear-la", "linear-crt", "linear-tau-norm", "rotated-etf-ce"])
def test_evaluate_finds_what_train_has_measured(tmp_path: Path, method: str) -> None:
    run("train", "digits", "-o", tmp_path, "--method", method, *QUICK)
    trained = json.loads((tmp_path / "results.json").read_text())
    for name, folder in (("test", tmp_path), ("best", tmp_path / "best")):
        results = evaluate(Classifier.load(folder))
        for key in ("accuracy", "balanced_accuracy", "many", "medium", "few", "ece", "ece_few"):
            assert same(results["scores"][key], trained[name][key]), key
        assert results["model"]["correction"] == trained[name]["correction"]
        assert results["model"]["epoch"] == trained[name]["epoch"]


@pytest.mark.slow
def test_from_a_folder_of_images_to_predictions(digit_images: Path, tmp_path: Path) -> None:
    run("train", digit_images, "-o", tmp_path / "run", "--method", "etf-la", "--epochs", "30", "--batch-size", "16",
        "--size", "8", "--quiet")  # fmt: skip
    classifier = Classifier.load(tmp_path / "run")
    assert classifier.info.class_names == tuple(f"digit {c}" for c in range(10))
    run("predict", tmp_path / "run", digit_images, "-o", tmp_path / "p.csv", "--prior", "train")
    with (tmp_path / "p.csv").open() as file:
        rows = list(csv.DictReader(file))
    right = np.mean([row["class"] == Path(row["input"]).parent.name for row in rows])
    assert right > 0.8  # most of them it was trained on
    run("evaluate", tmp_path / "run", "--quiet")
    assert (tmp_path / "run" / "evaluation" / "report.html").exists()


@pytest.mark.slow
def test_columns_and_texts_travel_with_the_model(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, 80)
    columns = {"length": rng.normal(size=80) + 3 * label, "width": rng.normal(size=80)}
    pq.write_table(pa.table({**columns, "label": [("eel", "ray")[i] for i in label]}), tmp_path / "fish.parquet")
    run("train", tmp_path / "fish.parquet", "-o", tmp_path / "fish", "--method", "linear-la", "--epochs", "10", "-q")
    info: ModelInfo = Classifier.load(tmp_path / "fish").info
    assert info.columns == ("length", "width")
    swapped = pa.table({"width": [0.0, 0.0], "length": [0.0, 3.0]})
    pq.write_table(swapped, tmp_path / "new.parquet")
    run("predict", tmp_path / "fish", tmp_path / "new.parquet", "-o", tmp_path / "p.json")
    found = json.loads((tmp_path / "p.json").read_text())
    assert [row["predictions"][0]["class"] for row in found] == ["eel", "ray"]

    words = {"pay": ["pay the bill", "pay my rent", "pay it now"], "fly": ["book a flight", "fly home", "a flight out"]}
    texts = [(text, name) for name, own in words.items() for text in own * 5]
    pq.write_table(pa.table({"text": [t for t, _ in texts], "label": [n for _, n in texts]}), tmp_path / "say.parquet")
    run("train", tmp_path / "say.parquet", "-o", tmp_path / "say", "--method", "linear-la", "--epochs", "10", "-q")
    (tmp_path / "new.txt").write_text("pay a bill\nflight home\n")
    run("predict", tmp_path / "say", tmp_path / "new.txt", "-o", tmp_path / "q.json")
    found = json.loads((tmp_path / "q.json").read_text())
    assert [row["predictions"][0]["class"] for row in found] == ["pay", "fly"]
