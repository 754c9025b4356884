"""The question about frozen features, on data made up: cuts, folds, the rival's search, resuming and the table."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from equiangular.data import from_arrays
from experiments.questions import features


def clusters(seed: int = 0, sizes=(60, 40, 20, 8), spread: float = 1.0):
    generator = np.random.default_rng(seed)
    y = np.repeat(np.arange(len(sizes)), sizes)
    centres = np.random.default_rng(7).normal(size=(len(sizes), 6))
    return (centres[y] + spread * generator.normal(size=(len(y), 6))).astype("f4"), y


def test_cuts_are_what_they_say() -> None:
    y = clusters()[1]
    assert np.bincount(y[features.cut(y, "10 each", 0, 1000)]).tolist() == [10, 10, 10, 8]
    index = features.cut(y, "10:1", 0, 1000)
    assert np.bincount(y[index]).tolist() == [60, 27, 12, 6]
    assert len(features.cut(y, "10:1", 0, 40)) <= 40
    assert features.cut(y, "50:1", 0, 40) is None  # its largest class would be smaller than 50
    level = np.repeat(np.arange(5), 50)
    firsts = {int(np.bincount(level[features.cut(level, "10:1", seed, 1000)]).argmax()) for seed in range(8)}
    assert len(firsts) > 1  # the order of classes of like size is drawn


def test_folds_spread_classes_and_keep_lone_samples() -> None:
    y = np.array([0] * 7 + [1] * 2 + [2])
    for seed in range(5):
        folds = features.fold_numbers(y, 3, seed)
        assert folds[-1] == -1
        assert folds[7] != folds[8]
        assert sorted(np.bincount(folds[:7])) == [2, 2, 3]


@pytest.mark.parametrize("corrected", [False, True])
def test_the_search_takes_the_c_of_the_least_loss(corrected: bool) -> None:
    """By hand: scikit-learn's own probabilities on the same folds, moved to equal priors by Bayes' rule."""
    x, y = clusters(sizes=(60, 30, 9, 3), spread=2.0)
    found = features.search(x, y, None, seed=3)
    folds = features.fold_numbers(y, 5, 3)
    losses = []
    for value in found.values:
        p = np.zeros((len(y), 4))
        for fold in range(5):
            out = folds == fold
            p[out] = LogisticRegression(C=value, max_iter=1000).fit(x[~out], y[~out]).predict_proba(x[out])
            p[out] /= np.bincount(y[~out]) if corrected else 1
        weight = 1 / np.bincount(y)[y] if corrected else None
        losses.append(log_loss(y, p / p.sum(1, keepdims=True), sample_weight=weight))
    assert found.best(balanced=corrected, corrected=corrected) == found.values[int(np.argmin(losses))]


def test_a_run_goes_on_where_it_was_stopped_and_makes_its_table(tmp_path, monkeypatch, capsys) -> None:
    (x, y), (test_x, test_y) = clusters(), clusters(1)
    part = features.Part(x, y, test_x, test_y)
    monkeypatch.setattr(features, "features", lambda name: part)
    monkeypatch.setattr(features, "GRID", (1.0, 10.0))
    monkeypatch.setattr(features, "KINDS", ("ridge", "kernel"))
    output = tmp_path / "features.json"
    arguments = ["--sets", "letter", "--cuts", "10:1", "100:1", "--most", "90", "--output", str(output)]
    features.main([*arguments, "--draws", "1"])
    first = json.loads(output.read_text())
    row = first["cells"]["letter|10:1|0"]
    assert list(first["cells"]) == ["letter|10:1|0"]
    assert set(row["scores"]) == {*features.KINDS, *features.LEARNED, features.CEILING}
    assert row["scores"][features.CEILING]["balanced_accuracy"] >= row["scores"][features.RIVAL]["balanced_accuracy"]
    assert (row["largest"], row["smallest"], row["samples"]) == (51, 5, 89)
    assert row["provenance"]["versions"]["scikit-learn"]
    kept = row["scores"].pop("kernel")
    del first["checksum"]
    output.write_text(json.dumps(first))
    capsys.readouterr()
    features.main([*arguments, "--draws", "2"])
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith("letter, 10:1, draw 0")]
    assert len(told) == 1  # the one that was missing
    again = json.loads(output.read_text())
    assert again["cells"]["letter|10:1|0"]["scores"]["kernel"]["balanced_accuracy"] == kept["balanced_accuracy"]
    features.main([*arguments, "--table"])
    rows = [again["cells"][f"letter|10:1|{draw}"]["scores"] for draw in range(2)]
    gaps = [r["ridge"]["balanced_accuracy"] - r[features.RIVAL]["balanced_accuracy"] for r in rows]
    assert f"| {np.mean(gaps):+.1f} ± " in capsys.readouterr().out
    with pytest.raises(ValueError, match="--sets"):
        features.main(["--sets", "leter"])


def test_balanced_weights_are_no_other_classifier_where_classes_are_level(monkeypatch) -> None:
    monkeypatch.setattr(features, "KINDS", ())
    x, y = clusters(sizes=(9, 9, 9))
    row: dict = {}
    list(features.run_draw(features.Part(x, y, x, y), np.arange(len(y)), 0, row))
    plain, _, weighted = (row["scores"][name]["balanced_accuracy"] for name in features.LEARNED)
    assert plain == weighted


def test_a_part_of_each_class_of_an_image_set() -> None:
    images = torch.arange(40, dtype=torch.uint8).reshape(40, 1, 1).expand(40, 4, 4).numpy()
    data = from_arrays(images, [0] * 30 + [1] * 10, test_x=images, test_y=[0] * 30 + [1] * 10)
    part = features.some_of_each(data, 4, 5, 3)
    assert part.train_counts.tolist() == [7, 5]
    assert part.test_y.bincount().tolist() == [3, 3]
    for x, y in ((part.train_x, part.train_y), (part.test_x, part.test_y)):
        assert torch.equal((x.flatten(1).double().mean(1) >= 30).long(), y)  # each image has its own label still
