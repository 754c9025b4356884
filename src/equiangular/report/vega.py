"""What Vega-Lite figures of a page are made of: scales, axes, colours, what is followed.

Colours are the page's CSS variables, so they follow its theme.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Rows = Sequence[Mapping[str, Any]]
Spec = dict[str, Any]

GROUPS = ("many", "medium", "few")
KINDS = ("learned", "fixed", "mapped", "computed")
HUES = 12  # --c0 to --c11 in page.css
NAMED = 60  # classes whose names stand at an axis
POINTS = 100  # classes up to which each has a point
_WHOLE = "abs(log(datum.value) / LN10 - round(log(datum.value) / LN10)) < 1e-9"
# A logarithmic axis: lines at powers of ten, and faint ones between them.
LOG: Spec = {
    "scale": {"type": "log"},
    "axis": {"gridOpacity": {"condition": {"test": _WHOLE, "value": 1}, "value": 0.25}},
}
LINEAR: Spec = {"scale": {"zero": False}}
COLUMNS = {"expr": "width < 420 ? 1 : 2"}  # of a legend above a figure
DASHES = {"learned": [1, 0], "fixed": [6, 3], "mapped": [2, 2], "computed": [8, 3, 2, 3]}


def follow(field: str = "method", faint: float = 0.12, full: float = 1.0) -> Spec:
    """Opacity that leaves what is followed as it is and makes the rest faint."""
    signal = {"method": "method", "class": "klass"}[field]
    return {"condition": {"test": f"!{signal} || datum['{field}'] === {signal}", "value": full}, "value": faint}


def base(rows: Rows, height: Any, layers: Sequence[Spec], **rest: Any) -> Spec:
    """A figure as wide as its box, with what is followed as parameters."""
    return {
        "data": {"name": "rows", "values": list(rows)},
        "width": "container",
        "height": height,
        "autosize": {"type": "fit-x", "contains": "padding"},
        "params": [{"name": "method", "value": None}, {"name": "klass", "value": None}],
        "layer": list(layers),
        **rest,
    }


def steps(rows: Rows, pixels: int) -> int:
    """The height of a row for each method."""
    return pixels * len({row["method"] for row in rows})


def x_axis(field: str, title: str, **more: Any) -> Spec:
    """A number along the figure, from where the values are."""
    return {"field": field, "type": "quantitative", "title": title, "scale": {"zero": False}, **more}


def y_axis(field: str = "method", **more: Any) -> Spec:
    """A row for each value, in the order that they come in."""
    return {"field": field, "type": "nominal", "sort": None, "title": None, **more}


def tooltip(*fields: tuple[str, str, str]) -> list[Spec]:
    """What a pointer shows: field, title and form of each number; no form for a name."""
    return [
        {"field": name, "title": title, **({"type": "quantitative", "format": form} if form else {"type": "nominal"})}
        for name, title, form in fields
    ]


def intervals(middle: str, title: str, tip: list[Spec], *, width: int, size: int) -> list[Spec]:
    """A line from ``low`` to ``high`` for each method, and a diamond in the middle."""
    shared = {"y": y_axis(), "color": kind_color(), "opacity": follow(), "tooltip": tip}
    return [
        {
            "mark": {"type": "rule", "strokeWidth": width},
            "encoding": {"x": x_axis("low", title), "x2": {"field": "high"}, **shared},
        },
        {
            "mark": {"type": "point", "filled": True, "size": size, "shape": "diamond"},
            "encoding": {"x": x_axis(middle, title), **shared},
        },
    ]


def kind_color() -> Spec:
    """Colour of the kind of a head."""
    scale = {"domain": list(KINDS), "range": [f"var(--{kind})" for kind in KINDS]}
    return {"field": "kind", "type": "nominal", "scale": scale, "legend": None}


def method_color(labels: Sequence[str]) -> Spec:
    """A colour for each method; what says which is the list of what can be followed, above the figures."""
    hues = [f"var(--c{i % HUES})" for i in range(len(labels))]
    scale = {"domain": list(labels), "range": hues}
    return {"field": "method", "type": "nominal", "scale": scale, "legend": None}


def kind_dash() -> Spec:
    """Solid lines for learned heads, dashed for fixed ones, and so on."""
    scale = {"domain": [*KINDS, ""], "range": [*(DASHES[kind] for kind in KINDS), DASHES["learned"]]}
    return {"field": "kind", "type": "nominal", "scale": scale, "legend": None}
