"""The page of the theory, with four classes in three dimensions to play."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from equiangular.report import charts, vega
from equiangular.report.drawn import number
from equiangular.report.page import Cell, Facts, Figure, Line, Page, Pair, Part, Section, Table, Text, write
from equiangular.report.provenance import made
from equiangular.report.theory import PEELED, STYLES, sizes

_HUES = ("--c1", "--c2", "--c5", "--c0", "--c3")  # of STYLES, in the colours of the page
_HEADS = {"learned": ("--learned", "learned"), "fixed": ("--fixed", "fixed")}
_OPTIMUM = (
    ("excess", "objective above that at the vertices", ".1e"),
    ("deviation", "largest deviation from the vertex", ".1e"),
    ("residual", "residual of the optimality conditions", ".1e"),
    ("vertex_residual", "residual at the vertices", ".0e"),
    ("steps", "steps", ","),
)
_SOURCES = (
    "Fang, He, Long and Su 2021 (PNAS 118(43)); Yang et al. 2022 (arXiv 2203.09081); Papyan, Han and Donoho 2020 (PNAS "
    "117(40))"
)


def write_theory_page(results: Mapping[str, Any], path: str | Path) -> Path:
    """Write the self-contained page of a result of :func:`equiangular.theory.run.compute_theory` atomically."""
    return write(theory_page(results), path)


def theory_page(results: Mapping[str, Any]) -> Page:
    """The page of the theory, as parts; the argument is as for :func:`write_theory_page`."""
    title = "Neural collapse, in theory"
    return Page(
        title=title,
        heading="The layer-peeled model",
        effect="The features of the last layer are free variables: where does training end? With balanced classes at a "
        "simplex, learned or fixed. With rare classes a learned classifier lets them merge, a fixed one cannot.",
        sections=[
            Section("view", "In three dimensions", _view(results["tetrahedron"])),
            Section("own", "Your class sizes", _own(results.get("own"))),
            Section("minority", "Minority collapse", _minority_parts(results["minority"])),
            Section("optimum", "One optimum", _optimum(results["optimum"])),
            Section("gradients", "Pull and push", _gradient_parts(results["gradients"])),
            Section("convergence", "Is dot-regression faster?", _convergence_parts(results["convergence"])),
            Section("origin", "How it was made", [Facts([*made(results["provenance"]), ("sources", _SOURCES)])]),
        ],
    )


def _view(scenes: Mapping[str, Mapping[str, Any]]) -> list[Part]:
    choices = {}
    for name, scene in scenes.items():
        head, _, of = name.partition(", ")
        kinds = ("", "", "", "") if of == "balanced" else (", frequent", ", frequent", ", rare", ", rare")
        ends_at = scene if head == "fixed" else scenes["learned, balanced"]
        choices[name] = {
            "classes": [f"class {c + 1}{kind}" for c, kind in enumerate(kinds)],
            "unit": "step",
            "epochs": scene["steps"],
            "labels": scene["labels"],
            "features": scene["features"],
            "means": [[] for _ in scene["steps"]],
            "vectors": scene["weight"],
            "corners": ends_at["weight"][-1],
        }
    about = "Features and class vectors of four classes in three dimensions, over the gradient steps."
    note = (
        "Dots are features, arrows class vectors. In grey the tetrahedron where training ends: that of the fixed head, "
        "and for the learned head the one that it reaches on balanced data. Drag, or use the arrow keys, to turn."
    )
    first = ("learned, imbalance 300", "fixed, imbalance 300")
    parts: list[Part] = [Pair("view", "Features and class vectors in 3-D", None, choices, first, about, note=note)]
    for of in ("imbalance 300", "balanced"):
        points = [
            {"line": head, "x": step, "y": cosine}
            for head in _HEADS
            for step, cosine in zip(*(scenes[f"{head}, {of}"][key] for key in ("steps", "tail_cosine")), strict=True)
            if step
        ]
        spec = charts.lines(points, _HEADS, _log("gradient step"), _value("cosine of class vectors 3 and 4"))
        told = "Cosine of the vectors of classes 3 and 4 over the gradient steps: 1 is merged, −1/3 the tetrahedron."
        parts.append(Figure(f"cosine-{of.replace(' ', '-')}", f"Classes 3 and 4, {of}", spec, told))
    return parts


def _own(own: Mapping[str, Any] | None) -> list[Part]:
    if not own:
        return []
    lines = [
        Line([Cell(row["loss"]), Cell(row["classifier"]), *(number(row[k], f[2:-1]) for k, _, f in PEELED)])
        for row in own["rows"]
    ]
    ideal = -1 / (len(own["class_counts"]) - 1)
    note = (
        f"A cosine of +1 is two classes merged; an ETF has {number(ideal, '+.3f').text} for all. "
        "Dot-regression with a learned classifier has no push: what it ends at depends on the start."
    )
    headings = ("loss", "classifier", *(heading for _, heading, _ in PEELED))
    return [Table("own-table", f"Class sizes {sizes(own['class_counts'])}", headings, lines, (0, 1), note)]


def _minority_parts(rows: Sequence[Mapping[str, Any]]) -> list[Part]:
    last = rows[-1]
    learned, fixed, distance = (
        number(last[key], form).text
        for key, form in (
            ("learnable_weight_minority_cosine", "+.3f"),
            ("fixed_weight_minority_cosine", "+.3f"),
            ("fixed_etf_distance", ".1g"),
        )
    )
    text = (
        "Ten classes, half of them R times larger than the others, cross-entropy, solved to the optimum. "
        f"At R = {last['ratio']} the class vectors of the small classes have mean cosine {learned} when learned: they "
        f"are one vector. Fixed to an ETF they stay at {fixed}, and so do the features (distance to an ETF {distance})."
    )
    styles = {
        "learned, rare classes": ("--learned", "learned"),
        "fixed, rare classes": ("--fixed", "learned"),
        "learned, frequent classes": ("--learned", "fixed"),
        "fixed, frequent classes": ("--fixed", "fixed"),
    }
    heads, groups = (("learned", "learnable"), ("fixed", "fixed")), (("rare", "minority"), ("frequent", "majority"))
    parts: list[Part] = [Text(text)]
    for part, title in (("weight", "Class vectors"), ("features", "Features")):
        points = [
            {"line": f"{head}, {group} classes", "x": row["ratio"], "y": row[f"{key}_{part}_{of}_cosine"]}
            for row in rows
            for head, key in heads
            for group, of in groups
        ]
        spec = charts.lines(points, styles, _log("imbalance ratio R"), _value("mean cosine of two classes"))
        about = (
            f"Mean cosine of two classes over the imbalance ratio; an ETF has {number(last['etf_cosine'], '.3f').text}."
        )
        parts.append(Figure(f"minority-{part}", title, spec, about))
    shown = (
        ("learnable_weight_minority_cosine", "class vectors, learned", "+.3f"),
        ("fixed_weight_minority_cosine", "class vectors, fixed", "+.3f"),
        ("learnable_features_minority_cosine", "features, learned", "+.3f"),
        ("fixed_features_minority_cosine", "features, fixed", "+.3f"),
        ("learnable_etf_distance", "distance to an ETF, learned", ".2g"),
        ("fixed_etf_distance", "distance to an ETF, fixed", ".1g"),
    )
    lines = [Line([Cell(f"{row['ratio']:g}", row["ratio"]), *(number(row[k], f) for k, _, f in shown)]) for row in rows]
    headings = ("R", *(heading for _, heading, _ in shown))
    return [*parts, Table("minority-table", "Rare classes, mean cosine of two of them", headings, lines)]


def _optimum(found: Mapping[str, Mapping[str, Any]]) -> list[Part]:
    text = (
        "With the classifier fixed to an ETF, cross-entropy and dot-regression are minimised by the same features, "
        "each on its vertex, whatever the class sizes. Dot-regression gets there sub-linearly: its deviation still "
        "shrinks as 1/√steps when its objective is at the minimum to nine digits."
    )
    lines = [Line([Cell(name), *(number(row[k], f) for k, _, f in _OPTIMUM)]) for name, row in found.items()]
    headings = ("loss, class sizes", *(heading for _, heading, _ in _OPTIMUM))
    return [Text(text), Table("optimum-table", "Where both losses end", headings, lines)]


def _gradient_parts(parts: Mapping[str, Any]) -> list[Part]:
    ratio = parts["classifier_push"][-1] / parts["classifier_pull"][-1]
    text = (
        "The gradient of cross-entropy on a class vector has a pull from the class's own samples and a push from all "
        f"others. For a rare class the push is {ratio:.0f} times the pull here. On a feature the push is there too; "
        "dot-regression has none."
    )
    styles = {"pull": ("--c2", "learned"), "push": ("--c3", "fixed")}
    made_of: list[Part] = [Text(text)]
    for of, title, scale in (("classifier", "On a class vector", "log"), ("feature", "On one feature", "linear")):
        points = [
            {"line": name, "x": f"{place + 1}: {count:g}", "y": value}
            for name in styles
            for place, (count, value) in enumerate(zip(parts["counts"], parts[f"{of}_{name}"], strict=True))
        ]
        x = {"type": "ordinal", "title": "class: its samples", "sort": None, "axis": {"labelAngle": -40}}
        y = {"type": "quantitative", "title": "norm of the gradient's part", **(vega.LOG if scale == "log" else {})}
        about = f"Norms of pull and push of cross-entropy's gradient {title.lower()}, by class."
        made_of.append(Figure(f"gradient-{of}", title, charts.lines(points, styles, x, y, joined=False), about))
    return made_of


def _convergence_parts(study: Mapping[str, Any]) -> list[Part]:
    curves = [c for c in study["curves"] if c["learning_rate"] == 0.5 and (c["loss"], c["scale"]) in STYLES]
    tail = next((c["tail_exponent"] for c in curves if c["loss"] == "dr" and c["start"] == "random"), None)
    measured = "" if tail is None else f" (measured exponent {number(tail, '.2f').text})"
    text = (
        "Than the plain dot loss, on the far side, yes: where cos < 0 its pull is the stronger one, twice as strong "
        "opposite the vertex; from random starts it never leads. Near the vertex, no: its pull is (1 − cos), which "
        f"vanishes with the error, so 1 − cos falls like 1/(2 · rate · step){measured}. The dot loss, and "
        "cross-entropy at a moderate scale, reach the limit of float64. Cross-entropy at a large scale stops early: "
        "once a class is clearly predicted nothing pulls any more."
    )
    kinds = ("learned", "fixed", "mapped", "computed", "learned")
    styles = {label: (hue, kind) for (label, _, _), hue, kind in zip(STYLES.values(), _HUES, kinds, strict=True)}
    parts: list[Part] = [Text(text)]
    y = {
        "type": "quantitative",
        "title": "1 − cos to the vertex",
        "scale": {"type": "log"},
        "axis": {"format": ".0e", "tickCount": 6},
    }
    for start, title in (("random", "From random starts"), ("opposite", "From opposite the vertex")):
        points = [
            {"line": STYLES[c["loss"], c["scale"]][0], "x": step, "y": max(value, 1e-17)}
            for c in curves
            if c["start"] == start
            for step, value in zip(c["steps"], c["one_minus_cos"], strict=True)
            if step
        ]
        about = "1 − cos of feature and vertex over gradient steps, learning rate 0.5."
        parts.append(
            Figure(f"convergence-{start}", title, charts.lines(points, styles, _log("gradient step"), y), about)
        )
    return parts


def _log(title: str) -> dict[str, Any]:
    return {"type": "quantitative", "title": title, "scale": {"type": "log"}, "axis": {"grid": False, "format": "~s"}}


def _value(title: str) -> dict[str, Any]:
    return {"type": "quantitative", "title": title, "scale": {"zero": False}}
