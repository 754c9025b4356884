"""Tables from raw file to answer: every form, every command, odd values; each with the value wanted."""

from __future__ import annotations

import csv
import datetime
import importlib.util
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
import torch
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OneHotEncoder

from equiangular.data import load_dataset
from equiangular.data.columns import Told
from equiangular.inference import evaluate, list_inputs, predict_files, read_inputs
from equiangular.training import Classifier
from equiangular.training.config.options import TrainConfig
from equiangular.training.run.collapse import measure_run
from equiangular.training.run.train import train
from tests.command_line import run

FORMS = (".csv", ".tsv", ".parquet", ".feather")
Table = dict[str, list[Any]]


def penguins(rows: int = 120, seed: int = 0) -> Table:
    """Made-up rows in the shape of the raw penguins: identifiers, a constant, dates, truth, text, missing values."""
    draw = np.random.default_rng(seed)
    kind = draw.integers(0, 3, rows)
    length = 40 + 5 * kind + draw.normal(size=rows)
    words = ("not enough blood", "nest never observed with full clutch", "no delta sample", "sexing primers failed")
    day = datetime.date(2007, 11, 9)

    def holes(values: list[Any], share: float) -> list[Any]:
        return [None if hole else v for v, hole in zip(values, draw.random(rows) < share, strict=True)]

    return {
        "studyName": [("PAL0708", "PAL0809")[i % 2] for i in range(rows)],
        "Individual ID": [f"N{i // 2}A{i % 2 + 1}" for i in range(rows)],
        "Species": [("Adelie", "Gentoo (Pygoscelis papua)", "Chinstrap")[k] for k in kind],
        "Island": [
            ("Torgersen", "Biscoe", "Dream")[(k + j) % 3] for k, j in zip(kind, draw.integers(0, 2, rows), strict=False)
        ],
        "Stage": ["Adult, 1 Egg Stage"] * rows,
        "Clutch": [bool(b) for b in draw.random(rows) < 0.9],
        "Date Egg": [day + datetime.timedelta(days=int(d)) for d in draw.integers(0, 400, rows)],
        "Culmen (mm)": holes([round(float(v), 1) for v in length], 0.05),
        "Mass (g)": [int(v) for v in 3000 + 500 * kind + 25 * draw.integers(-9, 9, rows)],
        "Sex": holes([("MALE", "FEMALE")[i] for i in draw.integers(0, 2, rows)], 0.1),
        "Comments": holes(
            [f"{words[i]} {j}" for i, j in zip(draw.integers(0, 4, rows), range(rows), strict=False)], 0.6
        ),
    }


