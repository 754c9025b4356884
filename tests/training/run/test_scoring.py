"""Scores against scikit-learn and against a two-pass computation, in batches and over two processes."""

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, balanced_accuracy_score, confusion_matrix, precision_score

from equiangular.records import unpack_confusion
from equiangular.training import Scorer, score

COUNTS = [500, 120, 60, 21, 12, 5]
GROUPS = {"many": [0, 1], "medium": [2, 3], "few": [4, 5]}


def sample(n: int = 400, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(6), rng.integers(0, 6, n)])
    logits = rng.normal(size=(len(labels), 6)) + 1.5 * np.eye(6)[labels]
    return torch.from_numpy(logits).float(), torch.from_numpy(labels)


def assert_same(first: dict, second: dict) -> None:
    assert first.keys() == second.keys()
    for key, value in second.items():
        assert first[key] == (value if key == "empty_groups" else pytest.approx(value, abs=1e-9)), key


def plain_ece(probabilities: np.ndarray, labels: np.ndarray, bins: int = 15) -> float:
    """Guo et al. as written: bin by bin over stored samples."""
    confidence, hit = probabilities.max(1).astype(np.float64), probabilities.argmax(1) == labels
    which = np.minimum((confidence * bins).astype(int), bins - 1)
    parts = [which == b for b in range(bins) if (which == b).any()]
    return sum(part.mean() * abs(hit[part].mean() - confidence[part].mean()) for part in parts)


def test_against_scikit_learn() -> None:
    logits, labels = sample()
    scores, predicted = score(logits, labels, COUNTS), logits.argmax(1)
    assert scores["accuracy"] == pytest.approx(100 * accuracy_score(labels, predicted))
    assert scores["balanced_accuracy"] == pytest.approx(100 * balanced_accuracy_score(labels, predicted))
    matrix = confusion_matrix(labels, predicted)
    rates = 100 * matrix.diagonal() / matrix.sum(1)
    assert scores["per_class"] == pytest.approx(rates.tolist())
    for name, members in GROUPS.items():
        assert scores[name] == pytest.approx(rates[members].mean())
    probabilities = logits.softmax(1).numpy()
    assert scores["ece"] == pytest.approx(100 * plain_ece(probabilities, labels.numpy()))
    for name, members in GROUPS.items():
        own = np.isin(labels, members)
        assert scores[f"ece_{name}"] == pytest.approx(100 * plain_ece(probabilities[own], labels.numpy()[own]))
    assert scores["samples"] == len(labels)


def test_details_against_scikit_learn() -> None:
    logits, labels = sample()
    scorer = Scorer(COUNTS, class_names="abcdef")
    scorer.update(logits, labels)
    details, predicted = scorer.details(), logits.argmax(1)
    matrix = confusion_matrix(labels, predicted)
    assert details["confusion"] == matrix.tolist()
    precision = 100 * precision_score(labels, predicted, average=None)
    assert [row["precision"] for row in details["classes"]] == pytest.approx(precision.tolist())
    assert [row["test"] for row in details["classes"]] == matrix.sum(1).tolist()
    np.fill_diagonal(matrix, 0)
    assert [row["mistaken_for"] for row in details["classes"]] == ["abcdef"[i] for i in matrix.argmax(1)]
    assert [row["group"] for row in details["classes"]] == ["many", "many", "medium", "medium", "few", "few"]
    curves = details["reliability"]
    assert sum(curves["all"]["samples"]) == len(labels)
    assert np.array([curves[g]["samples"] for g in GROUPS]).sum(0).tolist() == curves["all"]["samples"]
    weights = np.array(curves["all"]["samples"]) / len(labels)
    gaps = np.abs(np.array(curves["all"]["accuracy"]) - np.array(curves["all"]["confidence"]))
    assert np.nansum(weights * gaps) == pytest.approx(scorer.compute()["ece"])
    json.dumps(details)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_batches_add_up(dtype: torch.dtype) -> None:
    logits, labels = sample()
    logits = logits.to(dtype)
    whole, parts = Scorer(COUNTS), Scorer(COUNTS)
    whole.update(logits, labels)
    for x, y in zip(logits.split(37), labels.split(37), strict=True):
        parts.update(x, y)
    assert_same(parts.compute(), whole.compute())
    assert parts.details()["confusion"] == whole.details()["confusion"]
    parts.reset()
    assert parts.compute()["samples"] == 0


