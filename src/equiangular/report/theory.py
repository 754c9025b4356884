"""The figures and tables of the theory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from equiangular.report.figure import FIXED, LEARNED, new_figure
from equiangular.report.table import new_table

# Of the curves of convergence, by loss and scale: name, colour, line.
STYLES = {
    ("dr", 1.0): ("DR", FIXED, "-"),
    ("dot", 1.0): ("dot", "#009E73", "-"),
    ("ce", 1.0): ("CE, scale 1", "#56B4E9", "--"),
    ("ce", 8.0): ("CE, scale 8", LEARNED, "-"),
    ("ce", 32.0): ("CE, scale 32", "#CC79A7", "-"),
}
# Of a solution for class sizes of one's own: key, heading, format.
PEELED = (
    ("objective", "objective", "{:.3g}"),
    ("weight_cosine", "closest classifier vectors, cos", "{:+.3f}"),
    ("features_cosine", "closest features, cos", "{:+.3f}"),
    ("etf_distance", "distance to an ETF", "{:.2g}"),
    ("residual", "residual", "{:.1g}"),
)


def theory_figures(results: dict[str, Any]) -> dict[str, Any]:
    """Figures of a result of :func:`equiangular.theory.run.compute_theory`: minority, gradients and convergence.

    Raises:
        ImportError: matplotlib is missing.
    """
    drawn: dict[str, Callable[[Any], Any]] = {
        "minority": _minority,
        "gradients": _gradients,
        "convergence": _convergence,
    }
    return {name: draw(results[name]) for name, draw in drawn.items()}


def peeled_table(own: dict[str, Any]) -> Any:
    """A ``rich.table.Table`` of what the layer-peeled model has for the class sizes given."""
    headings = [heading for _, heading, _ in PEELED]
    table = new_table(f"class sizes {sizes(own['class_counts'])}", "loss", "classifier", numbers=headings)
    for row in own["rows"]:
        table.add_row(row["loss"], row["classifier"], *(form.format(row[key]) for key, _, form in PEELED))
    return table


def sizes(counts: Sequence[float]) -> str:
    """Class sizes as a text."""
    return ", ".join(f"{n:g}" for n in counts)


def _minority(rows: list[dict[str, Any]]) -> Any:
    figure = new_figure(9, 3.8)
    axes = figure.subplots(1, 2, sharey=True)
    ratios = [row["ratio"] for row in rows]
    for axis, part, title in zip(axes, ("weight", "features"), ("classifier vectors", "features"), strict=True):
        for head, color in (("learnable", LEARNED), ("fixed", FIXED)):
            for group, line in (("minority", "-"), ("majority", ":")):
                values = [row[f"{head}_{part}_{group}_cosine"] for row in rows]
                label = f"{'learned' if head == 'learnable' else 'fixed ETF'}, {group}"
                axis.plot(ratios, values, line, marker="o", color=color, label=label)
        axis.axhline(rows[0]["etf_cosine"], color="0.6", linewidth=0.8)
        axis.set(xscale="log", xlabel="imbalance ratio R", title=title)
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("mean cosine of two classes")
    axes[0].legend(frameon=False, fontsize=8)
    return figure


def _gradients(parts: dict[str, Any]) -> Any:
    figure = new_figure(9, 3.4)
    left, right = figure.subplots(1, 2)
    classes = range(len(parts["counts"]))
    for axis, name, title in ((left, "classifier", "on a classifier vector"), (right, "feature", "on one feature")):
        axis.bar([c - 0.2 for c in classes], parts[f"{name}_pull"], width=0.38, color="#009E73", label="pull")
        axis.bar([c + 0.2 for c in classes], parts[f"{name}_push"], width=0.38, color="#CC79A7", label="push")
        axis.set(title=f"cross-entropy's gradient {title}", xlabel="samples of the class", ylabel="norm")
        axis.set_xticks(list(classes), [f"{n:g}" for n in parts["counts"]], fontsize=8)
        axis.legend(frameon=False, ncols=2, loc="upper right")
        axis.margins(y=0.15)
    left.set(yscale="log", ylim=(None, 2 * max(parts["classifier_pull"])))
    return figure


def _convergence(study: dict[str, Any]) -> Any:
    figure = new_figure(9, 4)
    axes = figure.subplots(1, 2, sharey=True)
    for axis, start in zip(axes, ("random", "opposite"), strict=True):
        for curve in study["curves"]:
            key = (curve["loss"], curve["scale"])
            if curve["start"] == start and curve["learning_rate"] == 0.5 and key in STYLES:
                label, color, line = STYLES[key]
                points = [(s, max(v, 1e-17)) for s, v in zip(curve["steps"], curve["one_minus_cos"], strict=True) if s]
                axis.plot(*zip(*points, strict=True), line, color=color, label=label)
        axis.set(xscale="log", yscale="log", xlabel="gradient step (learning rate 0.5)", title=f"{start} start")
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("1 - cos to the vertex")
    axes[0].legend(frameon=False)
    return figure
