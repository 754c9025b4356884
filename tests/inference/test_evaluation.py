"""Evaluation of stored models: against scikit-learn, on every kind of data, and on data that do not fit."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import balanced_accuracy_score, confusion_matrix

from equiangular.data import load_dataset
from equiangular.inference import evaluate
from equiangular.training import Classifier


def test_against_scikit_learn(digits_run: Path, digit_images: Path) -> None:
    classifier = Classifier.load(digits_run)
    seen: list[int] = []
    results = evaluate(classifier, data=digit_images, batch_size=7, progress=seen.append)
    files = sorted(digit_images.rglob("*.png"))
    x = torch.stack([torch.from_numpy(np.asarray(Image.open(file)).copy()) for file in files])[:, None]
    y = [classifier.info.class_names.index(file.parent.name) for file in files]
    with torch.no_grad():
        logits, raw = classifier(x).logits, classifier.raw_logits(x)
    assert results["scores"]["balanced_accuracy"] == pytest.approx(100 * balanced_accuracy_score(y, logits.argmax(1)))
    assert results["raw_scores"]["balanced_accuracy"] == pytest.approx(100 * balanced_accuracy_score(y, raw.argmax(1)))
    assert results["confusion"] == confusion_matrix(y, logits.argmax(1)).tolist()
    assert results["scores"]["ece"] != results["raw_scores"]["ece"]
    assert sum(seen) == len(files)
    assert max(seen) == 7
    json.dumps(results)


def test_the_test_part_of_its_own_data(digits_run: Path) -> None:
    classifier = Classifier.load(digits_run)
    data = load_dataset("digits")
    names = tuple(str(c) for c in range(10))
    classifier.info = replace(classifier.info, class_names=names, data={"name_or_path": "digits", "split_seed": 0})
    results = evaluate(classifier)
    with torch.no_grad():
        predicted = classifier(data.test_x).logits.argmax(1)
    assert results["scores"]["accuracy"] == pytest.approx(100 * float((predicted == data.test_y).double().mean()))
    assert results["data"] == "test part of digits"
    assert evaluate(classifier, data="digits")["confusion"] == results["confusion"]


def test_a_folder_with_a_test_part_and_a_table(
    digits_run: Path, digit_images: Path, table_run: Path, tmp_path: Path
) -> None:
    shutil.copytree(digit_images, tmp_path / "set" / "test")
    classifier = Classifier.load(digits_run)
    whole = evaluate(classifier, data=digit_images)["scores"]
    assert evaluate(classifier, data=tmp_path / "set")["scores"]["per_class"] == whole["per_class"]
    x = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    np.savez(tmp_path / "t.npz", x=x, y=np.array(["low", "high"] * 3))
    results = evaluate(Classifier.load(table_run), data=tmp_path / "t.npz")
    assert results["scores"]["samples"] == 6
    assert [row["test"] for row in results["classes"]] == [3, 3]


def test_data_that_do_not_fit(digits_run: Path, digit_images: Path, table_run: Path, tmp_path: Path) -> None:
    digits, table = Classifier.load(digits_run), Classifier.load(table_run)
    with pytest.raises(ValueError, match=r"does not say what data it was trained on\. Name some with --data"):
        evaluate(digits)
    digits.info = replace(digits.info, data={"name_or_path": "gone/away"})
    with pytest.raises(ValueError, match=r"cannot be read: unknown data set .*Or name others with --data"):
        evaluate(digits)
    with pytest.raises(ValueError, match=r"unknown data set 'digts'.*did you mean 'digits'"):
        evaluate(digits, data="digts")
    with pytest.raises(ValueError, match=r"the model has no class '\d'"):
        evaluate(digits, data="digits")
    with pytest.raises(ValueError, match=r"inputs of shape \(4,\), the model takes \(3,\)"):
        evaluate(table, data="iris")
    shutil.copytree(digit_images / "digit 3", tmp_path / "bad" / "digit3")
    with pytest.raises(ValueError, match="no class 'digit3'; did you mean 'digit 3'"):
        evaluate(digits, data=tmp_path / "bad")
    shutil.copytree(digit_images / "digit 3", tmp_path / "broken" / "digit 3")
    (tmp_path / "broken" / "digit 3" / "1.png").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"1 input cannot be read, .*skip_broken=True\.\s+.*1.png is not an image"):
        evaluate(digits, data=tmp_path / "broken")
    np.savez(tmp_path / "t.npz", x=np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"t\.npz:1 has no label"):
        evaluate(table, data=tmp_path / "t.npz")
    np.savez(tmp_path / "empty.npz", x=np.zeros((0, 3)), y=np.zeros(0, dtype=int))
    with pytest.raises(ValueError, match="no samples to evaluate on"):
        evaluate(table, data=tmp_path / "empty.npz")
    texts = Classifier.load(table_run)
    texts.info = replace(texts.info, kind="text")
    with pytest.raises(ValueError, match="Texts are evaluated from a file"):
        evaluate(texts, data="digits")
