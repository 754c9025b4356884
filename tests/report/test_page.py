"""Pages: values as the records have them, nothing from outside, small enough; in a browser at three widths."""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.report.browser import THEMES, WIDTHS, chromium, needs_browser, opened
from tests.test_records import comparison as small_comparison

from equiangular.records import COLUMNS, Comparison, Details, Estimate, Row, TrialRecord, View, from_json, to_json
from equiangular.report.comparison import comparison_page, page_of, write_page
from equiangular.report.page import render, vega

KINDS = (("linear-la", "learnable linear + logit adjustment", "learned"), ("etf-la", "ETF + logit adjustment", "fixed"))


def made_up(num_classes: int, *, more: int = 0, seed: int = 0) -> Comparison:
    """A comparison of two methods and ``more`` others, its numbers drawn at random."""
    rng = np.random.default_rng(seed)
    names = [f"class {i} <&>" if i == 0 else f"class {i}" for i in range(num_classes)]
    counts = np.geomspace(500, 2, num_classes).round().astype(int).tolist()
    methods = [*KINDS, *((f"m{i}", f"method {i}", "fixed") for i in range(more))]
    rows, runs = [], []
    for method, label, kind in methods:
        measures = {key: Estimate(v := float(rng.uniform(40, 90)), 2.0, [v - 1, v + 1]) for key, _, _ in COLUMNS}
        accuracies = rng.uniform(0, 100, num_classes).tolist()
        rows.append(Row(method, label, kind, "paper", 2, measures, 80.0, per_class=accuracies))
        samples = rng.integers(0, num_classes, (3 * num_classes, 2))
        cells = [[int(a), int(b), 1] for a, b in {(int(a), int(b)) for a, b in samples}]
        bins = {"samples": [10, 0], "confidence": [40.0, math.nan], "accuracy": [50.0, math.nan], "ece": 10.0}
        points = rng.normal(size=(2, 4, 3)).round(3).tolist()
        view = View([0, 1, num_classes - 2, num_classes - 1], [1, 2], [0, 1, 2, 3], points, points, points)
        table = np.eye(num_classes).tolist() if num_classes <= 60 else []
        for run in range(2):
            wrong = [[a, b, sample] for sample, (a, b, _) in enumerate(cells) if a != b][:5]
            details = Details({"all": bins}, cells, wrong, table, table, view) if run == 0 else None
            curve = [{"epoch": e, "nc1": 1 / e, "nc2_equiangular": 0.5 / e, "nc3": 0.1} for e in (1, 2)]
            runs.append(
                TrialRecord(method, label, kind, method, run, run, class_counts=counts, details=details,
                            curve=curve if run == 0 else [])
            )  # fmt: skip
    old = small_comparison()
    contrast = replace(old.answer.contrast, fixed="etf-la", learned="linear-la")
    answer = replace(old.answer, contrast=contrast, fixed="etf-la", learned="linear-la", secondary=[contrast])
    data = replace(old.data, classes=names)
    config = {"seeds": 2, "imbalance": 100.0, "profile": "exp", "head": {}}
    return replace(old, config=config, data=data, rows=rows, runs=runs, answer=answer, tuning={},
                   samples={str(i): f"value {i}" for i in range(30)})  # fmt: skip


@pytest.fixture(scope="module")
def ten() -> Comparison:
    return from_json(Comparison, to_json(made_up(10)))