def write(path: Path, table: Table) -> Path:
    """A table in the form of the suffix: texts with NA for missing values, or Arrow's own types."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix in (".csv", ".tsv"):
        with path.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream, delimiter="," if path.suffix == ".csv" else "\t")
            writer.writerow(table)
            columns = [["NA" if v is None else v for v in values] for values in table.values()]
            writer.writerows(zip(*columns, strict=True))
    elif path.suffix == ".parquet":
        pq.write_table(pa.table(table), path)
    else:
        pyarrow.feather.write_feather(pa.table(table), path)
    return path


def changed(table: Table, **columns: Any) -> Table:
    """The table with other columns; None leaves one out."""
    return {name: values for name, values in (table | columns).items() if values is not None}


def test_every_form_gives_the_same_data(tmp_path: Path) -> None:
    given = [load_dataset(write(tmp_path / f"p{form}", penguins()), label="Species") for form in FORMS]
    first = given[0]
    assert first.kind == "table"
    assert first.class_names == ("Adelie", "Chinstrap", "Gentoo (Pygoscelis papua)")
    assert first.notes == (
        "9 columns, 1 boolean, 4 category, 1 date, 2 number and 1 text, become 115 numbers; values are missing in 3 of "
        "them",
        "column 'Individual ID' is left out: an identifier, by its name and its values",
    )
    kinds = {column["name"]: column["kind"] for column in first.encoding["columns"]}
    assert kinds == {
        "studyName": "category", "Island": "category", "Stage": "category", "Clutch": "boolean", "Date Egg": "date",
        "Culmen (mm)": "number", "Mass (g)": "number", "Sex": "category", "Comments": "text",
    }  # fmt: skip
    for data in given[1:]:
        assert (data.columns, data.notes, data.class_names) == (first.columns, first.notes, first.class_names)
        assert torch.equal(data.train_x, first.train_x)
        assert torch.equal(data.test_y, first.test_y)
        assert json.dumps(data.encoding) == json.dumps(first.encoding)


def test_the_numbers_are_those_of_scikit_learn(tmp_path: Path) -> None:
    pd = pytest.importorskip("pandas")
    for part, seed in (("train", 0), ("test", 1)):
        write(tmp_path / f"{part}.csv", penguins(seed=seed))
    data = load_dataset(tmp_path, label="Species")
    train_frame, test_frame = (pd.DataFrame(penguins(seed=seed)) for seed in (0, 1))
    for frame in (train_frame, test_frame):
        frame["Comments"] = frame["Comments"].fillna("")
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, max_features=256)
    expected = ColumnTransformer(
        [
            ("kinds", OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["studyName", "Island", "Stage"]),
            ("numbers", SimpleImputer(add_indicator=True), ["Culmen (mm)"]),
            ("whole", "passthrough", ["Clutch", "Mass (g)"]),
            ("texts", words, "Comments"),
        ],
        sparse_threshold=0,
    ).fit(train_frame)
    ours = {name: i for i, name in enumerate(data.columns or ())}
    names = [n for n in ours if n.split(" = ")[0] in ("studyName", "Island", "Stage")]
    names += ["Culmen (mm)", "Culmen (mm) missing", "Clutch", "Mass (g)"]
    names += [n for n in ours if n.startswith("Comments: ")]
    for x, frame in ((data.train_x, train_frame), (data.test_x, test_frame)):
        found = x[:, [ours[name] for name in names]].numpy()
        np.testing.assert_allclose(found, expected.transform(frame).astype(float), rtol=1e-6, atol=1e-6)
        days = pd.to_datetime(frame["Date Egg"]).map(lambda t: t.timestamp() / 86400).to_numpy()
        week = x[:, [ours["Date Egg week sin"], ours["Date Egg week cos"]]].numpy()
        np.testing.assert_allclose(
            week, np.stack([np.sin(days * 2 * np.pi / 7), np.cos(days * 2 * np.pi / 7)], 1), atol=1e-5
        )
        offset = x[:, ours["Date Egg days"]].numpy() - days
        np.testing.assert_allclose(offset, offset[0], atol=1e-3)


OPTIONS = {"label": "Species", "epochs": 3, "accelerator": "cpu", "threads": 1}


@pytest.fixture(scope="module", params=FORMS)
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A run trained on the raw file of one form, and the file."""
    folder = tmp_path_factory.mktemp("table")
    file = write(folder / f"penguins{request.param}", penguins())
    train(TrainConfig(data=str(file), **OPTIONS), folder / "run")
    return folder / "run", file


def predicted(
    run_folder: Path, file: Path, batch_size: int = 50
) -> tuple[dict[int, tuple[float, ...]], dict[int, str], Told]:
    """Probabilities by row in the order of the file, reasons by row, and what is told."""
    classifier, told = Classifier.load(run_folder), Told()
    info = classifier.info
    batches = read_inputs(list_inputs([file], info.reads), info, batch_size=batch_size, told=told)
    good, bad = {}, {}
    for p in predict_files(classifier, batches, top_k=info.num_classes):
        row = int(p.name.rpartition(":")[2]) if p.name.rpartition(":")[2].isdigit() else -1
        if p.error is None:
            good[row] = tuple(q for _, q in sorted(zip(p.classes, p.probabilities, strict=True)))
        else:
            bad[row] = p.error
    return good, bad, told


def test_a_model_reads_every_form_alike(trained: tuple[Path, Path], tmp_path: Path) -> None:
    run_folder, _ = trained
    table = penguins(60, seed=5)
    found = [predicted(run_folder, write(tmp_path / f"new{form}", changed(table, Species=None))) for form in FORMS]
    for good, bad, told in found:
        assert len(good) == 60
        assert not bad
        assert not told.lines()
        np.testing.assert_array_equal(list(good.values()), list(found[0][0].values()))
    own = evaluate(Classifier.load(run_folder))
    assert own["scores"]["samples"] < 30
    assert own["scores"]["accuracy"] > 60
    scores = [evaluate(Classifier.load(run_folder), data=write(tmp_path / f"e{form}", table)) for form in FORMS]
    right = [max(range(3), key=p.__getitem__) for p in found[0][0].values()]
    wanted = np.mean(
        [sorted(set(table["Species"]))[i] == name for i, name in zip(right, table["Species"], strict=True)]
    )
    assert all(s["scores"]["accuracy"] == pytest.approx(100 * wanted) and s["notes"] == [] for s in scores)
    assert measure_run(run_folder).measures["nc1_quotient"] > 0


