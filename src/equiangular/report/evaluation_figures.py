"""Pictures of an evaluation: the confusion matrix and the reliability diagram."""

from __future__ import annotations

from typing import Any

from equiangular._extras import require
from equiangular.report.figure import GROUPS, LEARNED

# Names and numbers are written into a confusion matrix up to these many classes.
_NAMED, _NUMBERED = 60, 20
RAW = "0.55"


def confusion_figure(results: dict[str, Any]) -> Any:
    """The confusion matrix, each row divided by its sum: true classes in rows, predictions in columns.

    Classes stand in the order of their training samples, the largest first, so that many-, medium- and few-shot classes
    are blocks; lines part them. Few-shot classes taken for many-shot ones lie below the diagonal.

    Args:
        results: what :func:`equiangular.inference.evaluate` returns.

    Returns:
        A ``matplotlib.figure.Figure``.
    """
    figure_class = require("matplotlib.figure", extra="plot", purpose="Drawing the confusion matrix").Figure
    classes, counts = results["classes"], results["confusion"]
    order = sorted(range(len(classes)), key=lambda i: -classes[i]["train"])
    names = [classes[i]["name"].replace("$", r"\$") for i in order]  # not mathematics
    shares = [[counts[i][j] / max(1, sum(counts[i])) for j in order] for i in order]
    size = 7.0 if len(order) > _NAMED else min(14.0, max(4.6, 0.3 * len(order) + 2.2))
    figure = figure_class(figsize=(size + 0.7, size), layout="constrained")
    axis = figure.subplots()
    image = axis.imshow(shares, cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
    if len(order) <= _NAMED:
        axis.set_xticks(range(len(names)), names, rotation=90, fontsize=8)
        axis.set_yticks(range(len(names)), names, fontsize=8)
    else:
        axis.set_xticks([])
        axis.set_yticks([])
    if len(order) <= _NUMBERED:
        for row, values in enumerate(shares):
            for column, share in enumerate(values):
                if share:
                    tone = "white" if share > 0.5 else "black"
                    axis.text(column, row, f"{100 * share:.0f}", ha="center", va="center", color=tone, fontsize=7)
    groups = [classes[i]["group"] for i in order]
    for place in range(1, len(groups)):
        if groups[place] != groups[place - 1]:
            for line in (axis.axhline, axis.axvline):
                line(place - 0.5, color="#D55E00", linewidth=1)
    suffix = "" if len(order) <= _NAMED else ", from most to fewest training samples"
    axis.set_xlabel(f"predicted class{suffix}")
    axis.set_ylabel(f"true class{suffix}")
    figure.colorbar(image, ax=axis, label="share of the true class's samples", shrink=0.8)
    return figure


def reliability_figure(results: dict[str, Any]) -> Any:
    """Accuracy against confidence by bin: all samples with and without calibration, then each group.

    Args:
        results: what :func:`equiangular.inference.evaluate` returns.

    Returns:
        A ``matplotlib.figure.Figure``: on the diagonal, a confidence of 80 % is right 80 % of the time. Bars below show
        where the samples are.
    """
    figure_class = require("matplotlib.figure", extra="plot", purpose="Drawing the reliability diagram").Figure
    figure = figure_class(figsize=(10, 4.8), layout="constrained")
    (left, right), (under_left, under_right) = figure.subplots(2, 2, sharex=True, height_ratios=(4, 1))
    tints = dict(GROUPS)
    pairs = [
        ("as predicted", results["reliability"]["all"], LEARNED),
        ("raw logits", results["raw_reliability"]["all"], RAW),
    ]
    groups = [
        (f"{name}-shot", results["reliability"][name], tints[name])
        for name in tints
        if any(results["reliability"][name]["samples"])
    ]
    panels = ((left, under_left, pairs, "all samples"), (right, under_right, groups, "by group of the true class"))
    highest = 0.0
    for axis, under, curves, title in panels:
        axis.plot([0, 100], [0, 100], color="0.75", linewidth=1)
        for place, (label, bins, color) in enumerate(curves):
            share = [100 * n / sum(bins["samples"]) for n in bins["samples"]]
            columns = zip(bins["confidence"], bins["accuracy"], share, strict=True)
            confidence, accuracy, weight = zip(*(point for point in columns if point[2]), strict=True)
            ece = f"{label}: ECE {bins['ece']:.1f} %"
            axis.plot(confidence, accuracy, "--" if color == RAW else "-", color=color, linewidth=1, label=ece)
            axis.scatter(confidence, accuracy, [8 + 1.2 * s for s in weight], color=color, clip_on=False, zorder=3)
            highest = max(highest, *share)
            width = 100 / len(share)
            step = 0.84 * width / len(curves)
            centres = [(b + 0.08) * width + (place + 0.5) * step for b in range(len(share))]
            under.bar(centres, share, width=step, color=color)
        axis.set_title(title)
        axis.set_xlim(0, 100)
        axis.set_ylim(0, 102)
        axis.grid(alpha=0.3)
        axis.legend(frameon=False, fontsize=8, loc="upper left")
        under.set_xlabel("confidence, %")
    for under in (under_left, under_right):
        under.set_ylim(0, 1.1 * highest)
    left.set_ylabel("accuracy, %")
    under_left.set_ylabel("samples, %")
    return figure
