"""ETFClassifier beside scikit-learn's own classifiers on the tables that scikit-learn carries.

    python -m experiments questions tables

Stratified 5-fold cross-validation with 3 seeds of splits and training; default parameters everywhere except that
LogisticRegression may take 1000 iterations. Columns are standardised for all. Mean ± 95 % CI (Student's t) over the 15
test folds, which share training data: the interval is a guide, not a test.
"""

import warnings
from collections.abc import Sequence
from functools import partial

import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_validate
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from equiangular import ETFClassifier
from equiangular.measures import mean_ci
from experiments.common import command_parser

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


def main(arguments: Sequence[str] | None = None) -> None:
    command_parser("questions tables", __doc__).parse_args(arguments)
    warnings.simplefilter("ignore")  # MLPClassifier's, on tables it has not converged on
    print("| model | " + " | ".join(f"{t}: accuracy, % / log loss" for t in TABLES) + " |")
    print("|---" * (len(TABLES) + 1) + "|")
    for name, make in MODELS.items():
        cells = []
        for load in TABLES.values():
            X, y = load(return_X_y=True)
            runs = [
                cross_validate(
                    make_pipeline(StandardScaler(), make(random_state=seed)), X, y,
                    cv=StratifiedKFold(5, shuffle=True, random_state=seed),
                    scoring={key: scorer for key, (scorer, _) in SCORES.items()},
                )
                for seed in range(3)
            ]  # fmt: skip
            figures = []
            for key, (_, factor) in SCORES.items():
                mean, half = mean_ci(factor * np.concatenate([run[f"test_{key}"] for run in runs]))
                figures.append(f"{mean:.1f} ± {half:.1f}" if key == "accuracy" else f"{mean:.3f} ± {half:.3f}")
            cells.append(" / ".join(figures))
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)