def replaced(table: Table, name: str, row: int, value: Any) -> Table:
    return changed(table, **{name: [value if i == row else v for i, v in enumerate(table[name])]})


NEW = penguins(20, seed=7)
EXTRA = changed(NEW, more=list(range(20)))
REORDERED = dict(reversed(list(NEW.items())))
# What is odd; the failed rows' reasons by row; a line that is told.
ODD: dict[str, tuple[Table, dict[int, str], str]] = {
    "nothing": (NEW, {}, ""),
    "columns in another order": (REORDERED, {}, ""),
    "the identifier is missing": (changed(NEW, **{"Individual ID": None}), {}, ""),
    "another column": (EXTRA, {}, "columns that training did not have are ignored: 'more'"),
    "another level": (replaced(NEW, "Island", 3, "Elsewhere"), {}, "column 'Island': 1 value that training did not"),
    "missing as in training": (replaced(NEW, "Culmen (mm)", 4, None), {}, ""),
    "missing for the first time": (replaced(NEW, "Mass (g)", 4, None), {}, "'Mass (g)': 1 missing, and none was"),
    "all missing": (changed(NEW, Comments=[None] * 20), {}, ""),
    "infinite": (replaced(NEW, "Culmen (mm)", 6, float("inf")), {6: "column 'Culmen .mm.' is infinite"}, ""),
    "a column is missing": (
        changed(NEW, Island=None, **{"Mass (g)": None}), {-1: r"no column 'Island' \(2 such columns\)"}, ""
    ),
}  # fmt: skip
IN_TEXTS: dict[str, tuple[Table, dict[int, str], str]] = {
    "no number": (replaced(NEW, "Mass (g)", 2, "heavy"), {2: "column 'Mass .g.' holds 'heavy', not a number"}, ""),
    "no date": (replaced(NEW, "Date Egg", 9, "2007-13-45"), {9: "holds '2007-13-45', not a date as in training"}, ""),
    "no truth": (replaced(NEW, "Clutch", 1, "perhaps"), {1: "holds 'perhaps', neither true nor false"}, ""),
    "blanks": (changed(NEW, Island=[f" {v} " for v in NEW["Island"]]), {}, ""),
}
CELLS = [(form, odd) for form in FORMS for odd in ODD] + [(form, odd) for form in FORMS[:2] for odd in IN_TEXTS]


@pytest.fixture(scope="module")
def one_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("one")
    train(TrainConfig(data=str(write(folder / "p.csv", penguins())), **OPTIONS), folder / "run")
    return folder / "run"


@pytest.mark.parametrize(("form", "odd"), CELLS)
def test_odd_values(one_run: Path, tmp_path: Path, form: str, odd: str) -> None:
    table, reasons, line = (ODD | IN_TEXTS)[odd]
    good, bad, told = predicted(one_run, write(tmp_path / f"new{form}", changed(table, Species=None)), batch_size=8)
    if -1 in reasons:
        assert not good
    else:
        assert len(good) + len(bad) == 20
        assert len(bad) == len(reasons)
    for reason, found in zip(reasons.values(), bad.values(), strict=True):
        with pytest.raises(ValueError, match=reason):
            raise ValueError(found)
    assert [line in said for said in told.lines()] == [True] * bool(line)
    usual = predicted(one_run, write(tmp_path / f"usual{form}", changed(NEW, Species=None)), batch_size=8)[0]
    if odd in ("columns in another order", "another column", "the identifier is missing", "blanks"):
        assert good == usual
    # An evaluation of the same file: what predict leaves out, it refuses, and counts what predict counts.
    file = write(tmp_path / f"labelled{form}", table)
    if reasons:
        with pytest.raises(ValueError, match=next(iter(reasons.values()))):
            evaluate(Classifier.load(one_run), data=file)
    else:
        results = evaluate(Classifier.load(one_run), data=file)
        assert results["scores"]["samples"] == 20
        notes = [note for note in results["notes"] if "whose own accuracies say little" not in note]
        assert [line in said for said in notes] == [True] * bool(line)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("names", [("001", "010", "1", "01"), ("true", "false", "True"), ("1", "10", "9"), ("NA", "x")])