class Cells(HTMLParser):
    """Tables by id, as rows of (text, data-value)."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tables: dict[str, list[list[tuple[str, str | None]]]] = {}
        self.name, self.inside, self.value = "", False, None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        of = dict(attrs)
        if tag == "figure":
            self.name = of.get("id", "")
        elif tag == "tr":
            self.tables.setdefault(self.name, []).append([])
        elif tag in ("td", "th"):
            self.inside = True
            self.tables[self.name][-1].append(("", of.get("data-value")))

    def handle_endtag(self, tag: str) -> None:
        self.inside = self.inside and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self.inside:
            text, value = self.tables[self.name][-1].pop()
            self.tables[self.name][-1].append((text + data, value))


def data_of(text: str) -> dict[str, Any]:
    return json.loads(re.search(r'id="page-data">(.*?)</script>', text, re.DOTALL)[1])


def without_scripts(text: str) -> str:
    return re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)


def test_the_verdict_comes_first_and_every_value_is_the_record_s(ten: Comparison) -> None:
    text = comparison_page(ten)
    word = text.index(f">{ten.answer.word}<")
    assert word < text.index(ten.answer.effect) < text.index(ten.answer.statistics) < text.index("<main")
    tables = Cells(text).tables
    for row, cells in zip(ten.rows, tables["measures"][1:], strict=True):
        assert cells[0][0] == row.label
        values = [float(value) for _, value in cells[2:]]
        assert values == [row.measures[key].mean for key, _, _ in COLUMNS]
    by_class = {cells[0][0]: cells[1:] for cells in tables["class-table"][1:]}
    for i, name in enumerate(ten.data.classes):
        assert [float(value) for _, value in by_class[name]] == [
            ten.runs[0].class_counts[i], *(row.per_class[i] for row in ten.rows)
        ]  # fmt: skip
    first = tables["contrasts"][1]
    assert [float(value) for _, value in first[1:4]] == [
        ten.answer.contrast.difference, ten.answer.contrast.low, ten.answer.contrast.high
    ]  # fmt: skip


def test_figures_hold_the_record_s_values(ten: Comparison) -> None:
    data = data_of(comparison_page(ten))
    (effect,) = data["figures"]["effect"]["data"]["values"]
    assert (effect["low"], effect["high"]) == (ten.answer.contrast.low, ten.answer.contrast.high)
    assert data["figures"]["effect"]["layer"][0]["data"]["values"][0]["to"] == ten.answer.margin
    drawn = {(d["method"], d["class"]): d["value"] for d in data["figures"]["per-class"]["data"]["values"]}
    assert drawn == {(r.label, n): v for r in ten.rows for n, v in zip(ten.data.classes, r.per_class, strict=True)}
    assert data["pairs"]["view"]["choices"][ten.rows[1].label]["vectors"] == ten.runs[2].details.view.vectors
    cells = data["pairs"]["confusion"]["choices"][ten.rows[0].label]
    assert [[a, b, n] for a, b, _, n in cells] == ten.runs[0].details.confusion
    total = {a: sum(n for b, _, _, n in cells if b == a) for a, *_ in cells}
    assert all(share == round(100 * n / total[a], 1) for a, _, share, n in cells)
    assert len(data["pairs"]["reliability"]["choices"][ten.rows[0].label]) == 1  # a bin without samples is none


def test_the_learned_and_the_fixed_head_of_the_answer_stand_side_by_side(ten: Comparison) -> None:
    labels = {row.method: row.label for row in ten.rows}
    wanted = [labels[ten.answer.learned], labels[ten.answer.fixed]]
    parts = {part.id: part for section in page_of(ten).sections for part in section.parts if part.kind == "pair"}
    assert {name: list(part.first) for name, part in parts.items()} == dict.fromkeys(parts, wanted)


def test_nothing_is_fetched_and_nothing_is_markup(ten: Comparison) -> None:
    odd = replace(ten, data=replace(ten.data, source="<script>alert(1)</script></script>"), notes=["<b>note</b>"])
    text = comparison_page(odd)
    assert "alert(1)</script>" not in text
    assert "<b>note" not in text
    page = without_scripts(text)
    assert not re.search(r"https?:", page)
    assert all(link.startswith("#") for link in re.findall(r'(?:src|href)="([^"]*)"', page))
    assert "@import" not in page
    assert "default-src 'none'" in page
    assert "class 0 &lt;&amp;&gt;" in page


@pytest.mark.parametrize(("num_classes", "megabytes"), [(10, 3), (1000, 8)])
def test_size(num_classes: int, megabytes: float) -> None:
    assert len(comparison_page(made_up(num_classes, more=9)).encode()) < megabytes * 1e6


def test_the_library_cannot_end_its_element() -> None:
    assert "</script" not in vega().lower()
    assert "window.vegaEmbed" in vega()


def test_a_page_without_an_answer_or_details(ten: Comparison) -> None:
    bare = replace(ten, answer=None, runs=[replace(run, details=None, curve=[]) for run in ten.runs], notes=["old"])
    text = comparison_page(bare)
    assert "old" in text
    assert not data_of(text)["pairs"]
    assert render(page_of(bare)) == text


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def path(ten: Comparison, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_page(ten, tmp_path_factory.mktemp("page") / "report.html")


@needs_browser
@pytest.mark.browser
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("theme", THEMES)
def test_in_a_browser(browser: Any, path: Path, width: int, theme: str) -> None:
    with opened(browser, path, width=width, theme=theme) as (page, wrong):
        assert not wrong
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        beyond = """[...document.querySelectorAll("body *")].filter(one =>
            !one.closest(".scroll, .jump, svg, .skip, .hidden") && one.getBoundingClientRect().right > innerWidth + 1
        ).map(one => one.outerHTML.slice(0, 80))"""
        assert page.evaluate(beyond) == []
        charts = page.evaluate(
            "[...document.querySelectorAll('.chart')].map(one => one.querySelectorAll('svg').length)"
        )
        assert charts
        assert set(charts) == {1}
        ink = page.evaluate("getComputedStyle(document.querySelector('.role-axis-label text')).fill")
        assert ink == {"light": "rgb(27, 31, 36)", "dark": "rgb(230, 237, 243)"}[theme]  # figures follow the theme
        numbers = page.locator("#measures td[data-value]").first
        assert numbers.bounding_box()["x"] < width - 40  # a number is in sight
        page.emulate_media(media="print")  # light on paper, whatever the screen's theme
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert page.evaluate("document.documentElement.scrollWidth") <= width


@needs_browser
@pytest.mark.browser
def test_following_sorting_filtering_copying_and_saving(browser: Any, path: Path, ten: Comparison) -> None:
    with opened(browser, path) as (page, wrong):
        label = ten.rows[1].label
        page.locator(f"#measures button[data-follow='{label}']").click()
        assert page.locator("#followed").inner_text() == label
        assert page.locator("#measures tr.followed th").inner_text() == label
        page.wait_for_timeout(100)
        faint = "[...document.querySelectorAll('#per-class .mark-symbol path')].map(one => one.getAttribute('opacity'))"
        assert sorted(set(page.evaluate(faint))) == ["0.08", "1"]
        page.keyboard.press("Escape")
        assert page.locator("#followed").inner_text() == "all"
        page.locator("#class-table .sort").nth(2).click()
        shown = [float(text) for text in page.locator("#class-table tbody td:nth-child(3)").all_inner_texts()]
        assert shown == sorted(shown, reverse=True)
        page.locator("#class-table .filter").fill("class 3")
        page.locator("#class-table [data-copy=csv]").click()
        copied = page.evaluate("copied").splitlines()
        assert len(copied) == 2
        assert [float(v) for v in copied[1].split(",")[2:]] == [row.per_class[3] for row in ten.rows]
        page.locator("#class-table [data-copy=markdown]").click()
        assert page.evaluate("copied").splitlines()[1].startswith("| --- | ---:")
        page.locator("#class-table [data-copy=latex]").click()
        assert r"\begin{tabular}" in page.evaluate("copied")
        for kind, begin in (("svg", b"<svg"), ("png", b"\x89PNG")):
            with page.expect_download() as told:
                page.locator(f"#forest [data-save={kind}]").click()
            content = Path(told.value.path()).read_bytes()
            assert content.startswith(begin)
            assert b"var(--" not in content
        assert not wrong


@needs_browser
@pytest.mark.browser
def test_the_samples_behind_a_class(browser: Any, path: Path, ten: Comparison) -> None:
    true, _, sample = ten.runs[0].details.mistakes[0]
    with opened(browser, path) as (page, wrong):
        page.locator("#klass").fill(ten.data.classes[true])
        page.locator("#klass").press("Tab")
        assert f"{sample}: value {sample}" in page.locator("#confusion .behind").inner_text()
        assert not wrong


@needs_browser
@pytest.mark.browser
@pytest.mark.slow
def test_a_thousand_classes(browser: Any, tmp_path: Path) -> None:
    with opened(browser, write_page(made_up(1000), tmp_path / "many.html"), width=820) as (page, wrong):
        assert not wrong
        assert page.locator("#class-table tbody tr").count() == 1000
        page.locator("#klass").fill("class 999")
        page.locator("#klass").press("Enter")
        page.keyboard.press("Tab")
        assert page.locator("#class-table tr.followed").count() == 1
