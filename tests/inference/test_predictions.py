"""Predictions of a trained network: against the network itself, in CSV and JSON, with failures in their rows."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from equiangular.inference import (
    InputBatch,
    Prediction,
    list_inputs,
    predict_files,
    read_inputs,
    read_prior,
    write_predictions,
)
from equiangular.training import Classifier, corrected_logits


def predictions(run: Path, paths: list[Path], *, prior: object = None, **options: int) -> list[Prediction]:
    classifier = Classifier.load(run, prior=prior)
    batches = read_inputs(list_inputs(paths, classifier.info.kind), classifier.info, batch_size=16)
    return list(predict_files(classifier, batches, **options))


@pytest.mark.parametrize("prior", [None, "train"])
def test_against_the_network(digits_run: Path, digit_images: Path, prior: str | None) -> None:
    found = predictions(digits_run, [digit_images], prior=prior, top_k=3)
    classifier = Classifier.load(digits_run)
    files = sorted(digit_images.rglob("*.png"))
    x = torch.stack([torch.from_numpy(np.asarray(Image.open(file)).copy()) for file in files])[:, None]
    with torch.no_grad():
        raw = classifier.head(classifier.backbone(classifier.standardize(x)))
    p = corrected_logits(raw, classifier.info, prior).softmax(1)
    assert [f.name for f in found] == [str(file) for file in files]
    for row, prediction in zip(p, found, strict=True):
        order = row.argsort(descending=True)[:3]
        assert prediction.classes == tuple(classifier.info.class_names[i] for i in order)
        assert prediction.probabilities == pytest.approx(row[order].tolist(), abs=1e-6)
    right = sum(f.classes[0] == Path(f.name).parent.name for f in found)
    assert right > 60  # of 80: it has learned the digits


def test_top_k(digits_run: Path, digit_images: Path) -> None:
    (first, *_) = predictions(digits_run, [digit_images], top_k=99)
    assert len(first.classes) == 10
    assert sum(first.probabilities) == pytest.approx(1, abs=1e-5)
    with pytest.raises(ValueError, match="top_k must be an integer >= 1"):
        predictions(digits_run, [digit_images], top_k=0)


class Overflowing(torch.nn.Module):
    """A backbone that leaves the range of floating point on images that are white at a corner."""

    def __init__(self, backbone: torch.nn.Module, value: float) -> None:
        super().__init__()
        self.backbone, self.value = backbone, value

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.where(x[:, 0, 0, :1] > 1e3, torch.tensor(self.value), self.backbone(x.clamp(max=1e3)))


@pytest.mark.parametrize("threshold", [None, 0.5])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), 3e38])
@pytest.mark.parametrize("wrong", [[], [2], [0, 1, 3], [0, 1, 2, 3]])
def test_a_row_that_overflows_in_the_network_fails_alone(
    digits_run: Path, value: float, wrong: list[int], threshold: float | None
) -> None:
    classifier = Classifier.load(digits_run)
    x = torch.randint(0, 16, (4, 1, 8, 8), generator=torch.Generator().manual_seed(0)).float() * 16
    good = [row for row in range(4) if row not in wrong]
    names = ["first", "second", "third", "fourth"]
    alone = InputBatch([names[row] for row in good], x[good])
    expected = {p.name: p for p in predict_files(classifier, [alone], top_k=2, threshold=threshold)}
    x[wrong, 0, 0, 0] = 1e9
    classifier.backbone = Overflowing(classifier.backbone, value)
    batch = InputBatch(names, x, failures=[("no image", "broken")], failed_at=[1])
    found = list(predict_files(classifier, [batch], top_k=2, threshold=threshold))
    assert [p.name for p in found] == ["first", "no image", "second", "third", "fourth"]
    for prediction in found:
        if prediction.name in expected:
            kept = expected[prediction.name]
            assert prediction.classes == kept.classes
            assert prediction.probabilities == pytest.approx(kept.probabilities, abs=1e-6)
            assert prediction.rejected == kept.rejected
            assert prediction.error is None
        else:
            assert "broken" in str(prediction.error) or "range of floating point" in str(prediction.error)
            assert not prediction.classes


ROWS = [
    Prediction("a,b.png", ("cat", "dog"), (0.75, 0.2512341)),
    Prediction("ü.png", error="ü.png is broken"),
    Prediction("c.png", ("dog", "cat"), (1.0, 0.0)),
]


def test_csv(tmp_path: Path) -> None:
    assert write_predictions(iter(ROWS), tmp_path / "p.csv", top_k=2) == (2, 1)
    with (tmp_path / "p.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[0] == {
        "input": "a,b.png",
        "class": "cat",
        "probability": "0.750000",
        "class_2": "dog",
        "probability_2": "0.251234",
        "error": "",
    }
    assert rows[1]["class"] == rows[1]["probability_2"] == ""
    assert rows[1]["error"] == "ü.png is broken"


@pytest.mark.parametrize("rows", [ROWS, ROWS[:1], []])
def test_json(tmp_path: Path, rows: list[Prediction]) -> None:
    write_predictions(rows, tmp_path / "p.json", top_k=2)
    values = json.loads((tmp_path / "p.json").read_text(encoding="utf-8"))
    assert [value["input"] for value in values] == [row.name for row in rows]
    for value, row in zip(values, rows, strict=True):
        assert value.get("error") == row.error
        assert [p["class"] for p in value.get("predictions", [])] == list(row.classes)


def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path) -> None:
    write_predictions(ROWS, tmp_path / "p.csv")
    before = (tmp_path / "p.csv").read_text(encoding="utf-8")

    def broken():
        yield ROWS[0]
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        write_predictions(broken(), tmp_path / "p.csv")
    assert (tmp_path / "p.csv").read_text(encoding="utf-8") == before
    assert [p.name for p in tmp_path.iterdir()] == ["p.csv"]


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("equiangular.inference.predictions.json_lines", full)
    with pytest.raises(ValueError, match=r"cannot write '.*p\.json': No space left on device"):
        write_predictions(ROWS, tmp_path / "p.json")
    assert not list(tmp_path.iterdir())


FORMULAS = [
    Prediction("-2+3.png", ("=cmd|' /C calc'!A0", "-1.5"), (0.7, 0.3)),
    Prediction("@a.png", error="=1"),
    Prediction("plain.png", ("+x", "\tb"), (0.7, 0.3)),
]


def test_names_that_a_spreadsheet_would_compute(tmp_path: Path) -> None:
    """OWASP's guard against CSV injection, where it is asked for; numbers stay numbers, JSON stays what it is."""
    for formulas in (True, False):
        write_predictions(FORMULAS, tmp_path / "p.csv", top_k=2, formulas=formulas)
        with (tmp_path / "p.csv").open(newline="") as stream:
            rows = [[row["input"], row["class"], row["class_2"], row["error"]] for row in csv.DictReader(stream)]
        plain = [
            ["-2+3.png", "=cmd|' /C calc'!A0", "-1.5", ""],
            ["@a.png", "", "", "=1"],
            ["plain.png", "+x", "\tb", ""],
        ]
        if not formulas:
            plain = [[f"'{c}" if c[:1] in "=+-@\t" and c not in ("", "-1.5") else c for c in row] for row in plain]
        assert rows == plain
    write_predictions(FORMULAS, tmp_path / "p.json", top_k=2, formulas=False)
    assert json.loads((tmp_path / "p.json").read_text())[2]["predictions"][0]["class"] == "+x"


