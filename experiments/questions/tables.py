"""ETFClassifier beside scikit-learn's own classifiers on the tables that scikit-learn carries.

    python -m experiments questions tables

Stratified 5-fold cross-validation with 3 seeds of splits and training; default parameters everywhere except that
LogisticRegression may take 1000 iterations. Columns are standardised for all. Mean ± 95 % CI (Student's t) over the 15
test folds, which share training data: the interval is a guide, not a test. What is finished is kept.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_validate
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from equiangular import ETFClassifier
from equiangular._files import json_plain, read_json, write_json
from equiangular._provenance import provenance
from equiangular.measures import mean_ci
from experiments.common import QUESTIONS, command_parser

OUTPUT = QUESTIONS / "tables.json"
TABLES = {"iris": load_iris, "wine": load_wine, "breast_cancer": load_breast_cancer, "digits": load_digits}
MODELS = {
    "LogisticRegression": partial(LogisticRegression, max_iter=1000),
    "MLPClassifier": MLPClassifier,
    "ETFClassifier": ETFClassifier,
    'ETFClassifier, loss="dr"': partial(ETFClassifier, loss="dr"),
    "ETFClassifier, normalize=False": partial(ETFClassifier, normalize=False),
    "ETFClassifier, no hidden layer": partial(ETFClassifier, hidden_layer_sizes=()),
}
SCORES = {"accuracy": ("accuracy", 100), "log_loss": ("neg_log_loss", -1)}


def measure(name: str, table: str) -> dict[str, list[float]]:
    """The scores of a model on the 15 test folds of a table."""
    X, y = TABLES[table](return_X_y=True)
    found: dict[str, list[float]] = {key: [] for key in SCORES}
    for seed in range(3):
        run = cross_validate(
            make_pipeline(StandardScaler(), MODELS[name](random_state=seed)), X, y,
            cv=StratifiedKFold(5, shuffle=True, random_state=seed),
            scoring={key: scorer for key, (scorer, _) in SCORES.items()},
        )  # fmt: skip
        for key, (_, factor) in SCORES.items():
            found[key] += [factor * float(value) for value in run[f"test_{key}"]]
    return found


def table(results: dict[str, Any]) -> str:
    """Markdown: accuracy and log loss of every model on every table."""
    lines = ["| model | " + " | ".join(f"{t}: accuracy, % / log loss" for t in TABLES) + " |"]
    lines.append("|---" * (len(TABLES) + 1) + "|")
    for name, kept in results["models"].items():
        cells = []
        for data in TABLES:
            accuracy, loss = (mean_ci(kept[data][key]) for key in SCORES)
            cells.append("{:.1f} ± {:.1f} / {:.3f} ± {:.3f}".format(*accuracy, *loss))
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command_parser("questions tables", __doc__)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    output = parser.parse_args(arguments).output
    warnings.simplefilter("ignore")  # MLPClassifier's, on tables it has not converged on
    results: dict[str, Any] = read_json(output) if output.exists() else {"models": {}}
    for name, data in itertools.product(MODELS, TABLES):
        kept = results["models"].setdefault(name, {})
        if data not in kept:
            kept[data] = measure(name, data)
            write_json(output, json_plain({**results, "provenance": provenance()}))
            print(f"{name}, {data}: {mean_ci(kept[data]['accuracy'])}", flush=True)
    print(table(results))


if __name__ == "__main__":
    main()
