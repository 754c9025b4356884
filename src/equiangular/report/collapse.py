"""Tables, curves and a page of collapse measures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from equiangular._extras import require
from equiangular._files import write_text
from equiangular.report.figure import figure_svg

# What each measure says: key -> (name, meaning, value at collapse).
MEANINGS = {
    "nc1": ("NC1", "within-class covariance against between-class covariance, tr(S_W S_B^+)/K", "0"),
    "nc1_quotient": ("NC1, quotient", "tr S_W / tr S_B", "0"),
    "cdnv": ("CDNV", "class-distance normalised variance, mean over pairs", "0"),
    "vci": ("VCI", "variability collapse index", "0"),
    "nc2_equinorm": ("NC2, equinorm", "std / mean of the norms of centred class means", "0"),
    "nc2_equiangular": ("NC2, equiangular", "mean |cos + 1/(K-1)| of centred class means", "0"),
    "nc2_std": ("NC2, std", "standard deviation of the cosines", "0"),
    "nc2_etf": ("NC2, ETF error", "distance of the normalised Gram matrix to an ETF's", "0"),
    "gnc2": ("GNC2", "variance of log distances on the sphere", "0"),
    "etf_distance": ("ETF distance", "root mean squared distance to the nearest ETF", "0"),
    "nc3": ("NC3", "|| W/||W|| - M/||M|| ||^2", "0"),
    "nc3_gram": ("NC3, Gram", "distance of normalised W M^T to an ETF's Gram matrix", "0"),
    "unc3": ("UNC3", "variance of cos(w_c, mu_c)", "0"),
    "nc4": ("NC4", "share of samples decided as by the nearest class mean", "1"),
    "max_cosine": ("largest cosine", "closest pair of class means", "-1/(K-1)"),
    "mean_cosine": ("mean cosine", "of class means", "-1/(K-1)"),
    "weight_mean_cosine": ("mean cosine, W", "of classifier vectors", "-1/(K-1)"),
    "effective_rank": ("effective rank", "of centred class means", "K-1"),
    "classes_seen": ("classes", "classes with samples", ""),
}
_CURVES = (("nc1", "cdnv", "vci"), ("nc2_equinorm", "nc2_equiangular", "etf_distance"), ("nc3", "unc3"))


def collapse_table(measured: dict[str, float], title: str) -> Any:
    """A ``rich.table.Table``: one row for each measure, a column for each group."""
    table_class = require("rich.table", extra="train", purpose="Printing the table").Table
    groups = list(dict.fromkeys(key.partition("/")[2] for key in measured if "/" in key))
    table = table_class(title=title, title_justify="left")
    table.add_column("measure", no_wrap=True)
    for heading in ("all classes", *groups, "at collapse"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("what it is", style="dim")
    for key, (name, meaning, limit) in MEANINGS.items():
        if key in measured or any(f"{key}/{group}" in measured for group in groups):
            cells = [_number(measured.get(k)) for k in (key, *(f"{key}/{group}" for group in groups))]
            table.add_row(name, *cells, limit, meaning)
    return table


def collapse_figure(rows: Sequence[dict[str, float]], epochs: Sequence[float]) -> Any:
    """Curves of the measures over epochs, on logarithmic axes; a single epoch is a point.

    Args:
        rows: measures by name, one dictionary for each epoch.
        epochs: their epochs.
    """
    figure_class = require("matplotlib.figure", extra="plot", purpose="Drawing the curves").Figure
    figure = figure_class(figsize=(11, 3.4), layout="constrained")
    for axis, keys, title in zip(figure.subplots(1, 3), _CURVES, ("NC1", "NC2", "NC3"), strict=True):
        for key in keys:
            points = [(e, r[key]) for e, r in zip(epochs, rows, strict=True) if (r.get(key) or 0) > 0]
            if points:
                axis.plot(*zip(*points, strict=True), marker="o", markersize=3, label=MEANINGS[key][0])
        axis.set_yscale("log")
        axis.set_xlabel("epoch")
        axis.set_title(title)
        axis.grid(alpha=0.3)
        if axis.lines:
            axis.legend(frameon=False, fontsize=8)
    return figure


def write_collapse_page(results: dict[str, Any], path: str | Path) -> Path:
    """Write the self-contained page of ``equiangular measure`` atomically."""
    jinja2 = require("jinja2", extra="plot", purpose="Writing the page")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    last = results["measures"][-1]
    figure = collapse_figure(results["measures"], results["epochs"])
    text = environment.get_template("collapse.html").render(
        results=results,
        last=last,
        groups=list(dict.fromkeys(key.partition("/")[2] for key in last if "/" in key)),
        meanings=MEANINGS,
        number=_number,
        figure=figure_svg(figure),
        provenance=results["provenance"],
    )
    return write_text(path, text)


def _number(value: float | None) -> str:
    if value is None or value != value:
        return "-"
    return f"{value:.4g}"