def test_class_names_are_texts_as_they_stand(tmp_path: Path, form: str, names: tuple[str, ...]) -> None:
    labels = [names[i % len(names)] for i in range(60)]
    size = [float(i % len(names)) + 0.01 * i for i in range(60)]
    file = write(tmp_path / f"t{form}", {"size": size, "label": labels})
    data = load_dataset(file)
    assert sorted(data.class_names) == sorted(names)
    if names == ("1", "10", "9"):
        assert data.class_names == ("1", "9", "10")
    train(TrainConfig(data=str(file), epochs=1, method="linear-ce", accelerator="cpu", threads=1), tmp_path / "run")
    new = {"size": [s + 0.001 for s in size], "label": labels}  # other rows than those of training
    for other in FORMS[:3]:
        found = evaluate(Classifier.load(tmp_path / "run"), data=write(tmp_path / f"again{other}", new))
        assert {row["name"]: row["test"] for row in found["classes"]} == Counter(labels)


def test_types_come_from_the_model_and_every_row_is_read(tmp_path: Path) -> None:
    labels = ["a", "b"] * 30
    small = {"x": [0.5 * i for i in range(60)], "y": [i if i % 3 else None for i in range(60)], "label": labels}
    file = write(tmp_path / "small.csv", small)
    train(TrainConfig(data=str(file), epochs=1, method="linear-ce", accelerator="cpu", threads=1), tmp_path / "run")
    rows = 60_000  # more than a block of the reader in whole numbers, and an empty column, before anything else comes
    x = np.arange(rows) % 7 + np.where(np.arange(rows) > 50_000, 0.5, 0)
    big = {"x": [f"{v:g}" for v in x], "y": [None] * 55_000 + [37.5] * 5_000, "label": ["a"] * rows}
    for form in (".csv", ".parquet"):
        table = big if form == ".csv" else changed(big, x=x.tolist())
        good, bad, told = predicted(tmp_path / "run", write(tmp_path / f"big{form}", table), batch_size=4096)
        assert (len(good), bad, told.lines()) == (rows, {}, [])


@pytest.mark.parametrize("form", [".npz", ".csv", ".parquet"])
def test_seconds_in_arrays_are_centred_alike(tmp_path: Path, form: str) -> None:
    draw = np.random.default_rng(0)
    second = draw.integers(0, 3600, 400)
    x = np.stack([1_764_000_000 + second, draw.integers(0, 9, 400)], 1).astype(np.float64)
    labels = np.where(second < 1800, "first", "second")
    np.savez(tmp_path / "t.npz", x=x, y=labels)
    data = load_dataset(tmp_path / "t.npz")
    assert len(data.notes) == 1
    assert len(torch.cat([data.train_x, data.test_x])[:, 0].unique()) == len(np.unique(second))
    options = {"method": "linear-ce", "epochs": 20, "accelerator": "cpu", "threads": 1}
    results = train(TrainConfig(data=str(tmp_path / "t.npz"), **options), tmp_path / "run")
    assert results["test"]["accuracy"] > 85  # float32 seconds are 128 s apart, and all of them far from 0
    file = tmp_path / f"new{form}"
    if form == ".npz":
        np.savez(file, x=x, y=labels)
    else:
        write(file, {"time": x[:, 0].tolist(), "other": x[:, 1].tolist(), "label": labels.tolist()})
    assert evaluate(Classifier.load(tmp_path / "run"), data=file)["scores"]["accuracy"] > 85


@pytest.mark.parametrize("form", FORMS)
def test_seconds_and_metres_keep_their_values(tmp_path: Path, form: str) -> None:
    draw = np.random.default_rng(0)
    second = draw.integers(0, 3600, 300)
    table = {
        "time": (1_764_000_000 + second).tolist(),
        "northing": (5_400_000 + draw.random(300)).tolist(),
        "label": np.where(second % 1800 < 900, "first", "second").tolist(),
    }
    data = load_dataset(write(tmp_path / f"t{form}", table))
    assert [note.partition(":")[0] for note in data.notes] == ["column 'time'", "column 'northing'"]
    both = torch.cat([data.train_x, data.test_x])
    assert len(both[:, 0].unique()) == len(np.unique(second))
    centres = [column["centre"] for column in data.encoding["columns"]]
    exact = sorted(np.float64(table["northing"]) - centres[1])
    np.testing.assert_allclose(sorted(both[:, 1].tolist()), exact, rtol=1e-6)


