"""A column of labels gives the same class names from every form of file that a library writes it into."""

from __future__ import annotations

import datetime as dt

import pandas as pd
import pytest

from equiangular.data import load_dataset

DAY = dt.datetime(2020, 3, 31)
COLUMNS = {
    "days": ([DAY, DAY + dt.timedelta(days=1)], ("2020-03-31", "2020-04-01")),
    "seconds": (
        [DAY + dt.timedelta(hours=1), DAY + dt.timedelta(hours=2, seconds=5)],
        ("2020-03-31 01:00:00", "2020-03-31 02:00:05"),
    ),
    "parts of seconds": (
        [DAY + dt.timedelta(milliseconds=500), DAY + dt.timedelta(hours=2, milliseconds=25)],
        ("2020-03-31 00:00:00.5", "2020-03-31 02:00:00.025"),
    ),
    "dates": ([DAY.date(), dt.date(2021, 1, 1)], ("2020-03-31", "2021-01-01")),
    "times": ([dt.time(5), dt.time(0)], ("00:00:00", "05:00:00")),
    "whole numbers with points": ([1.0, 20.0], ("1", "20")),
    "no zero of two signs": ([-0.0, 3.0], ("0", "3")),
    "spans": ([dt.timedelta(hours=1), dt.timedelta(days=2)], ("0 days 01:00:00", "2 days 00:00:00")),
    "parts of a span": (
        [dt.timedelta(milliseconds=-500), dt.timedelta(days=2, seconds=3.25)],
        ("-1 days +23:59:59.500000", "2 days 00:00:03.250000"),
    ),
    "truths": ([True, False], ("False", "True")),
}

# pandas writes as many digits of seconds as the finest value of the column has, and -0 with its sign.
NOT_FROM_CSV = ("parts of seconds", "no zero of two signs")
FORMS = [(c, f) for c in COLUMNS for f in ("csv", "parquet", "feather") if f != "csv" or c not in NOT_FROM_CSV]


@pytest.mark.parametrize(("case", "form"), FORMS)
def test_names_do_not_depend_on_the_form(tmp_path, case, form) -> None:
    values, names = COLUMNS[case]
    table = pd.DataFrame({"x": range(40), "label": values * 20})
    file = tmp_path / f"t.{form}"
    getattr(table, f"to_{form}")(file, **({"index": False} if form == "csv" else {}))
    assert load_dataset(file).class_names == names


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_numbers_too_large_to_be_told_apart_are_refused_in_every_form(tmp_path, form) -> None:
    table = pd.DataFrame({"x": range(40), "label": [1e16, 2e16] * 20})
    getattr(table, f"to_{form}")(tmp_path / f"t.{form}", index=False)
    with pytest.raises(ValueError, match=r"holds 1e\+16: a class for every number is hardly meant"):
        load_dataset(tmp_path / f"t.{form}")


@pytest.mark.parametrize(
    ("values", "what"),
    [
        (["${}", "{}3,15"], "numbers, such as '\\$0'"),
        (["{:02d}:15", "09:{:02d}"], "times, such as "),
        (["2020-01-{:02d}", "{}.3.2021"], "dates, such as "),
        (["name {}", "other {}"], ""),
    ],
)
def test_a_quantity_for_a_label_is_told_from_too_few_samples(tmp_path, values, what) -> None:
    rows = [values[i % 2].format(i) for i in range(40)]
    pd.DataFrame({"x": range(40), "label": rows}).to_parquet(tmp_path / "t.parquet")
    other = r"its 40 labels are 40 different ones.*\. Is another column the label\? Of a"
    seen = f"the labels are 40 different texts in 40 samples that look like {what}.*: a quantity rather than classes"
    with pytest.raises(ValueError, match=seen if what else other):
        load_dataset(tmp_path / "t.parquet")


