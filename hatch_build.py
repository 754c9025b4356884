"""The README as a package index shows it. There no relative link leads anywhere, and no relative picture is shown.

Where `pyproject.toml` names the site (`[project.urls]`, `Documentation`), links to documents lead to its pages. Without
one, or where a link leads to what the site does not have, its text stays; pictures are left out.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

_PICTURE = re.compile(r"!\[[^\]]*\]\((?!https?:)([^)]*)\)\n*")
_LINK = re.compile(r"\[([^\]]+)\]\((?!https?:|#)([^)#]+)(#[^)]*)?\)")


def for_index(text: str, site: str | None) -> str:
    """The text of README.md without a relative link; `site` is the address of the documents, if they have one."""

    def address(path: str) -> str:
        page = path.removeprefix("docs/")
        page = page[:-2] + "html" if page.endswith(".md") else page
        return f"{(site or '').rstrip('/')}/{page}" if path.startswith("docs/") else ""

    def link(match: re.Match[str]) -> str:
        there = address(match[2]) if site else ""
        return f"[{match[1]}]({there}{match[3] or ''})" if there else match[1]

    text = _PICTURE.sub(lambda match: match[0].replace(match[1], address(match[1])) if site else "", text)
    return _LINK.sub(link, text)


class ReadmeHook(MetadataHookInterface):
    """Fills in the field `readme`, which is dynamic in `pyproject.toml`."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Called while a wheel or an sdist is built."""
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        site = metadata.get("urls", {}).get("Documentation")
        metadata["readme"] = {"content-type": "text/markdown", "text": for_index(text, site)}
