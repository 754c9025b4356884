"""The table and the figure, from a study small enough for a test; the page has tests of its own."""

from dataclasses import replace
from pathlib import Path

import pytest

from equiangular.compare import compare, configure
from equiangular.records import COLUMNS, Comparison, Estimate, from_json, to_json
from equiangular.report import comparison_figure, comparison_page, comparison_table, format_cell, save_figure

NAN = float("nan")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    methods = ("linear-ce", "etf-ce", "etf-dr", "etf-dr-pc", "recommended")
    config = configure("digits", imbalance=20, seeds=2, epochs=1, methods=methods, tune="quick")
    return compare(config, tmp_path_factory.mktemp("study"))


def test_names_are_escaped(results: Comparison) -> None:
    odd = replace(results, data=replace(results.data, source="<script>alert(1)</script>"))
    assert "<script>alert" not in comparison_page(odd)


def test_a_result_of_an_earlier_version_has_a_page(results: Comparison) -> None:
    old = from_json(Comparison, to_json(replace(results, answer=None, notes=["Written by an earlier version."])))
    assert "Written by an earlier version." in comparison_page(old)


def test_the_figure_shows_every_run_and_the_effect_with_its_margin(results: Comparison, tmp_path: Path) -> None:
    figure = comparison_figure(results)
    effect, left, _ = figure.axes
    assert [t.get_text() for t in left.get_yticklabels()] == [row.label for row in results.rows][::-1]
    drawn = sorted(x for line in left.lines if line.get_alpha() for x in line.get_xdata())
    assert drawn == sorted(v for row in results.rows for v in row.measures["balanced_accuracy"].values)
    (band,) = effect.patches
    assert (band.get_x(), band.get_x() + band.get_width()) == (-1.0, 1.0)
    contrasts = [results.answer.contrast, *results.answer.secondary]
    points = [line.get_xdata()[0] for line in effect.lines if line.get_marker() in "Do"]
    assert points == [contrast.difference for contrast in contrasts]
    assert save_figure(figure, tmp_path / "f.png").read_bytes().startswith(b"\x89PNG")


def test_the_table_has_every_column(results: Comparison) -> None:
    table = comparison_table(results)
    assert table.row_count == len(results.rows)
    assert len(table.columns) == 2 + len(COLUMNS)
    assert len(comparison_table(results, width=100).columns) == 2 + sum(unit == "%" for _, _, unit in COLUMNS)


@pytest.mark.parametrize(
    ("cell", "key", "text"),
    [
        (Estimate(NAN, NAN, []), "few", "-"),
        (Estimate(650.0, 0.0, []), "head_parameters", "650"),
        (Estimate(0.12345, 0.01, []), "nc1", "0.123 ± 0.010"),
        (Estimate(50.0, NAN, []), "accuracy", "50.0"),
    ],
)
def test_cells(cell: Estimate, key: str, text: str) -> None:
    assert format_cell(cell, key) == text
