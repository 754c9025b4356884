"""What a table says that its owner may not mean, and numbers that do not fit."""

from __future__ import annotations

import datetime
import warnings

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from equiangular.data import from_arrays, load_dataset
from equiangular.data.cells import DATE_FORMATS, as_seconds, as_spans, parsed_dates
from equiangular.data.columns import Columns
from equiangular.data.doubts import nearly_numbers
from equiangular.data.fit_columns import fit_columns
from equiangular.data.labels import read_labels


def kinds(values, **more):
    columns, notes = fit_columns(pa.table({"c": values, "n": list(range(len(values))), **more}))
    return {c.name: c.kind for c in columns.columns}.get("c", "left out"), [n for n in notes if "'c'" in n]


NEARLY = {
    "decimal commas": ["1,5", "2,25", "3,125"],
    "thousands": ["1,250", "2,500,000", "12"],
    "blanks": ["1 250", "2\u00a0500", "3\u202f125"],
    "dollars": ["$5", "$1,200.50", "-$3"],
    "euros": ["5 €", "1.200,50 EUR", "3€"],
    "percent": ["5%", "12.5 %", "100%"],
    "one word": ["5", "7", "12", "unknown"],
    "one dash": ["1.5", "2.5", "-"],
    "times": ["8:30", "9:15", "10:00", "late"],
}


@pytest.mark.parametrize("case", NEARLY)
@pytest.mark.parametrize("repeats", [1, 30])
def test_what_is_nearly_a_number_is_told(case, repeats):
    found, notes = kinds(NEARLY[case] * repeats)
    assert found in ("category", "text", "left out")
    assert [("look like" in note and "Write " in note) for note in notes if "look like" in note] == [True]


@pytest.mark.parametrize("values", [["red", "7", "blue"], ["A12", "B7", "C9"], ["007", "012", "101"], ["5", "6"]])
def test_what_is_no_number_is_not_told(values):
    assert not [note for note in kinds(values * 10)[1] if "look like" in note]


@pytest.mark.parametrize("kind", ["text", "int64", "uint64", "decimal"])
def test_whole_numbers_beyond_float64_are_told_once(kind):
    values = [2**60 + i for i in range(100)]
    column = {
        "text": pa.array(map(str, values)), "int64": pa.array(values), "uint64": pa.array(values, pa.uint64()),
        "decimal": pa.array(values, pa.decimal128(20)),
    }[kind]  # fmt: skip
    table = pa.table({"n": column})
    notes = [note for note in fit_columns(table)[1] if "float32 keeps" in note]
    held = len(np.unique(np.array(values, dtype=np.float64).astype(np.float32)))
    assert notes == [f"column 'n': float32 keeps {held} of 100 different values; scale it, or take an offset off"]
    # As an identifier it is one by its values, however large they are.
    with pytest.raises(ValueError, match="an identifier, by its name and its values"):
        fit_columns(table.rename_columns(["id"]))


def test_arrays_are_told_of_too():
    x = np.stack([2**60 + np.arange(40), np.arange(40)], 1)
    notes = from_arrays(x, [0, 1] * 20).notes
    assert sum("column 0: float32 keeps 1 of 40" in note for note in notes) == 1
    assert not any("column 1" in note for note in notes)


@pytest.mark.parametrize("value", [1e300, -1e39, np.inf])
def test_numbers_beyond_float32_are_refused_by_row_without_a_warning(tmp_path, value):
    numbers = [1.0, 2.0, value, *range(20)]
    labels = (["a", "b"] * 12)[: len(numbers)]
    what = "is infinite" if np.isinf(value) else r"holds -?1e\+\d+, beyond the 3.4e\+38 that float32 can hold"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for as_text in (False, True):
            column = list(map(str, numbers)) if as_text else numbers
            table = pa.table({"x": column, "label": labels})
            pq.write_table(table, tmp_path / "t.parquet")
            with pytest.raises(ValueError, match=rf"row 3: column 'x' {what}"):
                load_dataset(tmp_path / "t.parquet")
            fitted = fit_columns(pa.table({"x": [1.0, 2.0, 4.0]}))[0]
            encoded = fitted.encode(table.select(["x"]))
            assert list(encoded.bad) == [2]
            with pytest.raises(ValueError, match=what):
                raise ValueError(encoded.bad[2])
            assert torch.isfinite(torch.from_numpy(encoded.values)).all()
        with pytest.raises(ValueError, match="train_x: row 3, column 0 is"):
            from_arrays(np.array(numbers)[:, None], labels)


