"""The figure of a run: loss, and accuracy on the validation part, over the epochs."""

from __future__ import annotations

from typing import Any

from equiangular._extras import require
from equiangular.report.figure import FIXED, LEARNED


def training_figure(results: dict[str, Any]) -> Any:
    """Draw the epochs of a run's ``results.json`` as a matplotlib figure.

    Args:
        results: the dictionary that :func:`equiangular.training.train` returns.

    Returns:
        A ``matplotlib.figure.Figure``, made without pyplot.

    Raises:
        ImportError: matplotlib is missing.
    """
    figure_module = require("matplotlib.figure", extra="plot", purpose="Drawing the figure")
    rows = results["epochs"]
    epochs = [row["epoch"] for row in rows]
    figure = figure_module.Figure(figsize=(9, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(epochs, [row["loss"] for row in rows], color=LEARNED)
    left.set(xlabel="epoch", ylabel="training loss")
    left.set_ylim(bottom=0)
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
