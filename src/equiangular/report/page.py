"""One page for every command: parts in, a self-contained HTML file out. Nothing is fetched, nothing is computed."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

from equiangular._extras import require
from equiangular._files import cache_folder, write_text
from equiangular._notebook import in_frame
from equiangular.report.figure import template

TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Cell:
    """What a cell of a table says, and the value behind it, by which it is sorted and copied."""

    text: str
    value: float | str | None = None


@dataclass(frozen=True)
class Line:
    """A row of a table: its cells, and the method or class that it is followed by."""

    cells: Sequence[Cell]
    method: str | None = None
    klass: str | None = None
    strong: bool = False


@dataclass(frozen=True)
class Table:
    """A table that can be sorted, filtered and copied. Columns in ``texts`` are left-aligned."""

    id: str
    caption: str
    headings: Sequence[str]
    lines: Sequence[Line]
    texts: Sequence[int] = (0,)
    note: str = ""
    wide: bool = False  # scrolls in its box on a narrow screen too, where others become cards
    kind = "table"


@dataclass(frozen=True)
class Figure:
    """A Vega-Lite figure with its description for those who do not see it."""

    id: str
    title: str
    spec: Mapping[str, Any]
    about: str
    note: str = ""
    kind = "figure"


@dataclass(frozen=True)
class Pair:
    """One figure twice, side by side: any two of ``choices``, the data of each by its name.

    ``spec`` is a Vega-Lite figure of data that are called ``rows``; None is the view in three dimensions. ``columns``
    are the names of what the rows hold; of those in ``named`` they hold the index of a class. ``behind`` has [true
    class, predicted class, sample] of samples behind the cells, by choice.
    """

    id: str
    title: str
    spec: Mapping[str, Any] | None
    choices: Mapping[str, Any]
    first: Sequence[str]
    about: str
    columns: Sequence[str] = ()
    named: Sequence[str] = ()
    note: str = ""
    behind: Mapping[str, Sequence[Sequence[int]]] = field(default_factory=dict)
    kind = "pair"


@dataclass(frozen=True)
class Facts:
    """Terms and what they say."""

    facts: Sequence[tuple[str, str]]
    kind = "facts"


@dataclass(frozen=True)
class Legend:
    """The colours and dashes of what is followed; each is a button."""

    kind = "legend"


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str
    kind = "text"


Part: TypeAlias = Table | Figure | Pair | Facts | Legend | Text


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it."""

    id: str
    title: str
    parts: Sequence[Part]


@dataclass(frozen=True)
class Series:
    """What is followed through the figures: a method, a run; with the kind of its head, where it is known."""

    label: str
    kind: str = ""


@dataclass(frozen=True)
class Page:
    """A whole page.

    Attributes:
        title: of the window.
        heading: the question, or what the page is of.
        word: the answer in large type; empty where nothing is decided.
        effect: sentence below it.
        statistics: in small print.
        picture: the effect, drawn; None where there is none.
        series: what can be followed.
        classes: names of the classes, in their order in the data.
        sections: the rest.
        notes: what a reader should know first.
        samples: test samples by their index, as pictures or as values.
    """

    title: str
    heading: str
    sections: Sequence[Section]
    word: str = ""
    effect: str = ""
    statistics: str = ""
    picture: Figure | None = None
    series: Sequence[Series] = ()
    classes: Sequence[str] = ()
    notes: Sequence[str] = field(default_factory=tuple)
    samples: Mapping[str, str] = field(default_factory=dict)

    def _repr_html_(self) -> str:
        """The page in a frame, for notebooks."""
        return in_frame(render(self))


def render(page: Page) -> str:
    """The page as HTML: figures as Vega-Lite in JSON, drawn by the library that is inside.

    Raises:
        ImportError: jinja2 is missing, or vl-convert-python for a page with figures.
    """
    sections = [Section(s.id, s.title, [p for p in s.parts if _has_something(p)]) for s in page.sections]
    shown = [section for section in sections if section.parts]
    parts = [page.picture, *(part for section in shown for part in section.parts)]
    data: dict[str, Any] = {
        "series": [{"label": s.label, "kind": s.kind} for s in page.series],
        "classes": list(page.classes),
        "samples": page.samples,
        "figures": {part.id: part.spec for part in parts if isinstance(part, Figure)},
        "pairs": {
            part.id: {
                "spec": part.spec,
                "choices": part.choices,
                "columns": list(part.columns),
                "named": list(part.named),
                "behind": part.behind,
            }
            for part in parts
            if isinstance(part, Pair)
        },
    }
    text: str = template("page.html").render(
        page=page,
        sections=shown,
        data=_in_script(json.dumps(_finite(data), separators=(",", ":"), ensure_ascii=False, allow_nan=False)),
        style=(TEMPLATES / "page.css").read_text(encoding="utf-8"),
        script=(TEMPLATES / "page.js").read_text(encoding="utf-8"),
        library=vega() if data["figures"] or any(of["spec"] for of in data["pairs"].values()) else "",
    )
    return text


def write(page: Page, path: str | Path) -> Path:
    """Write a page atomically."""
    return write_text(path, render(page))


def numbered(parts: Sequence[Part], place: int | str) -> list[Part]:
    """The parts with a number at the end of their ids: those of a page have to be unlike one another."""
    named = (Table, Figure, Pair)
    return [replace(part, id=f"{part.id}-{place}") if isinstance(part, named) else part for part in parts]


def check_library() -> Any:
    """The library that draws the figures.

    Raises:
        ImportError: jinja2 or vl-convert-python is missing.
    """
    require("jinja2", extra="plot", purpose="Writing the page")
    return require("vl_convert", extra="plot", purpose="Writing the page")


def vega() -> str:
    """Vega, Vega-Lite and vega-embed as one script that sets ``window.vegaEmbed``, of vl-convert-python.

    Bundling takes two seconds, so the script is kept in the cache folder, by its version.

    Raises:
        ImportError: vl-convert-python is missing.
    """
    library = check_library()
    folder = cache_folder()
    kept = None if folder is None else folder / f"vega-{library.__version__}.js"
    if kept is not None and kept.exists():
        return kept.read_text(encoding="utf-8")
    script: str = library.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    if "</script" in script.lower():
        raise ValueError("the plotting library cannot stand in a page; take another version of vl-convert-python.")
    if kept is not None:
        try:
            kept.parent.mkdir(parents=True, exist_ok=True)
            write_text(kept, script)
        except OSError:  # a cache that cannot be written costs two seconds the next time
            pass
    return script


def _has_something(part: Part) -> bool:
    filled = {"table": "lines", "pair": "choices", "facts": "facts", "text": "text"}.get(part.kind)
    return filled is None or bool(getattr(part, filled))


def _in_script(text: str) -> str:
    """JSON that no parser of HTML takes for the end of its element."""
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e").replace("\u2028", "\\u2028")


def _finite(value: Any) -> Any:
    """Without NaN and infinity, which JSON does not have."""
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
