"""Vega-Lite figures of a page that set methods side by side, as plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from equiangular.report.vega import (
    COLUMNS,
    DASHES,
    GROUPS,
    HUES,
    LINEAR,
    LOG,
    Rows,
    Spec,
    base,
    follow,
    intervals,
    kind_color,
    kind_dash,
    method_color,
    steps,
    tooltip,
    x_axis,
    y_axis,
)


def forest(rows: Rows, margin: float, title: str) -> Spec:
    """Differences with intervals, the margin as a band: ``method``, ``difference``, ``low``, ``high`` of each row."""
    tip = tooltip(
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
        steps(rows, 40),
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
            *intervals("difference", title, tip, width=3, size=120),
        ],
    )


def runs(points: Rows, means: Rows, title: str) -> Spec:
    """Every run as a dot (``method``, ``value``, ``run``), means with intervals (``mean``, ``low``, ``high``)."""
    tip = tooltip(("method", "method", ""), ("mean", "mean", ".1f"), ("low", "from", ".1f"), ("high", "to", ".1f"))
    of_run = tooltip(("method", "method", ""), ("run", "run", ".0f"), ("value", "balanced accuracy", ".1f"))
    return base(
        points,
        steps(points, 36),
        [
            {
                "mark": {"type": "point", "filled": True, "size": 28, "opacity": 0.45},
                "encoding": {
                    "x": x_axis("value", title),
                    "y": y_axis(),
                    "color": kind_color(),
                    "opacity": follow(full=0.4),
                    "tooltip": of_run,
                },
            },
            *({"data": {"values": list(means)}, **layer} for layer in intervals("mean", title, tip, width=2, size=110)),
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
    tip = tooltip(("method", "method", ""), ("group", "classes", ""), ("value", "accuracy", ".1f"))
    return base(
        rows,
        steps(rows, 36),
        [
            {
                "mark": {"type": "rule", "strokeWidth": 2},
                "encoding": {
                    "x": x_axis("low", "accuracy, %"),
                    "x2": {"field": "high"},
                    "y": y_axis(),
                    "color": color,
                    "opacity": follow(),
                },
            },
            {
                "mark": {"type": "point", "filled": True, "size": 80},
                "encoding": {
                    "x": x_axis("value", "accuracy, %"),
                    "y": y_axis(),
                    "color": color,
                    "shape": shape,
                    "opacity": follow(),
                    "tooltip": tip,
                },
            },
        ],
    )


def curves(rows: Rows, labels: Sequence[str], title: str, *, log: bool = True) -> Spec:
    """A measure over epochs, a line for each method: ``epoch``, ``method``, ``value``; above 0 where ``log``."""
    y = {"field": "value", "type": "quantitative", "title": title, **(LOG if log else LINEAR)}
    x = {"field": "epoch", "type": "quantitative", "title": "epoch", "axis": {"tickMinStep": 1}}
    tip = tooltip(("method", "method", ""), ("epoch", "epoch", ".0f"), ("value", title, ".4g"))
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
    legend: Spec = {"field": "line", "type": "nominal", "title": None, "legend": {"orient": "top", "columns": COLUMNS}}
    hues = {"domain": names, "range": [f"var({hue})" for hue, _ in styles.values()]}
    dashes = {"domain": names, "range": [DASHES[kind] for _, kind in styles.values()]}
    marks = {"domain": names, "range": ["circle" if kind == "learned" else "diamond" for _, kind in styles.values()]}
    shared = {"x": {"field": "x", **x}, "y": {"field": "y", **y}, "color": {**legend, "scale": hues}}
    tip = tooltip(("line", "line", ""), ("x", x["title"], ""), ("y", y["title"] or "value", ".4g"))
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
    kinds = list(DASHES)
    styles = {name: (f"--c{i % HUES}", kinds[i % len(kinds)]) for i, name in enumerate(names)}
    x = {"type": "ordinal", "scale": {"domain": list(layers)}, "title": "layer"}
    return lines(rows, styles, x, {"type": "quantitative", "title": None, **LOG})