def test_what_is_absent_is_nan_and_said() -> None:
    scores = score(torch.eye(3), torch.tensor([0, 1, 1]), [500, 400, 300])
    assert math.isnan(scores["few"])
    assert math.isnan(scores["ece_medium"])
    assert scores["empty_groups"] == ["medium", "few"]
    assert math.isnan(scores["per_class"][2])
    assert scores["balanced_accuracy"] == pytest.approx(75)


def test_without_the_confusion_matrix() -> None:
    scorer, full = Scorer(COUNTS, confusion=False), Scorer(COUNTS)
    for one in (scorer, full):
        one.update(*sample())
    assert scorer.compute() == full.compute()
    assert scorer.details()["confusion"] is None
    assert "precision" not in scorer.details()["classes"][0]


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        (torch.zeros(2, 5), torch.tensor([0, 1]), "logits must have width 6"),
        (torch.zeros(2, 6), torch.tensor([0, 6]), r"target must lie in \[0, 5\]"),
        (torch.zeros(2, 6), torch.tensor([0.0, 1.0]), "must hold integers"),
        (torch.zeros(2, 6), torch.tensor([0]), "entries for"),
        (torch.full((2, 6), math.nan), torch.tensor([0, 1]), "NaN"),
    ],
)
def test_bad_input(logits: torch.Tensor, labels: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Scorer(COUNTS).update(logits, labels)


def test_bad_options() -> None:
    with pytest.raises(ValueError, match="got 2 class names for 6 classes"):
        Scorer(COUNTS, class_names=["a", "b"])
    with pytest.raises(ValueError, match="above 0: class 1"):
        Scorer([5, 0])
    with pytest.raises(ValueError, match="low <= high"):
        Scorer(COUNTS, (100, 20))


WORKER = """
import json, sys
sys.path.insert(0, {folder!r})
import torch
torch.set_num_threads(1)
from test_scoring import COUNTS, sample
from equiangular.training import Scorer
rank = int(sys.argv[1])
torch.distributed.init_process_group("gloo", init_method="file://" + sys.argv[2], rank=rank, world_size=2)
logits, labels = sample()
scorer = Scorer(COUNTS)
own = slice(0, 150) if rank == 0 else slice(150, None)
for x, y in zip(logits[own].split(64), labels[own].split(64)):
    scorer.update(x, y)
print(json.dumps([scorer.compute(), scorer.details(), scorer.compute()]))
torch.distributed.destroy_process_group()
"""


@pytest.mark.slow
def test_two_processes_agree_with_one(tmp_path: Path) -> None:
    code = WORKER.format(folder=str(Path(__file__).parent))
    command = [sys.executable, "-c", code]
    ranks = [
        subprocess.Popen([*command, str(rank), str(tmp_path / "store")], stdout=subprocess.PIPE, text=True)
        for rank in range(2)
    ]
    results = [json.loads(rank.communicate(timeout=120)[0].splitlines()[-1]) for rank in ranks]
    single = Scorer(COUNTS)
    single.update(*sample())
    for scores, details, again in results:
        assert_same(scores, single.compute())
        assert again == scores  # the sums are not added up twice
        assert details["confusion"] == single.details()["confusion"]
        assert details["reliability"]["few"]["samples"] == single.details()["reliability"]["few"]["samples"]


def test_of_many_classes_what_is_not_zero_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    logits, labels = sample()
    whole = Scorer(COUNTS)
    whole.update(logits, labels)
    assert whole.details()["confusion"] == confusion_matrix(labels, logits.argmax(1)).tolist()
    monkeypatch.setattr("equiangular.measures.streaming.LARGEST_MATRIX", 5)
    monkeypatch.setattr("equiangular._codec.WHOLE_MATRIX", 5)
    parts = Scorer(COUNTS)
    assert parts.shots.confused()[0].tolist() == []
    for x, y in zip(logits.split(37), labels.split(37), strict=True):
        parts.update(x, y)
    kept = parts.details()
    assert kept["confusion"]["classes"] == 6
    assert unpack_confusion(kept["confusion"]) == unpack_confusion(whole.details()["confusion"])
    assert kept["classes"] == whole.details()["classes"]
    assert torch.equal(parts.shots.compute()["confusion"], whole.shots.compute()["confusion"])
    other = Scorer(COUNTS)
    other.update(logits[:50], labels[:50])
    parts.shots.merge_state(other.shots)
    assert int(parts.shots.compute()["confusion"].sum()) == len(labels) + 50
    json.dumps(kept)
