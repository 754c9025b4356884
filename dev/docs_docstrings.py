"""Makes docstrings what the site's renderer reads: Google style in Markdown. An extension of Griffe (`mkdocs.yml`).

Docstrings are written for an editor and a terminal. Three habits need a translation: several parameters in one entry
(``num_classes, dim: ...``), cross-references as roles (``:func:`attach```), and a doctest under ``Example:``.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

_ROLE = re.compile(r":(?:func|class|data|meth|mod|attr|obj|exc):`~?([^`]+)`")
_GROUP = re.compile(r"^(\s+)(\*{0,2}\w+(?:, \*{0,2}\w+)*):(.*)$")
_SECTION = re.compile(r"^(\s*)(Args|Attributes|Keyword Args):$")
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

    for raw in text.split("\n"):
        doctest = raw.lstrip().startswith(">>>") or (doctest and bool(raw.strip()))
        line = re.sub(r"^(\s*)Example:$", r"\1Examples:", raw) if doctest else plain(raw)
        indent = len(raw) - len(raw.lstrip())
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
    """A line of prose: roles as code, no sign outside of code that Markdown would read as a tag or a link."""
    line = re.sub(r"^(\s*)Example:$", r"\1Examples:", _ROLE.sub(r"`\1`", line))
    parts = _CODE.split(line)
    parts[::2] = [part.replace("<", "&lt;").replace("][", "]\\[") for part in parts[::2]]
    return "".join(parts)
