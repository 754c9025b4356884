from __future__ import annotations

import json

import pytest

from equiangular._files import read_json, write_json
from experiments.studies.across import summarise_across
from experiments.studies.compact import compact, read_studies
from experiments.tests.synthetic import COSINE, ETF, drawn, part_of, results_of


def test_what_is_kept_and_what_is_dropped():
    results = drawn("letter", 0)
    small = compact(results)
    assert small["study"] == results["study"]
    assert small["provenance"] == results["provenance"]
    for part, full in zip(small["parts"], results["parts"], strict=True):
        assert "runs" not in part
        assert part["settings"] == full["settings"]  # not rounded: validation scores decide
        assert part["trained"] == {"backbone": "mlp", "classes": 2, "samples": 55}
        for name, row in part["table"].items():
            values = full["table"][name]["balanced_accuracy"]["values"]
            assert row["balanced_accuracy"]["values"] == [float(f"{v:.3e}") for v in values]
            assert row["nc1"]["mean"] == 0.1235
            assert row["seconds"]["mean"] == 2.5
    assert len(json.dumps(small)) < len(json.dumps(results)) / 2


def test_what_was_committed_says_what_the_results_say(tmp_path):
    results = [drawn(name, i, imbalances=(1,)) for i, name in enumerate(("letter", "digits", "wine"))]
    write_json(tmp_path / "full.json", results[0])
    small = [compact(read_json(tmp_path / "full.json")), *map(compact, results[1:])]
    assert compact(small[0]) == small[0]
    full, brief = summarise_across(results), summarise_across(small)
    assert [m["name"] for m in brief["ranking"]["methods"]] == [m["name"] for m in full["ranking"]["methods"]]
    for one, other in zip(brief["contrasts"], full["contrasts"], strict=True):
        assert (one["fixed"], one["learnable"], one["verdict"]) == (
            other["fixed"],
            other["learnable"],
            other["verdict"],
        )
        assert one["mean_difference"] == pytest.approx(other["mean_difference"], abs=0.02)


def test_the_summary_is_made_anew_from_the_runs():
    part = part_of({ETF: [70.0, 72.0], COSINE: [71.0, 75.0]})
    stale = {**part, "table": {}, "effects": [], "contrast": None}
    again = compact(results_of("x", part) | {"parts": [stale]})["parts"][0]
    assert again["table"][ETF]["balanced_accuracy"]["mean"] == 71
    assert again["contrast"]["mean_difference"] == -2
    assert again["effects"][0]["mean_difference"] == -2


def test_a_part_in_which_everything_diverged_says_nothing_of_its_training():
    part = part_of({ETF: [70.0, 72.0]})
    part["runs"] = [{"method": ETF, "seed": s, "diverged": "x", "balanced_accuracy": None} for s in range(2)]
    small = compact(results_of("x", part))["parts"][0]
    assert small["trained"] is None
    assert small["table"][ETF]["balanced_accuracy"]["mean"] is None


def test_files_and_folders_are_found(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_json(tmp_path / name / "results.json", drawn(name, 0))
    write_json(tmp_path / "c.json", drawn("c", 0))
    names = lambda *paths: [r["study"]["name"] for r in read_studies(paths)]  # noqa: E731
    assert names(tmp_path) == ["a", "b", "c"]
    assert names(tmp_path / "b", tmp_path / "c.json") == ["b", "c"]
    assert names(str(tmp_path / "a" / "results.json")) == ["a"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1]", "no 'study'"),
        ('{"format": 1, "study": {}}', "no 'parts'"),
        ('{"format": 2, "study": {}, "parts": []}', "format 2; this version reads format 1"),
        ('{"format": 1, "study": {"name": "a"}, "parts": []}', "no 'data'"),
        ('{"format": 1, "study": {"name": "a", "data": "a"}, "parts": [{"table": {}}]}', "no 'settings'"),
        ("not json", "is not a JSON file"),
    ],
)
def test_foreign_files(tmp_path, content, message):
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(ValueError, match=message) as error:
        read_studies([tmp_path / "x.json"])
    assert "x.json" in str(error.value)


def test_nothing_to_read(tmp_path):
    with pytest.raises(ValueError, match="No such file"):
        read_studies([tmp_path / "missing.json"])
    with pytest.raises(ValueError, match="no results in the folder"):
        read_studies([tmp_path])
    with pytest.raises(ValueError, match="no results were given"):
        read_studies([])
    with pytest.raises(ValueError, match="this dictionary is not the results of a study"):
        compact({})