SECONDS = [30645.0, 0.5, 86399.0, 3600.0]
UNITS = [pa.time64("us"), pa.time64("ns"), pa.duration("ms"), pa.duration("ns"), pa.duration("us")]


@pytest.mark.parametrize("unit", UNITS, ids=str)
def test_times_are_seconds_in_every_unit_and_as_texts(unit):
    per = {"ms": 10**3, "us": 10**6, "ns": 10**9}[unit.unit]
    column = pa.array([int(s * per) for s in SECONDS] + [None], pa.int64()).cast(unit)
    np.testing.assert_array_equal(as_spans(column, "t")[0], [*SECONDS, np.nan])
    columns = fit_columns(pa.table({"t": column}))[0]
    assert columns.columns[0].kind == "time"
    texts = ["08:30:45", "00:00:00.5", "23:59:59", "1:00", "NA"]
    given = pa.table({"t": texts})
    np.testing.assert_array_equal(columns.encode(given).values, columns.encode(pa.table({"t": column})).values)
    again = fit_columns(given)[0]
    assert again == columns
    assert Columns.from_dict(again.as_dict()) == columns
    assert columns.encode(pa.table({"t": ["soon"]})).bad == {0: "column 't' holds 'soon', not a time"}
    for other in ([5], [datetime.date(2020, 1, 1)]):
        with pytest.raises(ValueError, match="not times of day or spans of time"):
            columns.encode(pa.table({"t": other}))
    with pytest.raises(ValueError, match="not numbers"):
        fit_columns(pa.table({"t": [1.0, 2.0]}))[0].encode(pa.table({"t": column}))


def test_spans_as_pandas_and_python_write_them(tmp_path):
    pd = pytest.importorskip("pandas")
    seconds = [1.5, -3700.0, 90061.25, 172800.0]
    spans = pd.Series(pd.to_timedelta(seconds, unit="s"))
    pd.DataFrame({"t": spans}).to_csv(tmp_path / "t.csv", index=False)
    for texts in (
        spans.astype(str),
        [str(datetime.timedelta(seconds=s)) for s in seconds],
        [pd.Timedelta(seconds=s).isoformat() for s in seconds if s > 0] + ["-PT1H1M40S"],
        (tmp_path / "t.csv").read_text().split("\n")[1:-1],
    ):
        found, bad = as_spans(pa.array(list(texts)), "t")
        assert not bad
        assert sorted(found) == sorted(seconds)
    np.testing.assert_array_equal(as_spans(pa.array(["12:05 AM", "12:05 pm", "1:00 PM"]), "t")[0], [300, 43500, 46800])


