"""The figures of docs/speed.md are those that the benchmarks have stored."""

from pathlib import Path

import pytest
from benchmarks.__main__ import rows

from equiangular._files import read_json

ROOT = Path(__file__).resolve().parents[1]
STORED = sorted((ROOT / "benchmarks" / "results").glob("*.json"))


@pytest.mark.parametrize("path", STORED, ids=lambda path: path.stem)
def test_what_is_stored_is_what_was_written(path: Path) -> None:
    assert "commit" in str(read_json(path))


def test_the_page_has_the_stored_figures() -> None:
    page = (ROOT / "docs" / "speed.md").read_text(encoding="utf-8")
    for row in rows(ROOT / "benchmarks" / "results"):
        assert f"| {' | '.join(row)} |" in page
