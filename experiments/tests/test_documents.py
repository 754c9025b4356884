"""The tables and figures of the documents are what the records say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from experiments.commands.app import app
from experiments.common import DOCS, FIGURES
from experiments.report import sources
from experiments.report.questions import TABLES
from experiments.report.sources import ELSEWHERE, measured


@pytest.mark.parametrize("record", TABLES)
def test_every_line_of_a_table_is_in_its_document(record: str) -> None:
    page, make = TABLES[record]
    lines = set((DOCS / page).read_text(encoding="utf-8").splitlines())
    missing = [line for line in make().splitlines() if line not in lines]
    assert not missing, f"paste the table of {record} into docs/{page} (redraw makes it), and read what rests on it"


def test_all_is_drawn_again_from_the_records(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["redraw", "-o", str(tmp_path), "--check"])
    assert done.exit_code == 0, done.output
    for name in ("answer_effects.png", "answer_fixed_against_learnable.png", "answer_ranking.png"):
        assert (tmp_path / "studies" / name.removeprefix("answer_")).exists()
        assert (FIGURES / name).exists()
    drawn = {path.name for path in (tmp_path / "figures").iterdir()}
    shown = {
        name for page in DOCS.glob("*.md") for name in re.findall(r"figures/([\w.]+)", page.read_text(encoding="utf-8"))
    }
    of_questions = {n for n in shown if n.startswith(("incremental_", "open_set", "transfer", "collapse_", "time_to_"))}
    assert of_questions
    assert of_questions <= drawn


def test_a_document_that_lacks_a_line_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page, make = TABLES["alignment"]
    monkeypatch.setitem(TABLES, "alignment", (page, lambda: make().replace("at rest", "at sea")))
    done = CliRunner().invoke(app, ["redraw", "-o", str(tmp_path), "--check", "--no-figures"])
    assert done.exit_code == 1
    assert "docs/incremental.md lacks 1 lines of alignment.md, first: | at sea" in done.output


def test_every_table_of_figures_is_drawn_or_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = measured()
    assert len(found) > 50
    for page, tables in ELSEWHERE.items():
        heads = [head for other, head, _ in found if other == page]
        for begin, source in tables.items():
            assert sum(head.startswith(begin) for head in heads) == 1, f"{page}: {begin}"
            assert not source.startswith("benchmarks/") or (DOCS.parent / source).exists()
    one = tmp_path / "docs" / "one.md"
    one.parent.mkdir()
    one.write_text("| head | score |\n|---|---|\n| ETF | 71.0 |\n| linear | 70.0 |\n", encoding="utf-8")
    monkeypatch.setattr(sources, "DOCS", one.parent)
    (tmp_path / "README.md").write_text("| you have | take |\n|---|---|\n| texts | names |\n", encoding="utf-8")
    lines = {("docs/one.md", line) for line in one.read_text(encoding="utf-8").splitlines()}
    assert sources.unaccounted(lines) == []
    assert (
        "docs/one.md: no record makes the table '| head | score"
        in sources.unaccounted(lines - {("docs/one.md", "| ETF | 71.0 |")})[0]
    )


def test_the_first_page_is_one_page() -> None:
    lines = (DOCS / "answer.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 120
    assert max(len(line) for line in lines if not line.startswith("|")) <= 120
    cells = [cell for line in lines if line.startswith("|") for cell in re.sub(r"\]\([^)]*\)", "]", line).split("|")]
    assert max(map(len, cells)) <= 200
    heads = {i - 1 for i, line in enumerate(lines) if line.startswith("|---")}
    rows = [line for i, line in enumerate(lines) if line.startswith("| ") and i not in heads]
    assert [row for row in rows if "](" not in row] == []  # every row links to its table or its source


def test_figures_of_the_first_page_are_on_the_pages_that_it_links_to() -> None:
    """Row by row and item by item, with sign and interval; where nothing is linked, in the evidence."""
    figure = re.compile(r"[+−]?\d+\.\d(?: ± \d+\.\d| \[[+−]\d+\.\d, [+−]\d+\.\d\])?(?!\d)")
    for part in re.split(r"\n(?=[-|#]|\n)", (DOCS / "answer.md").read_text(encoding="utf-8")):
        pages = set(re.findall(r"\]\((\w+\.md)", part)) or {"evidence.md"}
        there = " ".join(" ".join((DOCS / page).read_text(encoding="utf-8").split()) for page in pages)
        said = figure.findall(re.sub(r"\[[\d.]+\]|\([^)]*\.md[^)]*\)|https?:\S+", "", " ".join(part.split())))
        assert [text for text in said if text not in there] == [], f"{pages} lack what docs/answer.md says: {part}"
