"""What can be counted of the language: no prose over 120 columns, no cell of a table over 200 characters."""

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/*.md")])
PROSE, CELL = 120, 200


def too_long(text: str) -> list[str]:
    """Lines of prose and cells of tables beyond what is allowed, code left out."""
    found = []
    for line in re.sub(r"^ *```.*?^ *```", "", text, flags=re.DOTALL | re.MULTILINE).splitlines():
        if line.startswith("|"):
            found += [cell.strip() for cell in line.split("|") if len(cell.strip()) > CELL]
        elif len(line) > PROSE and not line.startswith("    ") and not re.fullmatch(r"\s*`[^` ]+`[,.]?", line):
            found.append(line)
    return found


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_lines_and_cells_are_short(path: Path) -> None:
    assert too_long(path.read_text(encoding="utf-8")) == []


def test_what_is_counted() -> None:
    assert too_long("word " * 30 + "\n| a | " + "b" * 201 + " |\n    " + "c" * 200)[1:] == ["b" * 201]
    assert too_long("```\n" + "d" * 200 + "\n```\n") == []


def test_wrapping_changes_no_word() -> None:
    spec = importlib.util.spec_from_file_location("wrap_prose", ROOT / "dev" / "wrap_prose.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    text = "1. " + "word " * 40 + "- 12. # more\n\n> " + "said " * 40 + "\n\n    " + "code " * 40
    wrapped = module.wrap(text)
    assert wrapped.replace("> ", "").split() == text.replace("> ", "").split()
    assert too_long(wrapped) == []
    assert not re.search(r"^ *(- |12\.|#)", wrapped, flags=re.MULTILINE)
    assert module.wrap(wrapped) == wrapped
