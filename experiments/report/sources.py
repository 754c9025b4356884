"""Where every table of figures in the documents comes from: drawn by ``redraw``, or listed here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from experiments.common import DOCS

_FIGURE = re.compile(r"\s*[*`]*[+−<~]?\s*\.?\d")


def is_measured(cells: list[str]) -> bool:
    """Whether a third of the cells that say something begin with a number.

    Example:
        >>> is_measured(["digits", "77.6 ± 2.1", "**88.3**"]), is_measured(["frames", "heads"])
        (True, False)
    """
    said = [cell for cell in cells if cell.strip()]
    return 3 * sum(bool(_FIGURE.match(cell)) for cell in said) >= len(said) > 0


def tables_of(page: Path) -> Iterator[tuple[str, list[str]]]:
    """The head line and the rows of every table of figures on a page."""
    lines = page.read_text(encoding="utf-8").splitlines()
    for i, line in enumerate(lines):
        if re.match(r"^\|\s*:?-{3}", line):
            end = next((j for j in range(i, len(lines)) if not lines[j].startswith("|")), len(lines))
            cells = [cell for row in lines[i + 1 : end] for cell in row.strip("|").split("|")]
            if is_measured(cells):
                yield lines[i - 1], lines[i + 1 : end]


def measured() -> list[tuple[str, str, list[str]]]:
    """Page, head line and rows of every table of figures of docs/ and README.md."""
    pages = [DOCS.parent / "README.md", *sorted(DOCS.rglob("*.md"))]
    return [(str(page.relative_to(DOCS.parent)), *found) for page in pages for found in tables_of(page)]


# Page -> head line (its beginning) -> the file or the command that makes the table. A path is a file of the checkout.
ELSEWHERE: dict[str, dict[str, str]] = {
    "docs/closed_form.md": {
        "| | class means | Gaussian | ridge |": "benchmarks/closed_form.py",
        "| | N | times as long |": "benchmarks/closed_form.py",
    },
    "docs/collapse.md": {"| N, K, d | ours, all": "benchmarks/collapse.py"},
    "docs/data.md": {"| data | samples | first | again |": "benchmarks/pipeline.py"},
    "docs/embeddings.md": {
        "| encoder | inputs | speed over bare": "benchmarks/embed.py",
        "| features | imbalance | linear": "python -m experiments questions worth encoder",
    },
    "docs/faq.md": {"| step | command | typing, s |": "timed by hand"},
    "docs/frames.md": {
        "| K, d | optimum | found | error |": "benchmarks/codes.py",
        "| K, d | vectors | largest cosine |": "benchmarks/codes.py",
        "| head, 128 × 512 features | K |": "benchmarks/huge_k.py",
        "| search, 64 features | K |": "benchmarks/huge_k.py",
        "| cross-entropy, forward and backward |": "benchmarks/huge_k.py",
    },
    "docs/page.md": {"| page | size | ready |": "timed by hand"},
    "docs/promises.md": {
        "| part | cases | came out right |": "make trial",
        "| sample | commit | found |": "make mutants",
        "| survivors, first, second and third sample | judged |": "make mutants",
    },
    "docs/speed.md": {
        "| what | goal | now | met |": "benchmarks/__main__.py",
        "| work | over | from | to | slope |": "benchmarks/scaling.py",
    },
    "docs/theory.md": {
        "| R | 1 | 3 | 10 |": "equiangular theory",
        "| E_H | R = 10 | 30 |": "equiangular theory",
        "| loss | start | 0.1 |": "equiangular theory",
    },
}


def listed(page: str, head: str) -> bool:
    """Whether a table is one of :data:`ELSEWHERE`."""
    return any(head.startswith(begin) for begin in ELSEWHERE.get(page, {}))


def unaccounted(drawn: set[tuple[str, str]]) -> list[str]:
    """Tables of figures that are neither drawn, every row of them, nor listed; ``drawn`` has (page, line)."""
    return [
        f"{page}: no record makes the table '{head[:60]}...'; draw it (experiments/report/questions.py) or list it"
        for page, head, rows in measured()
        if not listed(page, head) and not all((page, line) in drawn for line in (head, *rows))
    ]
