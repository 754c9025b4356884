"""What a notebook shows of a result: the page that its command writes, in a frame."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from importlib import import_module
from typing import Any, Literal

Kind = Literal["comparison", "training", "evaluation", "measures"]


class Shown(dict[str, Any]):
    """A dictionary of results that a notebook shows as their page.

    Example:
        >>> results = collapse({"nc1": 0.5, "nc1@layer": 0.7})
        >>> results["nc1"], "<iframe" in (results._repr_html_() or "<iframe")
        (0.5, True)
    """

    kind: Kind

    def __init__(self, kind: Kind, values: Mapping[str, Any]) -> None:
        super().__init__(values)
        self.kind = kind

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.kind, dict(self))

    def _repr_html_(self) -> str | None:
        return page_in_frame(self.kind, as_measures(self) if self.kind == "measures" else self)


def collapse(measured: Mapping[str, Any]) -> Shown:
    """Measures of collapse by name, those of layers as ``name@layer``."""
    return Shown("measures", measured)


def as_measures(measured: Mapping[str, Any], layers: Mapping[str, Any] | None = None, **about: str) -> dict[str, Any]:
    """Measures as ``measures.json`` has them, one series of one epoch."""
    own = {key: float(value) for key, value in measured.items() if "@" not in key}
    found: dict[str, dict[str, float]] = {name: dict(of) for name, of in (layers or {}).items()}
    for key, value in measured.items():
        name, at, layer = key.partition("@")
        if at:
            found.setdefault(layer, {})[name] = float(value)
    one = {"name": "measured", "measures": own, "epochs": [0], "curve": [own], "layers": found, "about": about}
    return {"series": [one], "provenance": {}}


def page_in_frame(kind: Kind, content: Any) -> str | None:
    """The page of a result as an element of another one; None, where a notebook shows text, without ``[plot]``.

    Reports are imported by name: they read the records that this is called for.
    """
    try:
        shown: str = import_module("equiangular.report.together").page_of_results([("", kind, content)])._repr_html_()
    except ImportError:
        return None
    return shown


def in_frame(page: str, height: str = "45rem") -> str:
    """A whole page in an ``<iframe>`` of its own, whose scripts reach nothing around it.

    Example:
        >>> in_frame("<p>1 & 2</p>").count("&lt;p&gt;1 &amp; 2")
        1
    """
    allowed = "allow-scripts allow-downloads allow-popups"
    style = f"width: 100%; height: {height}; border: 0; resize: vertical"
    given = f'title="results" sandbox="{allowed}" allow="clipboard-write" style="{style}"'
    return f'<iframe {given} srcdoc="{escape(page)}"></iframe>'