def test_a_blank_line_before_the_header(tmp_path) -> None:
    (tmp_path / "t.csv").write_text("\nx,label\n1,a\n2,b\n")
    with pytest.raises(ValueError, match="its first line is blank"):
        load_dataset(tmp_path / "t.csv")


@pytest.mark.parametrize("form", ["csv", "parquet"])
@pytest.mark.parametrize(
    ("values", "reason"),
    [({3: None, 10: "", 20: "  "}, "it has no text"), ({3: float("inf"), 10: -float("inf"), 20: 1e300}, "column 'x' ")],
)
def test_rows_that_cannot_be_read_are_all_listed_or_left_out(tmp_path, form, values, reason) -> None:
    good = [f"some words {i} here" if "text" in reason else float(i) for i in range(40)]
    rows = [values.get(i, value) for i, value in enumerate(good)]
    name = "text" if "text" in reason else "x"
    getattr(pd.DataFrame({name: rows, "label": list("ab") * 20}), f"to_{form}")(tmp_path / f"t.{form}", index=False)
    with pytest.raises(ValueError, match="3 of 40 rows cannot be read") as caught:
        load_dataset(tmp_path / f"t.{form}")
    assert all(f"row {row + 1}: {reason}" in str(caught.value) for row in values)
    left = load_dataset(tmp_path / f"t.{form}", skip_broken=True)
    assert len(left.train_y) + len(left.test_y) == 37
    assert len(left.reading.left_out) == 3
    kept = [value for i, value in enumerate(good) if i not in values]
    pd.DataFrame({name: kept, "label": [list("ab")[i % 2] for i in range(40) if i not in values]}).to_parquet(
        tmp_path / "kept.parquet"
    )
    expected = load_dataset(tmp_path / "kept.parquet")
    assert left.train_x.equal(expected.train_x)
    assert left.test_y.equal(expected.test_y)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_a_span_has_one_name_in_every_unit(tmp_path, unit) -> None:
    spans = pd.Series([dt.timedelta(hours=1), dt.timedelta(days=2)] * 20).astype(f"timedelta64[{unit}]")
    pd.DataFrame({"x": range(40), "label": spans}).to_parquet(tmp_path / "t.parquet")
    assert load_dataset(tmp_path / "t.parquet").class_names == ("0 days 01:00:00", "2 days 00:00:00")


def test_a_test_file_of_broken_rows_alone_says_why(tmp_path) -> None:
    pd.DataFrame({"x": range(40), "label": list("ab") * 20}).to_csv(tmp_path / "train.csv", index=False)
    pd.DataFrame({"x": [float("inf")] * 8, "label": list("ab") * 4}).to_csv(tmp_path / "test.csv", index=False)
    with pytest.raises(
        ValueError, match=r"no row of .*test.csv' can be read: .* row 1: column 'x' is infinite, .* 5 more"
    ):
        load_dataset(tmp_path, skip_broken=True)


@pytest.mark.parametrize("form", ["%Y-%m-%d", "%d.%m.%Y", "%Y-%m-%d %H:%M:%S", "%m/%d/%Y"])
def test_one_column_of_dates_is_a_table(tmp_path, form) -> None:
    days = [(DAY + dt.timedelta(days=9 * i, hours=i)).strftime(form) for i in range(40)]
    pd.DataFrame({"when": days, "label": list("ab") * 20}).to_csv(tmp_path / "t.csv", index=False)
    assert load_dataset(tmp_path / "t.csv").kind == "table"


@pytest.mark.parametrize("text", ["2020-03-31 the cat sat {}", "1 2 {} 4 5", "12.3.2020: paid {} euros"])
def test_texts_that_begin_with_a_date_or_hold_numbers_are_texts(tmp_path, text) -> None:
    pd.DataFrame({"said": [text.format(i) for i in range(40)], "label": list("ab") * 20}).to_csv(
        tmp_path / "t.csv", index=False
    )
    assert load_dataset(tmp_path / "t.csv").kind == "text"
