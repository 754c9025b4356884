"""What `make docs` would stumble over, without mkdocs: every page has its place, every script its page."""

from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
SITE = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))


def pages(entry: Any) -> list[str]:
    if isinstance(entry, str):
        return [entry]
    return [page for part in (entry.values() if isinstance(entry, dict) else entry) for page in pages(part)]


def test_every_page_and_script_is_in_the_navigation_once() -> None:
    written = {str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")}
    scripts = {f"examples/{path.stem}.md" for path in (ROOT / "examples").iterdir() if path.suffix in (".py", ".ipynb")}
    listed = pages(SITE["nav"])
    assert sorted(listed) == sorted(written | scripts), "mend the navigation in mkdocs.yml"


def test_the_site_asks_no_other_host() -> None:
    assert SITE["theme"]["font"] is False
    assert not [value for value in [*SITE["extra_css"], *SITE.get("extra_javascript", [])] if "://" in value]


def test_a_warning_is_an_error() -> None:
    assert SITE["strict"] is True
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "mkdocs build --strict\n" in recipe  # with --quiet warnings are not counted
