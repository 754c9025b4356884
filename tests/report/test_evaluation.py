"""Tables and pictures of evaluations: few classes and many, empty groups, classes without test samples."""

import io

import numpy as np
import pytest
import torch
from rich.console import Console

from equiangular.report.evaluation import (
    class_table,
    confusion_figure,
    reliability_figure,
    score_rows,
    score_table,
    write_evaluation_page,
)
from equiangular.training import Scorer


def results(num_classes: int, *, tested: int | None = None, seed: int = 0) -> dict:
    rng = np.random.default_rng(seed)
    counts = np.geomspace(500, 5, num_classes).round().astype(int)
    labels = torch.from_numpy(rng.integers(0, tested or num_classes, 400))
    logits = torch.from_numpy(rng.normal(size=(400, num_classes)))
    logits[torch.arange(400), labels] += 2
    names = [f"class <{i}>" for i in range(num_classes - 1)] + ["[bold] class $^$"]
    scorer = Scorer(counts, class_names=names)
    scorer.update(logits, labels)
    return {
        "method": "ETF + CE",
        "data": "made [up]",
        "path": "runs/x",
        "prior": "train",
        "scores": scorer.compute(),
        "raw_scores": scorer.compute(),
        **scorer.details(),
        "raw_reliability": scorer.details()["reliability"],
        "model": {
            "thresholds": [20, 100],
            "correction": None,
            "backbone": "mlp",
            "head": {"kind": "etf"},
            "epoch": None,
            "seed": 0,
        },
        "provenance": {"command": "x", "versions": {"torch": "2"}, "commit": None, "time_utc": "now"},
    }


@pytest.mark.parametrize("num_classes", [2, 10, 70])
def test_everything_is_drawn(num_classes: int, tmp_path) -> None:
    made = results(num_classes)
    image = confusion_figure(made).axes[0].images[0].get_array()
    assert image.shape == (num_classes, num_classes)
    rows = image.sum(axis=1)
    assert np.allclose(rows[rows > 0], 1)
    curves = reliability_figure(made).axes
    assert len(curves) == 4
    page = write_evaluation_page(made, tmp_path / "p.html").read_text()
    assert page.count("[bold] class $^$") >= (2 if num_classes <= 60 else 1)
    assert "class &lt;0&gt;" in page
    assert "class <0>" not in page
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(score_table(made))
    console.print(class_table(made))
    text = console.export_text()
    assert "on made [up]" in text
    assert ("[bold] class $^$" in text) or num_classes == 70  # it may not be among those shown
    assert "class prior of the predictions: that of the training data" in text
    assert text.count("class <") >= min(num_classes, 40) - 1
    assert ("the 40 classes of lowest accuracy, of 70" in text) == (num_classes == 70)


def test_rows_of_groups() -> None:
    rows = {label: (value, note) for label, value, _, note in score_rows(results(2))}
    assert rows["medium-shot accuracy"] == ("-", "empty: no class has 20 to 100 training samples")
    assert rows["many-shot accuracy"][1] == "1 class of more than 100 training samples"
    assert "ECE, medium-shot" not in rows


def test_classes_without_test_samples() -> None:
    made = results(6, tested=2)
    rows = {label: (value, note) for label, value, _, note in score_rows(made)}
    assert rows["balanced accuracy"][1] == "mean over the 2 of 6 classes that have test samples"
    assert rows["few-shot accuracy"][0] == "-"
    assert rows["few-shot accuracy"][1].endswith("none of them with test samples")
    reliability_figure(made)
    assert np.asarray(confusion_figure(made).axes[0].images[0].get_array())[-1].sum() == 0


def test_classes_in_the_order_of_their_training_samples() -> None:
    made = results(6)
    made["classes"] = [{**row, "train": 10 * i} for i, row in enumerate(made["classes"])]
    axis = confusion_figure(made).axes[0]
    assert [label.get_text() for label in axis.get_yticklabels()] == [
        r"[bold] class \$^\$",
        *(f"class <{i}>" for i in range(4, -1, -1)),
    ]


def test_beyond_a_thousand_classes_neighbours_share_a_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("equiangular.report.evaluation._CELLS", 3)
    made = results(6)
    counts = np.array(made["confusion"])
    order = np.argsort([-row["train"] for row in made["classes"]], kind="stable")
    shares = (counts / counts.sum(1, keepdims=True))[order][:, order]
    expected = shares.reshape(3, 2, 3, 2).sum(3).mean(1)
    packed = {"classes": 6, "rows": [" ".join(f"{j}:{n}" for j, n in enumerate(row) if n) for row in counts.tolist()]}
    for confusion in (made["confusion"], packed):
        image = confusion_figure({**made, "confusion": confusion}).axes[0].images[0].get_array()
        np.testing.assert_allclose(image, expected)
