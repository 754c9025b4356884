"""Records there and back, files of format 1, and what is refused."""

import json
import math
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from equiangular.heads import ETFHead
from equiangular.records import (
    COLUMNS,
    Answer,
    Comparison,
    Contrast,
    DataSummary,
    Estimate,
    Needed,
    Row,
    TrialRecord,
    Tuned,
    from_json,
    pack,
    to_json,
    unpack,
)

DIGITS = Path(__file__).parent / "golden" / "digits_format_1.json"
NAN = math.nan


def comparison() -> Comparison:
    contrast = Contrast(
        "etf-la", "linear-la", "primary", "none", 81.0, 80.5, 0.5, -0.5, 1.5, -0.4, 1.4, 0.95, 0.3, None, 5, 100,
        "cannot tell",
    )  # fmt: skip
    words = ("cannot tell", "Cannot tell", "On x ...", "(...)", "etf-la", "linear-la")
    answer = Answer(*words, contrast, [], Needed(2.0, 40, None), 1.0)
    measures = {key: Estimate(81.0, NAN, [81.0]) for key, _, _ in COLUMNS}
    trial = TrialRecord("etf-la", "ETF", "fixed", "ab", 0, 1, scores={"few": NAN}, correction={"declined": "why"})
    return Comparison(
        {"seeds": 5},
        DataSummary("x", ["a", "b"], samples={"test": 100}, digest={"test labels": "00"}),
        "mlp",
        [Row("etf-la", "ETF", "fixed", "paper", 1, measures)],
        answer,
        [trial],
        tuning={"etf-la": Tuned({"learning_rate": 0.1}, {"etf-la": 70.0}, 8, 1.5)},
        provenance={"commit": None},
    )


def test_there_and_back_through_a_file() -> None:
    record = comparison()
    text = json.dumps(to_json(record), allow_nan=False)
    again = from_json(Comparison, {**json.loads(text), "checksum": "sha256:"})  # of a file that json has read
    assert to_json(again) == to_json(record)
    assert isinstance(again.answer, Answer)
    assert isinstance(again.answer.contrast, Contrast)
    assert again.answer.sentence == record.answer.sentence
    assert math.isnan(again.runs[0].scores["few"])
    assert math.isnan(again.row("etf-la").measures["few"].ci95)
    with pytest.raises(KeyError):
        again.row("etf-ce")


def change(values: dict, path: tuple, value: object) -> dict:
    inner = values
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    return values


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("format",), 3, "of format 3, and this version of equiangular reads format 2"),
        (("format",), None, "of format None"),
        (("backbone",), 7, r"Comparison\.backbone must be str, got 7"),
        (
            ("rows", 0, "kind"),
            "best",
            r"rows\.kind must be one of 'fixed', 'mapped', 'learned', 'computed', got 'best'",
        ),
        (("rows", 0, "n"), 1.5, r"rows\.n must be int, got 1\.5"),
        (("rows", 0, "n"), True, r"rows\.n must be int, got True"),
        (("rows", 0, "measures", "few", "mean"), "high", r"measures\['few'\]\.mean must be float"),
        (("answer", "verdict"), "maybe", "verdict must be one of"),
        (("answer", "colour"), "red", "Comparison.answer has an unknown field 'colour'"),
        (("runs",), {}, r"Comparison\.runs must be"),
        (("runs", 0), "text", r"Comparison\.runs must be an object, got str"),
    ],
)
def test_what_does_not_fit_is_named(path: tuple, value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        from_json(Comparison, change(to_json(comparison()), path, value))


def test_what_is_missing_is_named() -> None:
    values = to_json(comparison())
    del values["rows"][0]["label"]
    with pytest.raises(ValueError, match=r"Comparison\.rows is incomplete: .*'label'"):
        from_json(Comparison, values)
    with pytest.raises(ValueError, match="of format None"):
        from_json(Comparison, [1, 2])


def test_a_comparison_of_format_1_is_read_and_its_verdict_dropped() -> None:
    old = json.loads(DIGITS.read_text(encoding="utf-8"))
    assert old["format"] == 1
    record = from_json(Comparison, old)
    assert {row.method for row in record.rows} == set(old["table"])
    for row in record.rows:
        for key, _, _ in COLUMNS:
            values = old["table"][row.method][key]["values"]
            assert row.measures[key].values == [NAN if value is None else value for value in values]
    assert len(record.runs) == len(old["runs"])
    assert record.runs[0].scores["balanced_accuracy"] == old["runs"][0]["balanced_accuracy"]
    assert record.answer is None
    assert "earlier version" in record.notes[0]
    assert to_json(from_json(Comparison, to_json(record))) == to_json(record)
    with pytest.raises(ValueError, match="no comparison of format 1: KeyError"):
        from_json(Comparison, {"format": 1})


@given(st.lists(st.booleans(), max_size=70))
def test_truth_values_as_text(values: list[bool]) -> None:
    assert unpack(pack(values), len(values)) == values


def test_truth_values_that_are_missing() -> None:
    with pytest.raises(ValueError, match="8 truth values where 9 are expected"):
        unpack(pack([True] * 8), 9)


def test_records_need_no_torch() -> None:
    code = "import sys, equiangular.records; print('torch' in sys.modules, 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.split() == ["False"] * 2


def test_the_kind_of_a_record_is_that_of_a_head() -> None:
    assert {f.name for f in fields(TrialRecord)} >= {"kind", "head_parameters"}
    assert ETFHead(4, 3).kind == "fixed"