def test_a_column_that_float32_cannot_hold_is_told(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    far = 2**53 - draw.integers(0, 1000, 100) * 2  # beside ordinary numbers, so that no offset helps
    table = {"n": [int(v) if i % 2 else i for i, v in enumerate(far)], "label": ["a", "b"] * 50}
    (note,) = load_dataset(write(tmp_path / "t.csv", table)).notes
    assert "column 'n': float32 keeps" in note


REFUSED: dict[str, tuple[Table, dict[str, Any], str]] = {
    "no label": ({"a": [1, 2], "b": [3, 4]}, {}, r"no column 'label'; its columns are a, b\. Name the one to learn"),
    "several labels": ({"y": [1, 2], "target": [3, 4]}, {}, "several columns that could be the labels, target and y"),
    "another label": (
        {"size": [1, 2], "kind": ["a", "b"]},
        {"label": "kinds"},
        "no column 'kinds'; did you mean 'kind'",
    ),
    "another drop": ({"size": [1, 2], "label": ["a", "b"]}, {"drop": "id"}, "no column 'id' to drop; its columns are"),
    "a row without label": ({"a": [1, 2, 3], "label": ["x", "", "y"]}, {}, "row 2 has no label"),
    "the label dropped": (
        {"a": [1, 2], "label": ["x", "y"]},
        {"drop": "label"},
        "no column 'label' but the one to drop",
    ),
    "the label named and dropped": (
        {"a": [1, 2], "kind": ["x", "y"]},
        {"drop": "kind", "label": "kind"},
        "column 'kind' of .* is the label, and to be dropped as well",
    ),
    "nothing left": (
        {"id": list("abcdefghij"), "label": list("xyxyxyxyxy")},
        {},
        "nothing to learn from: 'id' is left out",
    ),
    "numbers as labels": (
        {"a": [1, 2], "label": [0.25, 1.5]},
        {},
        "column 'label' holds 0.25: a class for every number",
    ),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_and_how(tmp_path: Path, form: str, case: str) -> None:
    table, options, message = REFUSED[case]
    with pytest.raises(ValueError, match=message):
        load_dataset(write(tmp_path / f"t{form}", table), **options)


@pytest.mark.parametrize("drop", ["label", "label, y"])
def test_with_the_usual_label_dropped_the_next_one_is_learned(tmp_path: Path, drop: str) -> None:
    table = {"a": list(range(20)), "label": [0, 1] * 10, "y": [2, 3] * 10, "target": ["u", "v"] * 10}
    file = write(tmp_path / "t.csv", changed(table, **({"target": None} if "y" not in drop else {})))
    data = load_dataset(file, drop=drop)
    assert data.class_names == (("u", "v") if "y" in drop else ("2", "3"))
    train(TrainConfig(data=str(file), drop=drop, epochs=1, method="linear-ce", accelerator="cpu"), tmp_path / "run")
    assert evaluate(Classifier.load(tmp_path / "run"))["scores"]["samples"] == 4


def test_columns_named_of_what_has_none_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "t.npz", x=np.zeros((10, 2)), y=np.arange(10) % 2)
    for data in ("iris", tmp_path / "t.npz"):
        with pytest.raises(ValueError, match=r"label='kind' and drop='a, b' are for files of rows .* is none"):
            load_dataset(data, label="kind", drop=["a", "b"])
    with pytest.raises(ValueError, match="Its labels are named as in 'hf:some/set#fine'"):
        load_dataset("hf:some/set", label="fine")


def test_times_and_spans_are_the_same_in_every_form(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    second = draw.integers(0, 86_400, 80)
    table: Table = {
        "clock": [(datetime.datetime(2020, 1, 1) + datetime.timedelta(seconds=int(s))).time() for s in second],
        "lasted": [datetime.timedelta(seconds=int(s) - 40_000) for s in second],
        "label": np.where(second < 43_200, "am", "pm").tolist(),
    }
    files = [write(tmp_path / f"t{form}", table) for form in FORMS]
    wanted = load_dataset(files[0])
    assert [column["kind"] for column in wanted.encoding["columns"]] == ["time", "time"]
    for file in files:
        data = load_dataset(file)
        assert json.dumps(data.encoding) == json.dumps(wanted.encoding)
        assert torch.equal(data.train_x, wanted.train_x)
    train(TrainConfig(data=str(files[2]), epochs=2, method="linear-ce", accelerator="cpu"), tmp_path / "run")
    new = changed(table, label=None)
    found = [predicted(tmp_path / "run", write(tmp_path / f"n{form}", new)) for form in FORMS]
    for good, bad, told in found:
        assert (list(good.values()), bad, told.lines()) == (list(found[0][0].values()), {}, [])
        assert len(good) == 80
    export = pytest.importorskip("equiangular.export").export_model
    pytest.importorskip("onnxscript")
    report = export(Classifier.load(tmp_path / "run"), tmp_path / "m.onnx")
    assert report["max_logit_difference"] < 1e-3


def test_why_there_is_no_data_set(tmp_path: Path, capsys: pytest.CaptureFixture[str], one_run: Path) -> None:
    image = b"\x89PNG"
    for name in ("t.csv.gz", "t.xlsx", "t.jsonl", "t.pkl", "t.txt", "t.pq", "t.odd", "one.png"):
        (tmp_path / name).write_bytes(image)
    for name in (
        "flat/a.png",
        "flat/b.jpg",
        "flat/labels.csv",
        "tables/b.csv",
        "tables/a.csv",
        "packed/t.zip",
        "empty/.x",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(image)
    for name, reason in {
        "t.csv.gz": "it is packed. Unpack it first",
        "t.xlsx": "it is a spreadsheet. Save its sheet as CSV",
        "t.jsonl": "JSON is not read. Read it in Python and write a table",
        "t.pkl": "this format is not read. Read it in Python",
        "t.txt": "a table as text is called .csv, or .tsv with tabs",
        "t.pq": "a parquet file is called .parquet",
        "t.odd": "a .odd file is not read. Expected a table",
        "one.png": "it is one image. Name the folder",
        "flat": "it has 2 images and no class folders. An image is of the class whose folder it lies in: CLASS/a.png. "
        "What labels.csv says of them is not read",
        "tables": "it has a.csv, b.csv and no train.csv. Name the file, or call the training part train.csv",
        "packed": "it has t.zip: it is packed",
        "empty": "it has no files. Expected",
    }.items():
        with pytest.raises(ValueError, match="no data set found in") as caught:
            load_dataset(tmp_path / name)
        assert reason in str(caught.value)
    code, _, err = run(capsys, "predict", one_run, tmp_path / "t.csv.gz")
    assert code == 2
    assert "t.csv.gz': it is packed. Unpack it first." in err


def test_what_is_said_of_one_input_and_of_the_file_to_export(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], one_run: Path
) -> None:
    table = changed(NEW, Species=None, **{"Mass (g)": ["heavy"] * 20})
    for rows, said in ((1, "1 of 1 input could not be read; the column 'error' says why. N"), (2, "says why. N")):
        few = {name: values[:rows] for name, values in table.items()}
        code, _, err = run(capsys, "predict", one_run, write(tmp_path / "few.csv", few))
        assert code == 3
        assert f"{said}othing was predicted." in err
        assert "The others are done" not in err
    few = changed(few, **{"Mass (g)": ["heavy", "4000"]})
    assert "The others are done." in run(capsys, "predict", one_run, write(tmp_path / "few.csv", few))[2]
    code, _, err = run(capsys, "export", one_run)
    assert code == 2
    assert "no file to write. Name it: equiangular export" in err
    assert "two files to write" in run(capsys, "export", one_run, "a.onnx", "-o", "b.onnx")[2]
    pytest.importorskip("onnxscript")
    assert run(capsys, "export", one_run, tmp_path / "m.onnx")[0] == 0
    assert (tmp_path / "m.onnx").exists()


def test_columns_of_one_name_are_refused_by_every_command(one_run: Path, tmp_path: Path) -> None:
    arrays = [pa.array([1, 2]), pa.array([3, 4]), pa.array(["a", "b"])]
    twice = pa.Table.from_arrays(arrays, names=["size", "size", "label"])
    (tmp_path / "t.csv").write_text("size,size,label\n1,3,a\n2,4,b\n")
    (tmp_path / "t.tsv").write_text("size\tsize\tlabel\n1\t3\ta\n2\t4\tb\n")
    pq.write_table(twice, tmp_path / "t.parquet")
    pyarrow.feather.write_feather(twice, tmp_path / "t.feather")
    for form in FORMS:
        with pytest.raises(ValueError, match="several columns called 'size'"):
            load_dataset(tmp_path / f"t{form}")
        assert "several columns called 'size'" in predicted(one_run, tmp_path / f"t{form}")[1][-1]
        with pytest.raises(ValueError, match="several columns called 'size'"):
            evaluate(Classifier.load(one_run), data=tmp_path / f"t{form}")


def test_other_ways_to_write_a_csv_file(tmp_path: Path) -> None:
    plain = penguins(30)
    wanted = load_dataset(write(tmp_path / "plain.csv", plain), label="Species")
    text = (tmp_path / "plain.csv").read_text(encoding="utf-8")
    rows = list(csv.reader(text.splitlines()))
    with (tmp_path / "semicolon.csv").open("w", encoding="utf-8-sig", newline="") as stream:
        csv.writer(stream, delimiter=";", lineterminator="\r\n").writerows(rows)
    again = load_dataset(tmp_path / "semicolon.csv", label="Species")
    assert torch.equal(again.train_x, wanted.train_x)
    assert again.columns == wanted.columns
    (tmp_path / "latin.csv").write_bytes("size,label\n1,café\n2,b\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"it is not UTF-8\. Save it as UTF-8"):
        load_dataset(tmp_path / "latin.csv")
    (tmp_path / "short.csv").write_text("size,label\n1,a\n2\n")
    with pytest.raises(
        ValueError, match=r"cannot read '.*short.csv' as csv: row 2 \(line 3\) has 1 cell, the header 2: '2'"
    ):
        load_dataset(tmp_path / "short.csv")


def test_folders_of_tables_and_dropped_columns(tmp_path: Path) -> None:
    for part, seed in (("train", 0), ("test", 1)):
        write(tmp_path / "set" / f"{part}.tsv", penguins(60, seed=seed))
    config = TrainConfig(data=str(tmp_path / "set"), drop="Comments, Stage", **OPTIONS)
    train(config, tmp_path / "run")
    info = Classifier.load(tmp_path / "run").info
    assert not any(name.startswith(("Comments", "Stage")) for name in info.columns or ())
    scores = evaluate(Classifier.load(tmp_path / "run"), data=tmp_path / "set" / "test.tsv")
    assert scores["scores"]["samples"] == 60
    assert scores["notes"] == []


TEXTS = ["lost card again", "pay the bill now", "my card is lost", "the bill was paid"] * 10


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["text", "review"])
def test_texts_and_their_lines(tmp_path: Path, form: str, name: str) -> None:
    table = {name: [f"{text} number {i}" for i, text in enumerate(TEXTS)], "label": ["card", "bill"] * 20}
    file = write(tmp_path / f"t{form}", table)
    train(TrainConfig(data=str(file), epochs=2, method="linear-ce", accelerator="cpu", threads=1), tmp_path / "run")
    assert Classifier.load(tmp_path / "run").info.kind == "text"
    good, bad, _ = predicted(tmp_path / "run", write(tmp_path / f"n{form}", {name: ["my card", "  ", "1234", None]}))
    texts = form in (".csv", ".tsv")  # where NA is a text like any other
    assert len(good) == 2 + texts
    assert all("an empty text" in reason for reason in bad.values())
    numbers = write(tmp_path / f"m{form}", {name: [12, 0, 345]})
    assert len(predicted(tmp_path / "run", numbers)[0]) == 3
    lines = tmp_path / "lines.txt"
    lines.write_bytes("one\u2028still one\rtwo\x0bstill two\r\nthree\x85still three\n\x1cfour".encode())
    assert len(predicted(tmp_path / "run", lines)[0]) == 4
    with pytest.raises(ValueError, match="row 2: it has no text"):
        load_dataset(write(tmp_path / f"hole{form}", changed(table, **{name: [table[name][0], " ", *table[name][2:]]})))


def test_the_commands_say_what_they_did(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path / "penguins.csv", penguins())
    code, _, err = run(capsys, "train", file, "-o", tmp_path / "run")
    assert code
    assert "no column 'label'" in err
    assert "Name the one to learn with --label COLUMN" in err
    options = ("--label", "Species", "--epochs", 2)
    code, out, err = run(capsys, "train", file, "-o", tmp_path / "run", *options)
    assert code == 0
    assert "column 'Individual ID' is left out" in out + err
    table = changed(NEW, Species=None, more=list(range(20)), Island=["Elsewhere", *NEW["Island"][1:]])
    code, out, err = run(capsys, "predict", tmp_path / "run", write(tmp_path / "new.parquet", table))
    assert code == 0
    assert len(out.splitlines()) == 21
    assert "ignored: 'more'" in err
    assert "column 'Island': 1 value that training did not have, such as 'Elsewhere'" in err
    code, out, err = run(capsys, "evaluate", tmp_path / "run", "--data", file, "-o", tmp_path / "e", "--quiet")
    assert code == 0
    assert "Traceback" not in err
    few = ("--methods", "linear-ce,etf-la", "--seeds", 2, "--tune", "none", "--quiet", "-o", tmp_path / "c")
    code, out, err = run(capsys, "compare", file, *options[:4], *few)
    assert code == 0
    assert "column 'Individual ID' is left out" in out + err
    assert (tmp_path / "c" / "report.html").exists()


@pytest.mark.parametrize("texts", [False, True])
def test_the_columns_are_in_the_exported_file(tmp_path: Path, capsys: pytest.CaptureFixture[str], texts: bool) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    file = write(tmp_path / "p.csv", penguins())
    drop = {} if texts else {"drop": "Comments"}
    train(TrainConfig(data=str(file), **OPTIONS, **drop), tmp_path / "run")
    code, out, _ = run(capsys, "export", tmp_path / "run", "-o", tmp_path / "m.onnx")
    assert code == 0
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    (taken,) = session.get_inputs()
    if texts:
        assert (taken.name, taken.shape[1]) == ("x", 115)
        assert "x are the numbers that the reader makes of a row" in out
        return
    assert (taken.name, taken.type, taken.shape[1]) == ("columns", "tensor(double)", 8)
    table = penguins(40, seed=9)
    described = json.loads(session.get_modelmeta().custom_metadata_map["columns"])
    rows = []
    for column in described:  # by hand, from what the metadata says
        values = table[column["name"]]
        if column["kind"] == "category":
            place = {level: i for i, level in enumerate(column["levels"])}
            rows.append([np.nan if v is None else place.get(v, -1) for v in values])
        elif column["kind"] == "date":
            rows.append([(v - datetime.date(1970, 1, 1)).days * 86400 for v in values])
        else:
            rows.append([np.nan if v is None else float(v) for v in values])
    _, found = session.run(None, {"columns": np.array(rows, dtype=np.float64).T})
    expected = predicted(tmp_path / "run", write(tmp_path / "new.parquet", changed(table, Species=None)))[0]
    np.testing.assert_allclose(found, list(expected.values()), atol=1e-5)


def raw_file(package: str, *parts: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        pytest.skip(f"{package} is not installed")
    return Path(next(iter(spec.submodule_search_locations))).joinpath(*parts)


PUBLIC = {
    "penguins-raw": (("palmerpenguins", "data", "penguins-raw.csv"), "Species", 344, 95.0),
    "penguins": (("palmerpenguins", "data", "penguins.csv"), "species", 344, 95.0),
    "seattle-weather": (("vega_datasets", "_data", "seattle-weather.csv"), "weather", 1461, 55.0),
}


@pytest.mark.parametrize("name", PUBLIC)
def test_public_files_without_a_line_of_preparation(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place, label, rows, least = PUBLIC[name]
    file = raw_file(*place)
    few = ("--methods", "linear-ce,etf-la", "--seeds", 2, "--tune", "none", "--epochs", 2, "--quiet")
    assert run(capsys, "compare", file, "--label", label, *few, "-o", tmp_path / "c")[0] == 0
    assert run(capsys, "train", file, "--label", label, "--epochs", 8, "--quiet", "-o", tmp_path / "run")[0] == 0
    code, out, _ = run(capsys, "predict", tmp_path / "run", file, "--quiet")
    assert code == 0
    assert len(out.splitlines()) == rows + 1
    assert json.loads((tmp_path / "run" / "results.json").read_text())["test"]["accuracy"] > least
    pytest.importorskip("onnxscript")
    code, out, err = run(capsys, "export", tmp_path / "run", tmp_path / "model.onnx")
    assert code == 0, err
    assert "wrote" in out


def test_seconds_since_1970_are_exact_in_the_exported_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An exporter that rounds numbers to float32 would move them by a minute."""
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    generator = np.random.default_rng(0)
    label = np.arange(90) % 3
    columns = {"t": 1_700_000_000 + 10 * label + generator.integers(0, 4, 90), "p": 5_400_000 + generator.random(90)}
    table = {name: values.tolist() for name, values in columns.items()} | {"label": [f"c{k}" for k in label]}
    file = write(tmp_path / "seconds.csv", table)
    train(TrainConfig(data=str(file), method="linear-la", epochs=30, accelerator="cpu"), tmp_path / "run")
    assert run(capsys, "export", tmp_path / "run", "-o", tmp_path / "m.onnx")[0] == 0
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    _, found = session.run(None, {"columns": np.stack(list(columns.values()), 1).astype("f8")})
    assert (found.argmax(1) == label).mean() > 0.9


def test_parts_of_other_forms_are_read_and_a_validation_file_is_told(tmp_path: Path) -> None:
    rows = {"x": [float(i) for i in range(30)], "label": ["a", "b"] * 15}
    write(tmp_path / "train.parquet", rows)
    write(tmp_path / "test.csv", {"x": [1.5, 2.5], "label": ["a", "b"]})
    write(tmp_path / "val.csv", rows)
    data = load_dataset(tmp_path)
    assert (len(data.train_y), len(data.test_y)) == (30, 2)
    assert any(note.startswith("val.csv is not read: validation data is taken") for note in data.notes)
