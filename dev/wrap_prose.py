"""Wraps paragraphs, list items and quotations of Markdown that have a line of over 120 columns; the rest stays.

python dev/wrap_prose.py docs/*.md
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

WIDTH = 120
_ITEM = re.compile(r"^(\s*)([-*+]|\d+[.)])\s+")
_APART = re.compile(r"^(\s*(#|\||>|<|```|!!!|---|\[[^\]]+\]:)|\s*$)")  # what is no prose, or ends a paragraph
_NOT_FIRST = re.compile(r"^([-*+>|]|#+|\d+[.)]|```.*|=+)$")  # words that mean something else at the start of a line


def is_prose(lines: list[str]) -> list[bool]:
    """Of each line whether it is prose: no fence, no code of four blanks, no table, heading or quotation."""
    found, fenced = [], False
    for line in lines:
        fence = line.lstrip().startswith("```")
        inside_list = bool(found and found[-1])
        code = line.startswith("    ") and not inside_list
        found.append(not (fenced or fence or code or _APART.match(line)))
        fenced = fenced != fence
    return found


def wrapped(text: str, first: str, rest: str) -> Iterator[str]:
    """Lines of at most ``WIDTH`` columns, none of which begins with what Markdown would take for something else."""
    line: list[str] = []
    begin = first
    for word in text.split():
        if line and len(begin) + len(" ".join([*line, word])) > WIDTH:
            carried = [line.pop()] if _NOT_FIRST.match(word) and len(line) > 1 else []
            yield begin + " ".join(line)
            line, begin = carried, rest
        line.append(word)
    yield begin + " ".join(line)


def wrap(text: str) -> str:
    """The text with its overlong paragraphs wrapped.

    Example:
        >>> wrap("- " + "word " * 30).splitlines()[1][:6]
        '  word'
        >>> wrap("    code " + "x" * 200) == "    code " + "x" * 200
        True
    """
    lines, out = text.split("\n"), []
    prose = is_prose(lines)
    place = 0
    while place < len(lines):
        end = place + 1
        if prose[place]:
            while end < len(lines) and prose[end] and not _ITEM.match(lines[end]):
                end += 1
        elif lines[place].startswith("> "):
            while end < len(lines) and lines[end].startswith("> "):
                end += 1
        block = lines[place:end]
        if block[0].startswith("> ") and any(len(line) > WIDTH for line in block):
            block = list(wrapped(" ".join(line[2:] for line in block), "> ", "> "))
        if prose[place] and any(len(line) > WIDTH for line in block):
            item = _ITEM.match(block[0])
            first = item[0] if item else re.match(r"\s*", block[0])[0]
            body = " ".join([block[0][len(first) :], *(line.strip() for line in block[1:])])
            block = list(wrapped(body, first, " " * len(first)))
        out += block
        place = end
    return "\n".join(out)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        path = Path(name)
        path.write_text(wrap(path.read_text(encoding="utf-8")), encoding="utf-8")
