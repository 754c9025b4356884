"""Figures of a comparison and of a run: the effect with its margin, accuracy of every run, groups, epochs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from equiangular._atomic import write_atomically
from equiangular._extras import require
from equiangular.records import Answer, Comparison, Contrast


def template(name: str) -> Any:
    """A template by name, which escapes what it is given and refuses what it is not given. Needs jinja2."""
    jinja2 = require("jinja2", extra="plot", purpose="Writing the page")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template(name)


# Okabe and Ito's palette: distinguishable with any colour vision.
LEARNED, FIXED, MAPPED, COMPUTED = "#0072B2", "#D55E00", "#CC79A7", "#009E73"
COLORS = {"learned": LEARNED, "fixed": FIXED, "mapped": MAPPED, "computed": COMPUTED}
KINDS = {
    "learned": "classifier learned",
    "fixed": "classifier fixed",
    "mapped": "fixed behind a learned map",
    "computed": "computed in closed form",
}
GROUPS = (("many", "#56B4E9"), ("medium", "#009E73"), ("few", "#E69F00"))
# Beside rows whose hue says what is learned.
_SHADES = (("many", "0.78"), ("medium", "0.52"), ("few", "0.22"))


def new_figure(width: float, height: float) -> Any:
    """An empty ``matplotlib.figure.Figure`` of so many inches, made without pyplot: no global state, no window."""
    figure_class = require("matplotlib.figure", extra="plot", purpose="Drawing a figure").Figure
    return figure_class(figsize=(width, height), layout="constrained")


def comparison_figure(results: Comparison) -> Any:
    """The effect with its margin above; below every run with mean and interval, and many, medium and few side by side.

    Raises:
        ImportError: matplotlib is missing.
    """
    rows = results.rows[::-1]
    height, answer = 0.46 * len(rows) + 1.8, results.answer
    if answer is None or answer.contrast is None:
        figure = bottom = new_figure(11, height)
    else:
        contrasts = [answer.contrast, *answer.secondary]
        effect = 0.32 * len(contrasts) + 1.2
        figure = new_figure(11, height + effect)
        top, bottom = figure.subfigures(2, 1, height_ratios=(effect, height))
        kind = results.row(answer.contrast.fixed).kind
        _draw_effects(top.subplots(), answer, contrasts, {row.method: row.label for row in results.rows}, kind)
    left, right = bottom.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    for position, row in enumerate(rows):
        color, cell = COLORS[row.kind], row.measures["balanced_accuracy"]
        left.plot(cell.values, [position] * len(cell.values), "o", color=color, alpha=0.3, markersize=4)
        left.errorbar(cell.mean, position, xerr=cell.ci95, fmt="D", color=color, capsize=3, markersize=6)
        for offset, (group, tint) in zip((0.24, 0, -0.24), _SHADES, strict=True):
            value = row.measures[group].mean
            if value == value:
                right.barh(position + offset, value, height=0.22, color=tint)
    left.set_yticks(range(len(rows)), [row.label for row in rows])
    left.set_xlabel("balanced test accuracy, %\n(dots: runs; diamond: mean with 95 % CI)")
    low, high = left.get_xlim()
    left.set_xlim(max(low, 0), min(high, 101))  # an interval over a few runs may reach beyond what accuracy can be
    left.grid(axis="x", alpha=0.3)
    for kind in dict.fromkeys(row.kind for row in results.rows):
        left.plot([], [], "D", color=COLORS[kind], label=KINDS[kind])
    right.set_xlabel("accuracy by group, %")
    right.set_xlim(0, 100)
    right.grid(axis="x", alpha=0.3)
    for group, tint in _SHADES:
        if all(row.measures[group].mean != row.measures[group].mean for row in rows):
            continue  # NaN: no class is of that group
        right.barh([0], [0], color=tint, label=f"{group}-shot")
    bottom.legend(loc="outside upper center", ncols=6, frameon=False)
    return figure


def _draw_effects(axes: Any, answer: Answer, contrasts: list[Contrast], labels: dict[str, str], kind: str) -> None:
    """Fixed or computed minus learned with its interval and the margin; the others of the side below, in grey."""
    axes.axvspan(-answer.margin, answer.margin, color="0.9", zorder=0, label=f"margin of {answer.margin:g}")
    axes.axvline(0, color="black", linewidth=0.8)
    for place, contrast in enumerate(contrasts):
        if contrast.low is None or contrast.high is None:
            continue
        color = COLORS[kind] if place == 0 else "0.55"
        error = [[contrast.difference - contrast.low], [contrast.high - contrast.difference]]
        style = {"fmt": "D" if place == 0 else "o", "markersize": 7 if place == 0 else 4}
        axes.errorbar([contrast.difference], [place], xerr=error, color=color, capsize=3, **style)
    axes.set_yticks(range(len(contrasts)), [labels[c.fixed] for c in contrasts])
    axes.get_yticklabels()[0].set_fontweight("bold")
    axes.set_ylim(len(contrasts) - 0.4, -0.6)
    axes.set_xlabel(
        f"points of balanced accuracy minus {labels[contrasts[0].learned]}\n(interval over runs and test samples)"
    )
    axes.set_title(f"{answer.word}: a {kind} classifier minus a learned one", loc="left", fontsize=10)
    axes.grid(axis="x", alpha=0.3)
    axes.legend(loc="best", frameon=False, fontsize=8)


def save_figure(figure: Any, path: str | Path) -> Path:
    """Write a figure atomically; the suffix chooses the format (.png, .svg, .pdf)."""
    return write_atomically(path, lambda p: figure.savefig(p, dpi=150))


def figure_svg(figure: Any) -> str:
    """A figure as an inline ``<svg>`` element: text stays text, nothing is fetched."""
    import io

    import matplotlib

    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "equiangular"}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def training_figure(results: dict[str, Any]) -> Any:
    """The epochs of what :func:`equiangular.training.train` returns, as a matplotlib figure."""
    rows = results["epochs"]
    epochs = [row["epoch"] for row in rows]
    figure = new_figure(9, 3.4)
    left, right = figure.subplots(1, 2)
    left.plot(epochs, [row["loss"] for row in rows], color=LEARNED)
    left.set(xlabel="epoch", ylabel="training loss", ylim=(0, None))
    names = (("validation_balanced_accuracy", FIXED, "balanced"), ("validation_accuracy", LEARNED, "all samples"))
    for name, color, label in names:
        if name in rows[0]:
            right.plot(epochs, [row[name] for row in rows], color=color, label=label)
    if results["best"] is not None:
        right.axvline(results["best"]["epoch"], color="grey", linestyle=":", label="best")
        right.legend(frameon=False)
    right.set(xlabel="epoch", ylabel="validation accuracy, %", ylim=(0, 100))
    for axes in (left, right):
        axes.xaxis.get_major_locator().set_params(integer=True)  # epochs
        axes.grid(alpha=0.3)
    figure.suptitle(f"{results['method']['label']} on {results['data']['name']}", x=0.01, ha="left")
    return figure