@pytest.mark.parametrize("suffix", [".csv", ".json"])
def test_a_file_name_that_is_no_text_is_written_all_the_same(tmp_path: Path, suffix: str) -> None:
    rows = [Prediction("a\udcff.png", ("cat",), (1.0,)), Prediction("b.png", ("dog",), (1.0,))]
    assert write_predictions(rows, tmp_path / f"p{suffix}") == (2, 0)
    assert r"a\udcff.png" in (tmp_path / f"p{suffix}").read_text(encoding="utf-8")


def test_where_predictions_cannot_go(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"ends in \.csv or \.json, got .*p\.txt"):
        write_predictions(ROWS, tmp_path / "p.txt")
    with pytest.raises(ValueError, match=r"the folder .*none' does not exist"):
        write_predictions(ROWS, tmp_path / "none" / "p.csv")


NAMES = ["cat", "dog", "emu"]


@pytest.mark.parametrize(
    ("name", "text"),
    [("p.json", '{"dog": 2, "cat": 1, "emu": 0.5}'), ("p.json", "[1, 2, 0.5]"), ("p.yaml", "cat: 1\ndog: 2\nemu: .5")],
)
def test_priors_of_files(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    assert read_prior(str(tmp_path / name), NAMES) == [1.0, 2.0, 0.5]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"dog": 2, "cat": 1, "emus": 1}', "no class 'emus'; did you mean 'emu'"),
        ('{"dog": 2, "cat": 1}', "no weight for class 'emu'"),
        ("[1, 2]", "a weight for each of the 3 classes, got 2 entries"),
        ("7", "a weight for each of the 3 classes, got int"),
        ("[1, 2, 0]", "the weight of class 'emu' must be a number above 0, got 0"),
        ("[1, two, 3]", "the weight of class 'dog' must be a number above 0, got 'two'"),
        ("[1, 2", "the prior .* is not YAML that can be read"),
    ],
)
def test_bad_priors(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "p.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_prior(str(tmp_path / "p.json"), NAMES)
    with pytest.raises(ValueError, match="neither uniform nor train nor a file that exists; did you mean 'uniform'"):
        read_prior("unifrm", NAMES)
