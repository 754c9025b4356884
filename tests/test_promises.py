"""docs/promises.md names the tests that hold it to its word: each of them exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "docs" / "promises.md").read_text(encoding="utf-8")
NAMED = re.findall(r"`(\w+/[\w/]+\.py)::(\w+)`", TEXT)


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_a_promise_has_its_test(file: str, name: str) -> None:
    assert name.startswith("test_")
    assert f"\ndef {name}(" in (ROOT / file).read_text(encoding="utf-8")


def test_every_part_names_tests_and_every_reference_is_read() -> None:
    assert len(NAMED) == TEXT.count("::")
    parts = [part for part in TEXT.split("\n## ")[1:] if not part.startswith("Figures")]
    assert all("::test_" in part for part in parts)
