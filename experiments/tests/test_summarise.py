"""``python -m experiments summarise`` as a user meets it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from equiangular._files import read_json, write_json
from equiangular.cli import main
from experiments.studies.compact import compact
from experiments.tests.synthetic import drawn


def run(capsys: pytest.CaptureFixture, *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        main(["summarise", *arguments], commands="experiments.commands.app", program="python -m experiments")
    captured = capsys.readouterr()
    return int(stop.value.code or 0), captured.out, captured.err


def test_tables_and_figures_of_two_studies(capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", compact(drawn("a", 0)))
    (tmp_path / "b").mkdir()
    write_json(tmp_path / "b" / "results.json", drawn("b", 1, imbalances=(10,)))
    code, out, _ = run(capsys, str(tmp_path / "a.json"), str(tmp_path / "b"), "-o", str(tmp_path / "out"))
    assert code == 0
    for words in ("both chosen on validation data", "Effect on balanced accuracy", "critical difference"):
        assert words in " ".join(out.split())
    figures = {"effects.png", "fixed_against_learnable.png", "ranking.png"}
    assert set(os.listdir(tmp_path / "out")) == {"summary.json", "summary.md", *figures}
    summary = read_json(tmp_path / "out" / "summary.json")
    assert [one["name"] for one in summary["data_sets"]] == ["a", "a, imbalance 100", "b, imbalance 10"]
    assert summary["provenance"]["versions"]["equiangular"]


def test_without_a_folder_nothing_is_written(
    capsys: pytest.CaptureFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_json(tmp_path / "a.json", drawn("a", 0))
    monkeypatch.chdir(tmp_path)
    code, out, _ = run(capsys, "a.json", "a.json")
    assert code == 0
    assert "left out, the same data at the same imbalance factor: a, a, imbalance 100" in out
    assert os.listdir(tmp_path) == ["a.json"]


def test_help(capsys: pytest.CaptureFixture) -> None:
    code, out, _ = run(capsys, "--help")
    assert code == 0
    assert "RESULTS..." in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.json"], "cannot read 'missing.json'"),
        (["foreign.json"], "'foreign.json' is not the results of a study"),
        (["."], "'foreign.json' is not the results of a study"),
        (["empty"], "no results in the folder 'empty'"),
        ([], "Missing argument"),
        (["good.json", "-o", "foreign.json"], "cannot write to the output folder"),
    ],
)
def test_errors_teach_and_show_no_traceback(
    capsys: pytest.CaptureFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    write_json("foreign.json", {"format": 1, "config": {}})
    write_json("good.json", drawn("a", 0))
    code, out, err = run(capsys, *arguments)
    assert code == 2
    assert message in err
    assert "Traceback" not in out + err
