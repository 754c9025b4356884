"""Tables and figures of several studies together: what they show is what was computed."""

from __future__ import annotations

import pytest
from matplotlib.patches import Rectangle

from equiangular._files import read_json, write_json
from experiments.report.across import (
    Grid,
    contrasts_grid,
    effects_grid,
    grids,
    ranking_grid,
    summary_markdown,
    verdicts_grid,
)
from experiments.report.across_figures import contrasts_figure, effects_figure, figures, ranking_figure
from experiments.studies.across import MARGIN, VERDICTS, summarise_across
from experiments.tests.synthetic import COSINE, ETF, LINEAR_CE, drawn, part_of, results_of


@pytest.fixture(scope="module")
def summary() -> dict:
    return summarise_across([drawn("a", 0), drawn("b", 1, head="etf-projected", imbalances=(10,)), drawn("c", 2)])


@pytest.fixture(scope="module")
def single() -> dict:
    return summarise_across([results_of("x", part_of({ETF: [70.0, 72.0], COSINE: [71.0, 77.0]}))])


def test_markdown_has_a_ruler_and_every_row() -> None:
    lines = Grid("t", ("a", "b", "c"), [("1", "2", "3"), ("4", "5", "6")], text=2).markdown().splitlines()
    assert lines == ["| a | b | c |", "|---|---|--:|", "| 1 | 2 | 3 |", "| 4 | 5 | 6 |"]


def test_every_effect_is_a_row(summary: dict) -> None:
    grid = effects_grid(summary)
    assert [row[:3] for row in grid.rows] == [(e["factor"], e["level"], e["reference"]) for e in summary["effects"]]
    etf = next(row for row in grid.rows if row[1] == "etf")
    effect = next(e for e in summary["effects"] if e["level"] == "etf")["overall"]
    assert etf[3] == f"{effect['mean_difference']:+.1f} ± {effect['ci95']:.1f}"
    assert etf[4] == "4"
    assert int(etf[5]) + int(etf[6]) + int(etf[7]) == 4
    assert etf[9] == "2"


def test_contrasts_and_verdicts(summary: dict) -> None:
    grid = contrasts_grid(summary, "validation")
    first = next(c for c in summary["contrasts"] if c["contrast"] == "validation")
    assert grid.rows[0][:3] == ("a", first["fixed"], first["learnable"])
    assert grid.rows[0][3] == f"{first['mean_difference']:+.1f} [{first['ci_low']:+.1f}, {first['ci_high']:+.1f}]"
    assert dict(zip(grid.headings, grid.rows[0], strict=True))["few"] == "-"  # no data set has few-shot classes
    assert contrasts_grid(summary, "validation", short=True).headings == grid.headings[:9]
    assert grid.rows[0][4] == first["verdict"]
    assert [int(row[1]) for row in verdicts_grid(summary).rows] == [v["n"] for v in summary["verdicts"]]
    counted = [dict(zip(verdicts_grid(summary).headings, row, strict=True)) for row in verdicts_grid(summary).rows]
    for row, found in zip(counted, summary["verdicts"], strict=True):
        assert [int(row[word].split()[0]) for word in VERDICTS] == [found[word] for word in VERDICTS]
    assert "within 1 point" in verdicts_grid(summary).title
    assert "over runs alone" in verdicts_grid(summary).title


def test_ranks(summary: dict, single: dict) -> None:
    grid = ranking_grid(summary)
    assert [row[0] for row in grid.rows] == [m["label"] for m in summary["ranking"]["methods"]]
    assert "over 5 data sets, on 1 of them the ETF behind a learned projection;" in grid.title
    assert ranking_grid(single) is None


def test_a_single_data_set_has_tables_without_intervals_over_data_sets(single: dict) -> None:
    assert [grid.title.split()[0] for grid in grids(single)] == ["Is", "Fixed", "Fixed", "Fixed", "Effect"]
    assert verdicts_grid(single).rows[0][-5:] == ("-3.0", "cannot tell", "-", "-3.0", "1")
    assert effects_grid(single).rows[0][3] == "-3.0"


