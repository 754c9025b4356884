"""The table, the figure and the page, from a study small enough for a test."""

import re
from pathlib import Path

import pytest

from equiangular.compare import COLUMNS, configure, run_study
from equiangular.report import (
    comparison_figure,
    comparison_page,
    comparison_table,
    curves_figure,
    format_cell,
    save_figure,
)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict:
    config = configure("digits", imbalance=20, seeds=2, epochs=1, methods=("linear-ce", "etf-dr", "etf-dr-pc"))
    return run_study(config, tmp_path_factory.mktemp("study"))


def test_the_page_is_self_contained_and_says_the_answer(results: dict) -> None:
    page = comparison_page(results, COLUMNS)
    assert results["answer"]["sentence"].split("%")[0].split("&")[0][:40] in page
    assert "<svg" in page
    fetched = re.findall(r"(?:src|href)\s*=\s*[\"'](?!#)[^\"']*[\"']|@import|url\((?!#)[^)]*\)", page)
    assert not [f for f in fetched if "xlink" not in f and not f.startswith(('href="#', "url(#"))]
    for row in results["table"].values():
        assert row["label"] in page
        mean_and_interval = format_cell(row["balanced_accuracy"], "balanced_accuracy")
        assert mean_and_interval in page.replace("\N{NO-BREAK SPACE}", " ")  # a line may break before ± only


def test_names_are_escaped(results: dict) -> None:
    odd = {**results, "data": {**results["data"], "source": "<script>alert(1)</script>"}}
    assert "<script>alert" not in comparison_page(odd, COLUMNS)


def test_the_figure_shows_every_run(results: dict, tmp_path: Path) -> None:
    figure = comparison_figure(results)
    left = figure.axes[0]
    assert [t.get_text() for t in left.get_yticklabels()] == [r["label"] for r in results["table"].values()][::-1]
    drawn = sorted(x for line in left.lines if line.get_alpha() for x in line.get_xdata())
    assert drawn == sorted(v for r in results["table"].values() for v in r["balanced_accuracy"]["values"])
    assert save_figure(figure, tmp_path / "f.png").read_bytes().startswith(b"\x89PNG")


def test_the_curves_are_those_of_the_first_run(results: dict) -> None:
    figure = curves_figure(results)
    for axis, key in zip(figure.axes, ("nc1", "nc2_equiangular", "nc3"), strict=True):
        drawn = [list(line.get_ydata()) for line in axis.lines]
        runs = [r for r in results["runs"] if r["seed"] == 0 and not r["method"].endswith("-pc")]
        assert drawn == [[p[key] for p in r["curve"] if p[key] > 0] for r in runs]
    assert all(not r["curve"] for r in results["runs"] if r["seed"])


def test_the_table_has_every_column(results: dict) -> None:
    table = comparison_table(results, COLUMNS)
    assert table.row_count == 3
    assert len(table.columns) == 1 + len(COLUMNS)


@pytest.mark.parametrize(
    ("cell", "key", "text"),
    [
        ({"mean": None, "ci95": None}, "few", "-"),
        ({"mean": float("nan"), "ci95": float("nan")}, "few", "-"),
        ({"mean": 650.0, "ci95": 0.0}, "head_parameters", "650"),
        ({"mean": 0.12345, "ci95": 0.01}, "nc1", "0.123 ± 0.010"),
        ({"mean": 50.0, "ci95": float("nan")}, "accuracy", "50.0"),
    ],
)
def test_cells(cell: dict, key: str, text: str) -> None:
    assert format_cell(cell, key) == text
