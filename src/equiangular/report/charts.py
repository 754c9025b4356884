"""Vega-Lite figures of a page, as plain values. Colours are the page's CSS variables, so they follow its theme."""

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
_LINEAR: Spec = {"scale": {"zero": False}}
_COLUMNS = {"expr": "width < 420 ? 1 : 2"}  # of a legend above a figure
_DASHES = {"learned": [1, 0], "fixed": [6, 3], "mapped": [2, 2], "computed": [8, 3, 2, 3]}


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


def _steps(rows: Rows, pixels: int) -> int:
    """The height of a row for each method."""
    return pixels * len({row["method"] for row in rows})


def _x(field: str, title: str, **more: Any) -> Spec:
    return {"field": field, "type": "quantitative", "title": title, "scale": {"zero": False}, **more}


def _y(field: str = "method", **more: Any) -> Spec:
    return {"field": field, "type": "nominal", "sort": None, "title": None, **more}


def _tip(*fields: tuple[str, str, str]) -> list[Spec]:
    return [
        {"field": name, "title": title, **({"type": "quantitative", "format": form} if form else {"type": "nominal"})}
        for name, title, form in fields
    ]


def _intervals(middle: str, title: str, tip: list[Spec], *, width: int, size: int) -> list[Spec]:
    """A line from ``low`` to ``high`` for each method, and a diamond in the middle."""
    shared = {"y": _y(), "color": kind_color(), "opacity": follow(), "tooltip": tip}
    return [
        {
            "mark": {"type": "rule", "strokeWidth": width},
            "encoding": {"x": _x("low", title), "x2": {"field": "high"}, **shared},
        },
        {
            "mark": {"type": "point", "filled": True, "size": size, "shape": "diamond"},
            "encoding": {"x": _x(middle, title), **shared},
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
    scale = {"domain": [*KINDS, ""], "range": [*(_DASHES[kind] for kind in KINDS), _DASHES["learned"]]}
    return {"field": "kind", "type": "nominal", "scale": scale, "legend": None}


def forest(rows: Rows, margin: float, title: str) -> Spec:
    """Differences with intervals, the margin as a band: ``method``, ``difference``, ``low``, ``high`` of each row."""
    tip = _tip(
        ("method", "head", ""),
        ("against", "against", ""),
        ("difference", "difference", "+.2f"),
        ("low", "from", "+.2f"),
        ("high", "to", "+.2f"),
        ("verdict", "verdict", ""),
    )
    band = {"values": [{"from": -margin, "to": margin, "what": f"margin of {margin:g}"}]}
    whole = {"y": {"value": 0}, "y2": {"value": {"expr": "height"}}}
    return base(
        rows,
        _steps(rows, 40),
        [
            {
                "data": band,
                "mark": {"type": "rect", "color": "var(--band)", "tooltip": {"content": "data"}},
                "encoding": {"x": {"field": "from", "type": "quantitative"}, "x2": {"field": "to"}, **whole},
            },
            {
                "data": {"values": [{"none": 0}]},
                "mark": {"type": "rule", "color": "var(--soft)", "aria": False},
                "encoding": {"x": {"field": "none", "type": "quantitative"}},
            },
            *_intervals("difference", title, tip, width=3, size=120),
        ],
    )


def runs(points: Rows, means: Rows, title: str) -> Spec:
    """Every run as a dot (``method``, ``value``, ``run``), means with intervals (``mean``, ``low``, ``high``)."""
    tip = _tip(("method", "method", ""), ("mean", "mean", ".1f"), ("low", "from", ".1f"), ("high", "to", ".1f"))
    of_run = _tip(("method", "method", ""), ("run", "run", ".0f"), ("value", "balanced accuracy", ".1f"))
    return base(
        points,
        _steps(points, 36),
        [
            {
                "mark": {"type": "point", "filled": True, "size": 28, "opacity": 0.45},
                "encoding": {
                    "x": _x("value", title),
                    "y": _y(),
                    "color": kind_color(),
                    "opacity": follow(full=0.4),
                    "tooltip": of_run,
                },
            },
            *(
                {"data": {"values": list(means)}, **layer}
                for layer in _intervals("mean", title, tip, width=2, size=110)
            ),
        ],
    )


def groups(rows: Rows) -> Spec:
    """Accuracy of many-, medium- and few-shot classes: ``method``, ``group``, ``value``, ``low``, ``high``."""
    names = list(dict.fromkeys(row["group"] for row in rows))
    order = [name for name in GROUPS if name in names]
    color = {
        "field": "group",
        "type": "nominal",
        "title": None,
        "scale": {"domain": order, "range": [f"var(--{name})" for name in order]},
        "legend": {"orient": "top"},
    }
    shapes = {"many": "square", "medium": "circle", "few": "triangle-up"}
    shape = {**color, "scale": {"domain": order, "range": [shapes[name] for name in order]}}
    tip = _tip(("method", "method", ""), ("group", "classes", ""), ("value", "accuracy", ".1f"))
    return base(
        rows,
        _steps(rows, 36),
        [
            {
                "mark": {"type": "rule", "strokeWidth": 2},
                "encoding": {
                    "x": _x("low", "accuracy, %"),
                    "x2": {"field": "high"},
                    "y": _y(),
                    "color": color,
                    "opacity": follow(),
                },
            },
            {
                "mark": {"type": "point", "filled": True, "size": 80},
                "encoding": {
                    "x": _x("value", "accuracy, %"),
                    "y": _y(),
                    "color": color,
                    "shape": shape,
                    "opacity": follow(),
                    "tooltip": tip,
                },
            },
        ],
    )


def per_class(rows: Rows, labels: Sequence[str], number: int) -> Spec:
    """Accuracy of each class, from most to fewest training samples: ``rank``, ``class``, ``train``, ``value``."""
    axis: Spec = {"title": "classes, from most to fewest training samples", "grid": False}
    x: Spec = {"field": "rank", "type": "quantitative", "axis": axis, "scale": {"domain": [1, number], "nice": False}}
    if number <= NAMED:
        axis |= {"labelAngle": -40, "labelOverlap": True}
        x = {"field": "class", "type": "ordinal", "sort": {"field": "rank"}, "axis": axis}
    y = {
        "field": "value",
        "type": "quantitative",
        "title": "test accuracy, %",
        "scale": {"domain": [0, 100], "clamp": True},
    }
    tip = _tip(
        ("class", "class", ""),
        ("train", "training samples", ","),
        ("method", "method", ""),
        ("value", "accuracy, %", ".1f"),
    )
    shared = {"x": x, "y": y, "color": method_color(labels), "opacity": follow(faint=0.08)}
    line: Spec = {
        "mark": {"type": "line", "strokeWidth": 2, "aria": False},
        "encoding": {**shared, "strokeDash": kind_dash()},
    }
    point: Spec = {"mark": {"type": "point", "filled": True, "size": 45}, "encoding": {**shared, "tooltip": tip}}
    if number > POINTS:  # lines are means of neighbours; the classes themselves are shown of what is followed
        of_bin = {**shared, "x": {"field": "from", **{k: v for k, v in x.items() if k != "field"}}}
        line["encoding"] = {**of_bin, "y": {**y, "field": "mean"}, "strokeDash": kind_dash()}
        line["transform"] = [
            {"bin": {"step": neighbours(number)}, "field": "rank", "as": ["from", "to"]},
            {"aggregate": [{"op": "mean", "field": "value", "as": "mean"}], "groupby": ["from", "method", "kind"]},
        ]
        point["transform"] = [{"filter": "datum.method === method || datum['class'] === klass"}]
    chosen = {
        "mark": {"type": "rule", "color": "var(--ink)", "strokeDash": [2, 2], "aria": False},
        "transform": [{"filter": "klass && datum['class'] === klass"}],
        "encoding": {"x": x},
    }
    return base(rows, 300, [line, point, chosen])


def neighbours(number: int) -> int:
    """How many classes of so many a line is the mean of; 1 up to :data:`POINTS`.

    Example:
        >>> neighbours(100), neighbours(1000)
        (1, 25)
    """
    return 1 if number <= POINTS else max(5, number // 40)


def sizes(rows: Rows, number: int) -> Spec:
    """Training samples of each class, on a logarithmic axis: ``rank``, ``class``, ``train``."""
    axis: Spec = {"title": None, "labels": False, "ticks": False}
    x: Spec = {"field": "rank", "type": "ordinal", "axis": axis}
    tip = _tip(("class", "class", ""), ("train", "training samples", ","))
    y = {
        "field": "train",
        "type": "quantitative",
        "title": "samples",
        "scale": {"type": "symlog"},
        "axis": {"tickCount": 3},
    }
    mark = {"type": "bar", "color": "var(--soft)"}
    encoding = {"x": x, "y": y, "tooltip": tip, "opacity": follow("class", faint=0.35)}
    layers: list[Spec] = [{"mark": mark, "encoding": encoding}]
    if number <= 30:
        text = {"mark": {"type": "text", "dy": -7, "color": "var(--ink)", "fontSize": 11, "aria": False}}
        layers.append({**text, "encoding": {"x": x, "y": y, "text": {"field": "train", "format": ","}}})
    return base(rows, 90, layers)


def curves(rows: Rows, labels: Sequence[str], title: str, *, log: bool = True) -> Spec:
    """A measure over epochs, a line for each method: ``epoch``, ``method``, ``value``; above 0 where ``log``."""
    y = {"field": "value", "type": "quantitative", "title": title, **(LOG if log else _LINEAR)}
    x = {"field": "epoch", "type": "quantitative", "title": "epoch", "axis": {"tickMinStep": 1}}
    tip = _tip(("method", "method", ""), ("epoch", "epoch", ".0f"), ("value", title, ".4g"))
    shared = {"x": x, "y": y, "color": method_color(labels), "opacity": follow(faint=0.08)}
    return base(
        rows,
        240,
        [
            {
                "mark": {"type": "line", "strokeWidth": 2, "aria": False},
                "encoding": {**shared, "strokeDash": kind_dash()},
            },
            {"mark": {"type": "point", "filled": True, "size": 30}, "encoding": {**shared, "tooltip": tip}},
        ],
    )


def lines(rows: Rows, styles: Mapping[str, tuple[str, str]], x: Spec, y: Spec, *, joined: bool = True) -> Spec:
    """Named lines with a legend: ``line``, ``x`` and ``y`` of each row.

    ``styles`` are the variable of the colour and the kind whose dash it has, by name of a line; ``x`` and ``y`` what
    their axes have beside the field, a title at least. Points alone where they are not ``joined``.
    """
    names = list(styles)
    legend: Spec = {"field": "line", "type": "nominal", "title": None, "legend": {"orient": "top", "columns": _COLUMNS}}
    hues = {"domain": names, "range": [f"var({hue})" for hue, _ in styles.values()]}
    dashes = {"domain": names, "range": [_DASHES[kind] for _, kind in styles.values()]}
    marks = {"domain": names, "range": ["circle" if kind == "learned" else "diamond" for _, kind in styles.values()]}
    shared = {"x": {"field": "x", **x}, "y": {"field": "y", **y}, "color": {**legend, "scale": hues}}
    tip = _tip(("line", "line", ""), ("x", x["title"], ""), ("y", y["title"] or "value", ".4g"))
    line = {
        "mark": {"type": "line", "strokeWidth": 2, "aria": False},
        "encoding": {**shared, "strokeDash": {**legend, "scale": dashes}},
    }
    point = {
        "mark": {"type": "point", "filled": True, "size": 40},
        "encoding": {**shared, "shape": {**legend, "scale": marks}, "tooltip": tip},
    }
    return base(rows, 260, [line, point] if joined else [point])


def depth(rows: Rows, layers: Sequence[str], names: Sequence[str]) -> Spec:
    """Measures through the layers of a network: ``x`` a layer, ``line`` a measure, ``y`` its value, above 0."""
    kinds = list(_DASHES)
    styles = {name: (f"--c{i % HUES}", kinds[i % len(kinds)]) for i, name in enumerate(names)}
    x = {"type": "ordinal", "scale": {"domain": list(layers)}, "title": "layer"}
    return lines(rows, styles, x, {"type": "quantitative", "title": None, **LOG})


def reliability() -> Spec:
    """Accuracy against confidence by bin: ``confidence``, ``accuracy``, ``samples``; on the diagonal it is honest."""
    percent = {"scale": {"domain": [0, 100]}, "type": "quantitative"}
    tip = _tip(("confidence", "confidence", ".1f"), ("accuracy", "accuracy", ".1f"), ("samples", "samples", ","))
    places = {
        "x": {"field": "confidence", "title": "confidence, %", **percent},
        "y": {"field": "accuracy", "title": "accuracy, %", **percent},
    }
    diagonal = {
        "data": {"values": [{"x": 0, "y": 0}, {"x": 100, "y": 100}]},
        "mark": {"type": "line", "color": "var(--soft)", "strokeDash": [3, 3], "strokeWidth": 1, "aria": False},
        "encoding": {
            "x": {"field": "x", **percent, "title": "confidence, %"},
            "y": {"field": "y", **percent, "title": "accuracy, %"},
        },
    }
    size = {"field": "samples", "type": "quantitative", "scale": {"range": [20, 400]}, "legend": None}
    color = "var(--learned)"
    return base(
        [],
        280,
        [
            diagonal,
            {"mark": {"type": "line", "color": color, "aria": False}, "encoding": places},
            {
                "mark": {"type": "circle", "color": color, "opacity": 0.8},
                "encoding": {**places, "size": size, "tooltip": tip},
            },
        ],
    )


def matrix(names: Sequence[str], *, down: str, across: str, value: str, signed: bool) -> Spec:
    """Cells of classes by classes, ``row`` and ``column`` their names: the stronger the colour the larger ``value``.

    ``names`` gives the order of both axes. Cosines are ``signed``: what is below 0 has a hue of its own.
    """
    number = len(names)
    few = number <= NAMED
    axis = {
        "labels": few,
        "ticks": few,
        "domain": False,
        "labelOverlap": True,
        "labelLimit": 90,
        "labelAlign": "right",
        "labelOffset": 0,
        "labelPadding": 4,
        "titlePadding": 8,
    }
    order = {"domain": list(names)}
    x = {
        "field": "column",
        "type": "ordinal",
        "scale": order,
        "title": across,
        "axis": {**axis, "labelAngle": -60 if few else 0},
    }
    y = {"field": "row", "type": "ordinal", "scale": order, "title": down, "axis": axis}
    opacity = (
        {"domain": [-1, 0, 1], "range": [1, 0.04, 1]}
        if signed
        else {"domain": [0, 100], "range": [0.05 if number <= POINTS else 0.4, 1]}
    )
    tips = _tip(("row", down, ""), ("column", across, ""), ("value", value, "+.3f" if signed else ".1f"))
    tips += [] if signed else _tip(("samples", "test samples", ","))
    color: Spec = {"value": "var(--learned)"}
    if signed:
        color = {"condition": {"test": "datum.value < 0", "value": "var(--fixed)"}, "value": "var(--learned)"}
    outline = {
        "condition": {"test": "klass && (datum.row === klass || datum.column === klass)", "value": "var(--ink)"},
        "value": None,
    }
    return base(
        [],
        340,
        [
            {
                "mark": {"type": "rect"} if number <= POINTS else {"type": "square", "size": 14},
                "encoding": {
                    "x": x,
                    "y": y,
                    "fill": color,
                    "fillOpacity": {"field": "value", "type": "quantitative", "scale": opacity, "legend": None},
                    "stroke": outline,
                    "tooltip": tips,
                },
            }
        ],
    )