def test_the_markdown_page_has_every_table(summary: dict, tmp_path) -> None:
    page = summary_markdown(summary)
    assert all(grid.markdown() in page and grid.title in page for grid in grids(summary))
    assert page.startswith("5 data sets: a (14 cells), a, imbalance 100 (14 cells)")
    twice = summarise_across([drawn("a", 0), drawn("a", 0)])
    assert "Left out, the same data at the same imbalance factor: a, a, imbalance 100." in summary_markdown(twice)
    write_json(tmp_path / "s.json", summary)
    assert summary_markdown(read_json(tmp_path / "s.json")) == page


def test_a_table_for_the_screen(summary: dict) -> None:
    table = effects_grid(summary).rich()
    assert table.row_count == len(summary["effects"])
    assert [column.justify for column in table.columns][:4] == ["left", "left", "left", "right"]


def test_the_forest_shows_every_effect_on_every_data_set(summary: dict) -> None:
    drawn_panels = {axes.get_title(): axes for axes in effects_figure(summary).axes if axes.get_title()}
    assert len(drawn_panels) == len(summary["effects"])
    for effect in summary["effects"]:
        axes = drawn_panels[f"{effect['factor']}: {effect['level']} − {effect['reference']}"]
        points = axes.containers[0].lines[0].get_xdata()
        assert list(points) == [p["mean_difference"] for p in effect["data_sets"]]
        diamonds = [patch.get_xy()[:, 0] for patch in axes.patches]
        if effect["overall"]["n"] < 3:
            assert not diamonds
        else:
            mean, half = effect["overall"]["mean_difference"], effect["overall"]["ci95"]
            assert (diamonds[0].min(), diamonds[0].max()) == pytest.approx((mean - half, mean + half))


def test_the_diagram_of_ranks_has_every_method_at_its_rank(summary: dict) -> None:
    (axes,) = ranking_figure(summary).axes
    ranking = summary["ranking"]
    texts = [text.get_text() for text in axes.texts]
    for method in ranking["methods"]:
        assert any(method["label"] in t and f"{method['mean_rank']:.2f}" in t for t in texts)
        assert any(line.get_xdata()[0] == method["mean_rank"] for line in axes.lines)
    bars = [line for line in axes.lines if line.get_linewidth() > 3]
    assert len(bars) == len(ranking["cliques"])
    assert f"critical difference {ranking['critical_difference']:.2f}" in texts


def test_fixed_against_learnable_data_set_by_data_set(summary: dict) -> None:
    figure = contrasts_figure(summary)
    for axes, verdict in zip(figure.axes, summary["verdicts"], strict=False):
        own = [c for c in summary["contrasts"] if c["contrast"] == verdict["contrast"]]
        assert [c.lines[0].get_xdata()[0] for c in axes.containers] == [c["mean_difference"] for c in own]
        assert all(f"{verdict[word]} {word}" in axes.get_title() for word in VERDICTS)
        bands = [patch for patch in axes.patches if isinstance(patch, Rectangle)]  # the diamond is a polygon
        assert [(band.get_x(), band.get_width()) for band in bands] == [(-MARGIN, 2 * MARGIN)]
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == list(VERDICTS)
    assert "over runs alone" in figure.get_suptitle()


def test_nothing_to_draw(single: dict) -> None:
    assert set(figures(single)) == {"effects", "fixed_against_learnable"}
    with pytest.raises(ValueError, match="two data sets and three cells"):
        ranking_figure(single)
    alone = summarise_across([results_of("x", part_of({LINEAR_CE: [70.0, 72.0]}))])
    assert figures(alone) == {}
    with pytest.raises(ValueError, match="single level of each factor"):
        effects_figure(alone)
    with pytest.raises(ValueError, match="both a fixed and a learnable cell"):
        contrasts_figure(alone)
