"""Tables of several studies together, for a terminal and in Markdown. Reads what was computed, computes nothing."""

from __future__ import annotations

from typing import Any, NamedTuple

from equiangular._extras import require
from experiments.common import cell_text
from experiments.studies.across import MARGIN, VERDICTS
from experiments.studies.summary import CONTRASTS

# How the verdicts of these tables and figures come about. The records of a study have no scores by test sample.
RULE = f"Level: the whole 95 % CI within {MARGIN:g} point either side; intervals over runs alone, not over test samples"
_PAIRS = (("balanced_accuracy", "balanced"), ("many", "many"), ("medium", "medium"), ("few", "few"), ("ece", "ECE"))


class Grid(NamedTuple):
    """A table as plain text: its title, its headings and its rows. The first ``text`` columns are words."""

    title: str
    headings: tuple[str, ...]
    rows: list[tuple[str, ...]]
    text: int = 1

    def markdown(self) -> str:
        """The rows as a Markdown table, numbers to the right.

        Example:
            >>> print(Grid("t", ("name", "n"), [("a", "1")]).markdown())
            | name | n |
            |---|--:|
            | a | 1 |
        """
        ruler = "|".join("---" if i < self.text else "--:" for i in range(len(self.headings)))
        head, *body = (f"| {' | '.join(row)} |" for row in (self.headings, *self.rows))
        return "\n".join((head, f"|{ruler}|", *body))

    def rich(self) -> Any:
        """A ``rich.table.Table``."""
        table_module = require("rich.table", extra="train", purpose="Printing the table")
        table = table_module.Table(title=self.title, title_justify="left")
        for i, heading in enumerate(self.headings):
            table.add_column(heading, justify="left" if i < self.text else "right", overflow="fold")
        for row in self.rows:
            table.add_row(*row)
        return table


def effects_grid(summary: dict[str, Any]) -> Grid:
    """The effect of every level of every factor, mean over the data sets.

    Args:
        summary: what :func:`experiments.studies.across.summarise_across` returns.
    """
    rows = []
    for effect in summary["effects"]:
        overall, over_data = effect["overall"], effect["over_data"]
        across = f"{overall['n'] - overall['above'] - overall['below']}"
        counts = (str(overall["above"]), across, str(overall["below"]))
        names = (effect["factor"], effect["level"], effect["reference"])
        rows.append((*names, _points(overall), str(overall["n"]), *counts, _points(over_data), str(over_data["n"])))
    headings = ("factor", "level", "against", "points", "data sets", "above 0", "across", "below", "by data", "data")
    title = "Effect on balanced accuracy, all else equal: mean and 95 % CI over data sets, points"
    return Grid(title, headings, rows, text=3)


def ranking_grid(summary: dict[str, Any]) -> Grid | None:
    """The methods by mean rank; None where there was nothing to rank."""
    ranking = summary["ranking"]
    if ranking is None:
        return None
    rows = [
        (m["label"], f"{m['mean_rank']:.2f}", f"{sum(m['scores']) / len(m['scores']):.1f}") for m in ranking["methods"]
    ]
    title = f"{ranks_title(ranking)}; critical difference {ranking['critical_difference']:.2f}"
    return Grid(title, ("method", "mean rank", "mean %"), rows)


def ranks_title(ranking: dict[str, Any]) -> str:
    """What is ranked, on how many data sets, and Friedman's test."""
    stand_ins = len(ranking["stand_ins"])
    projected = f", on {stand_ins} of them the ETF behind a learned projection" if stand_ins else ""
    return (
        f"Mean rank by balanced accuracy, 1 is best, over {len(ranking['data_sets'])} data sets{projected}; "
        f"Friedman's p = {ranking['p_value']:.2g}"
    )


def contrasts_grid(summary: dict[str, Any], contrast: str, *, short: bool = False) -> Grid:
    """A fixed cell against a learnable one, data set by data set; both means as fixed / learnable.

    Args:
        summary: what :func:`experiments.studies.across.summarise_across` returns.
        contrast: a key of :data:`experiments.studies.summary.CONTRASTS`.
        short: only the balanced accuracy of both.
    """
    pairs = _PAIRS[:1] if short else _PAIRS
    rows = []
    for c in summary["contrasts"]:
        if c["contrast"] == contrast:
            both = (_pair(c["scores"][key]) for key, _ in pairs)
            tests = (_interval(c), c["verdict"], f"{c['p_value']:.2g}", f"{c['p_holm']:.2g}", str(c["n"]))
            rows.append((c["data_set"], c["fixed"], c["learnable"], *tests, *both))
    headings = ("data set", "fixed", "learnable", "points", "verdict", "p", "p (Holm)", "n", *(h for _, h in pairs))
    return Grid(_title(contrast), headings, rows, text=3)


def verdicts_grid(summary: dict[str, Any]) -> Grid:
    """On how many data sets the fixed classifier gets which verdict, by kind of contrast."""
    rows = [
        (
            _title(v["contrast"]),
            str(v["n"]),
            *(f"{v[word]} ({v[f'{word}_holm']})" if f"{word}_holm" in v else str(v[word]) for word in VERDICTS),
            _interval(v),
            v["verdict"],
            "-" if _missing(v["p_value"]) else f"{v['p_value']:.2g}",
            _points(v["over_data"]),
            str(v["over_data"]["n"]),
        )
        for v in summary["verdicts"]
    ]
    headings = ("contrast", "data sets", *VERDICTS, "points", "verdict", "p", "by data", "data")
    title = f"Is a fixed classifier better? {RULE} (in brackets: after Holm's correction)"
    return Grid(title, headings, rows)


def grids(summary: dict[str, Any], *, short: bool = False) -> list[Grid]:
    """Every table that has rows, in the order in which they are read; ``short`` for a narrow screen."""
    found = [
        verdicts_grid(summary),
        *(contrasts_grid(summary, contrast, short=short) for contrast in CONTRASTS),
        effects_grid(summary),
        ranking_grid(summary),
    ]
    return [grid for grid in found if grid is not None and grid.rows]


def summary_markdown(summary: dict[str, Any]) -> str:
    """Every table in Markdown, each under its title."""
    names = ", ".join(f"{one['name']} ({one['cells']} cells)" for one in summary["data_sets"])
    parts = [f"{len(summary['data_sets'])} data sets: {names}."]
    if summary["left_out"]:
        parts.append(f"Left out, the same data at the same imbalance factor: {', '.join(summary['left_out'])}.")
    parts += [f"**{grid.title}**\n\n{grid.markdown()}" for grid in grids(summary)]
    return "\n\n".join(parts) + "\n"


def _title(contrast: str) -> str:
    text = CONTRASTS[contrast]
    return text[0].upper() + text[1:]


def _points(mean: dict[str, Any]) -> str:
    text = cell_text({"mean": mean["mean_difference"], "ci95": mean["ci95"]}, "points")
    return text if text.startswith("-") else f"+{text}"


def _interval(test: dict[str, Any]) -> str:
    text = f"{test['mean_difference']:+.1f}"
    return text if _missing(test["ci_low"]) else f"{text} [{test['ci_low']:+.1f}, {test['ci_high']:+.1f}]"


def _pair(means: dict[str, float | None]) -> str:
    """Both means; a group that a data set does not have is ``-``."""
    if _missing(means["fixed"]) or _missing(means["learnable"]):
        return "-"
    return f"{means['fixed']:.1f} / {means['learnable']:.1f}"


def _missing(value: float | None) -> bool:
    return value is None or value != value
