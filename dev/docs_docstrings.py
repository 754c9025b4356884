"""Makes docstrings what the site's renderer reads: Google style in Markdown. An extension of Griffe (`mkdocs.yml`).

Docstrings are written for an editor and a terminal. Three habits need a translation: several parameters in one entry
(``num_classes, dim: ...``), cross-references as roles (``:func:`attach```), and a doctest under ``Example:``.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import griffe

_ROLE = re.compile(r":(?:func|class|data|meth|mod|attr|obj|exc):`~?([^`]+)`")
_GROUP = re.compile(r"^(\s+)(\*{0,2}\w+(?:, \*{0,2}\w+)*):(.*)$")
_SECTION = re.compile(r"^(\s*)(Args|Attributes|Keyword Args):$")
_PAGES = (Path(__file__).parents[1] / "docs" / "api").glob("*.md")
_LISTED = re.findall(r"^::: (\S+)$", "\n".join(page.read_text(encoding="utf-8") for page in _PAGES), flags=re.MULTILINE)
_PLACES = {path.rsplit(".", 1)[-1]: path for path in _LISTED}  # name -> what its page calls it
_CODE = re.compile(r"(``.*?``|`.*?`)")


class Docstrings(griffe.Extension):
    """Translates each docstring before it is parsed."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Called for everything that was read from the sources."""
        if obj.docstring and not obj.is_alias:
            obj.docstring.value = translated(obj.docstring.value)


def translated(text: str) -> str:
    """The docstring for the site."""
    lines: list[str] = []
    section, depth, doctest = False, 0, False
    entry: list[str] = []  # names that share the entry being read
    shared: list[str] = []

    def close() -> None:
        for name in entry:
            lines.extend([f"{' ' * depth}{name}:{shared[0]}", *shared[1:]])
        entry.clear()
        shared.clear()

    literal: int | None = None  # a block of code lasts while lines are indented by more than this
    for raw in text.split("\n"):
        indent = len(raw) - len(raw.lstrip())
        doctest = raw.lstrip().startswith(">>>") or (doctest and bool(raw.strip()))
        if literal is not None and raw.strip() and indent <= literal:
            literal = None
        if indent >= 4 and literal is None and not section and lines and not lines[-1].strip():
            literal = indent - 1  # a formula, set off by its indent
        line = raw if doctest or literal is not None else plain(raw)
        if literal is None and not doctest and raw.endswith("::"):
            literal, line = indent, line[:-1]
        if _SECTION.match(raw):
            section, depth = True, indent + 4
        elif section and raw.strip() and indent < depth:
            close()
            section = False
        if section and (match := _GROUP.match(line)) and indent == depth:
            close()
            entry.extend(match[2].split(", "))
            shared.append(match[3])
        elif section and entry:
            shared.append(line)
        else:
            lines.append(line)
    close()
    return "\n".join(lines)


def plain(line: str) -> str:
    """A line of prose: roles as links, no sign outside of code that Markdown would read as a tag or a link."""
    line = re.sub(r"^(\s*)Example:$", r"\1Examples:", line)
    parts = _CODE.split(line)
    parts[::2] = [part.replace("<", "&lt;").replace("][", "]\\[") for part in parts[::2]]
    return _ROLE.sub(linked, "".join(parts))


def linked(role: re.Match[str]) -> str:
    """A link to what a role names, if it is on a page, and code if not."""
    name = role[1].removesuffix("()")
    place = _PLACES.get(name.rsplit(".", 1)[-1])
    return f"[`{name}`][{place}]" if place else f"`{name}`"
