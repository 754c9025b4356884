"""One sample a class: nothing can be held out, and what is computed in closed form does without."""

import json
from pathlib import Path

import numpy as np
import pytest

from equiangular.training import Classifier, TrainConfig, train


@pytest.fixture
def vectors(tmp_path: Path) -> Path:
    generator = np.random.default_rng(0)
    means = generator.normal(size=(4, 8)).astype("f4")
    names = json.dumps(["a", "b", "c", "d"])
    test = np.repeat(means, 3, 0) + 0.1 * generator.normal(size=(12, 8)).astype("f4")
    np.savez(
        tmp_path / "v.npz", train_features=means + 0.1, train_labels=np.arange(4), test_features=test,
        test_labels=np.repeat(np.arange(4), 3), class_names=np.array(json.loads(names)), names_features=means,
    )  # fmt: skip
    return tmp_path / "v.npz"


@pytest.mark.parametrize("method", ["kernel-names", "class-means", "ridge", "gaussian-names"])
def test_computed(method: str, vectors: Path, tmp_path: Path) -> None:
    results = train(TrainConfig(data=str(vectors), method=method, accelerator="cpu"), tmp_path / "run")
    assert results["test"]["accuracy"] == 100
    assert results["test"]["correction"] is None
    assert sum(results["class_counts"]) == 4
    assert Classifier.load(tmp_path / "run").info.class_names == ("a", "b", "c", "d")


@pytest.mark.parametrize("method", ["logistic", "linear-la"])
def test_others_say_what_to_do(method: str, vectors: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"the largest of 4 classes has 1 sample .*Hold nothing out \(--validation 0\)"
    ):
        train(TrainConfig(data=str(vectors), method=method, epochs=1, accelerator="cpu"), tmp_path / "run")
