"""Vega-Lite figures of a page about classes and their samples, as plain values."""

from __future__ import annotations

from collections.abc import Sequence

from equiangular.report.vega import NAMED, POINTS, Rows, Spec, base, follow, kind_dash, method_color, tooltip


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
    tip = tooltip(
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
    tip = tooltip(("class", "class", ""), ("train", "training samples", ","))
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


def reliability() -> Spec:
    """Accuracy against confidence by bin: ``confidence``, ``accuracy``, ``samples``; on the diagonal it is honest."""
    percent = {"scale": {"domain": [0, 100]}, "type": "quantitative"}
    tip = tooltip(("confidence", "confidence", ".1f"), ("accuracy", "accuracy", ".1f"), ("samples", "samples", ","))
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
    tips = tooltip(("row", down, ""), ("column", across, ""), ("value", value, "+.3f" if signed else ".1f"))
    tips += [] if signed else tooltip(("samples", "test samples", ","))
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