FORMS = {
    "text": lambda v: pa.array([f"{x:.1f}" for x in v]), "float": lambda v: pa.array(v, pa.float64()),
    "decimal": lambda v: pa.array([f"{x:.1f}" for x in v]).cast(pa.decimal128(6, 1)),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_numbers_as_labels_have_one_rule_in_every_form(form):
    codes, names = read_labels(FORMS[form]([2.0, 10.0, 2.0]), "label", None)
    assert (codes.tolist(), names) == ([0, 1, 0], ["2", "10"])
    with pytest.raises(ValueError, match=r"column 'label' holds 2.5: a class for every number .*'n2.5'"):
        read_labels(FORMS[form]([2.0, 2.5]), "label", None)


def test_labels_that_are_names_stay_as_they_stand():
    for names in (["01.5", "2.0"], ["v1.0", "2.0"], ["001", "1"], ["1.2.3", "1.2"]):
        assert sorted(read_labels(pa.array(names), "label", None)[1]) == sorted(names)
    assert read_labels(pa.array([" a", "a ", "a"]), "label", None)[1] == ["a"]


def test_missing_values_beside_numbers_are_no_class(tmp_path):
    codes, names = read_labels(pa.array(["2", "NA", "10", "nan"]), "label", None)
    assert (codes.tolist(), names) == ([0, -1, 1, -1], ["2", "10"])
    assert read_labels(pa.array(["NA", "DE"]), "label", None)[1] == ["DE", "NA"]  # Namibia
    for text, message in (
        ("3750", "row 2 has no label"),
        ("39.1", "column .label. holds 39.1: a class for every number"),
    ):
        (tmp_path / "t.csv").write_text(f"x,label\n1,{text}\n2,NA\n3,2\n")
        with pytest.raises(ValueError, match=message):
            load_dataset(tmp_path / "t.csv")


def labelled(labels):
    return pa.table({"x": np.arange(len(labels), dtype=float), "label": labels})


def test_a_quantity_for_labels_is_refused_or_told():
    draw = np.random.default_rng(0)
    mass = (2700 + 25 * draw.integers(0, 144, 342)).tolist()  # as the body mass of the penguins, a few rows a value
    notes = load_dataset(labelled(mass)).notes
    assert sum("different whole numbers" in note and "Is it a quantity?" in note for note in notes) == 1
    once = list(range(0, 3000, 10)) + [0, 10] * 3
    with pytest.raises(ValueError, match=r"300 different numbers in 306 samples, a quantity rather than classes.*'n0'"):
        load_dataset(labelled(once))
    for good in (list(range(100)) * 5, [1990 + i for i in range(15)] * 6, list(map(str, range(40))) * 6):
        assert not any("quantity" in note or "classes for" in note for note in load_dataset(labelled(good)).notes)
    words = [f"name {i}" for i in range(60)] + ["name 0"] * 6
    assert any("60 classes for 66 samples" in note for note in load_dataset(labelled(words)).notes)


def test_cells_that_look_like_rows_are_told(tmp_path):
    """A stray quote that another stray one closes in front of a comma: no rule of CSV says what was meant."""
    lines = ["size,note,label", *(f"{i},calm,{'ab'[i % 2]}" for i in range(60)), '60,"calm,a', '61,6",b']
    (tmp_path / "t.csv").write_text("\n".join(lines))
    found = load_dataset(tmp_path / "t.csv")
    assert any("'note': 1 cell goes over several lines, the first in row 61" in note for note in found.notes)
    lines[-2:] = ['60,calm,"a', '61,calm,b"']
    (tmp_path / "t.csv").write_text("\n".join(lines))
    with pytest.raises(ValueError, match=r"the label of row 61 goes over several lines: 'a\\n61,calm,b'"):
        load_dataset(tmp_path / "t.csv")
    addresses = [f"{i} Main St, Town\nState, {i}" for i in range(60)]
    table = pa.table({"where": addresses, "label": ["a", "b"] * 30})
    pq.write_table(table, tmp_path / "t.parquet")
    assert not any("several lines" in note for note in load_dataset(tmp_path / "t.parquet").notes)


DATES = ["2020-01-05", "2020-02-28", "2020-03-31", "2021-07-04"]


@pytest.mark.parametrize("odd", ["unknown", "?", "0000-00-00", "2021-02-30", "2020-1-5"])
def test_a_date_that_is_none_among_dates_is_told(odd: str) -> None:
    (told,) = nearly_numbers(pa.array([*DATES, odd]), "day", "read as words")
    looks = 5 if odd[4:5] + odd[7:8] == "--" else 4
    assert told.startswith(f"column 'day': {looks} of its 5 different values look like dates, but {odd!r} is not")
    assert "Write all of them alike, as 2020-03-31" in told


@pytest.mark.parametrize(
    ("text", "formats"),
    [
        ("20/03/15", {"%d/%m/%y"}),
        ("03/20/15", {"%m/%d/%y"}),
        ("13/05/2021", {"%d/%m/%Y"}),
        ("31/02/2021", set()),
        ("15.03.20", {"%d.%m.%y"}),
        ("15.3.2020", {"%d.%m.%Y"}),
        ("20-03-15", set()),
        ("15 Mar 20", {"%d %b %y"}),
        ("15 Mar 2020", {"%d %b %Y"}),
        ("March 2020", set()),
        ("March 5, 2020", {"%B %d, %Y"}),
        ("2020/03/15", {"%Y/%m/%d"}),
        ("2021-02-30", set()),
        ("2020-02-29", {""}),
        ("29.02.2021", set()),
        ("15/03/2020 03:04", {"%d/%m/%Y %H:%M"}),
        ("15/03/20 03:04", set()),
    ],
)
def test_a_text_is_a_date_of_one_way_of_writing(text: str, formats: set[str]) -> None:
    """Two digits are no year of four, and a day that its month does not have is no day of the next."""
    assert {form for form in DATE_FORMATS if parsed_dates(pa.array([text, None]), form) is not None} == formats
    for none in ("13:00 PM", "-1:00 PM", "1 days 1:00 PM"):
        assert list(as_spans(pa.array([none, "8:30"]), "t")[1]) == [0]


@pytest.mark.parametrize(
    ("form", "other", "wanted"),
    [("", "31.12.2020", "2020-12-31"), ("%d.%m.%Y", "2020-12-31", "31.12.2020"), ("%m/%d/%Y", "1.2.20", "12/31/2020")],
)
def test_a_date_in_another_form_names_the_form_of_training(form: str, other: str, wanted: str) -> None:
    _, bad = as_seconds(pa.array([wanted, other]), "when", form)
    assert bad == {1: f"column 'when' holds {other!r}, not a date as in training, such as {wanted}"}
