"""The class prior of any scikit-learn classifier: what correcting it gains, how well it is estimated, what is rejected.

    EQUIANGULAR_DATA=DIR python -m experiments questions prior [gain estimate reject network] [--cuts N] [--output FILE]

- ``gain``: letter, its training part cut to imbalance 10, 50 and 100, the classes in an order drawn anew for each
  cut. Balanced accuracy on the whole test part, of each classifier as it is, with the prior taken out by Bayes' rule,
  with scale and strength calibrated on five folds, and with class_weight="balanced" where there is such an option.
- ``estimate``: trained on letter cut to imbalance 10; the test part cut to imbalance 1, 10 and 50, in another order of
  the classes. Total variation distance from the prior of that cut: of the training prior, of counted predictions, of EM
  on the posteriors as they are, and of EM behind bias-corrected temperature; share of the classes whose true prior is
  within 1.96 standard errors.
- ``reject``: half of the classes of letter, and of banking77 as TF-IDF, are unknown, drawn for each cut. Share rejected
  of the known and of the unknown test samples, at most 5 % of the known ones asked for, the threshold from a fifth of
  the training data held out (a frozen estimator) or from five folds.
- ``network``: the same for networks as ``equiangular train letter --epochs 10`` makes them, with the threshold of
  ``equiangular predict --reject 0.05``.

Columns of tables are standardised. Nothing is tuned. Means with 95 % CI over the cuts, paired.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from equiangular._files import json_plain, read_json, write_json
from equiangular._provenance import provenance
from equiangular._validate import check_choice
from equiangular.data import load_dataset
from equiangular.inference import probabilities_and_doubt
from equiangular.integrations.prior import PriorCorrectedClassifier
from equiangular.longtail import holdout_indices, long_tail_indices
from equiangular.measures import mean_ci
from equiangular.posthoc import rejection_threshold
from equiangular.training import Classifier, Trial, run_trial
from experiments.common import QUESTIONS, command_parser

OUTPUT = QUESTIONS / "prior.json"
PARTS = ("gain", "estimate", "reject", "network")


def classifiers() -> dict[str, Any]:
    """Name -> an unfitted classifier of standardised columns."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.naive_bayes import GaussianNB
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.svm import LinearSVC

    return {
        "logistic regression": LogisticRegression(max_iter=2000),
        "random forest": RandomForestClassifier(100, random_state=0),
        "10 neighbours": KNeighborsClassifier(10),
        "naive Bayes": GaussianNB(),
        "linear SVM": LinearSVC(),
    }


def letters() -> tuple[np.ndarray, ...]:
    """Standardised training columns and labels, then those of the test part."""
    data = load_dataset("letter")
    x, test = data.train_x.double().numpy(), data.test_x.double().numpy()
    mean, std = x.mean(0), x.std(0)
    return (x - mean) / std, data.train_y.numpy(), (test - mean) / std, data.test_y.numpy()


def cut(labels: np.ndarray, factor: float, seed: int) -> np.ndarray:
    """Indices of a cut whose classes come in a drawn order of size."""
    order = np.random.default_rng(seed).permutation(labels.max() + 1)
    return long_tail_indices(order[labels], factor, seed=seed)


def quietly(model: Any, *data: Any) -> Any:
    """Fit; a correction that declines says so in ``declined_``."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return model.fit(*data)


def gain(cuts: int) -> list[dict[str, Any]]:
    """Rows: classifier, imbalance, accuracies of each way by cut."""
    from sklearn.metrics import balanced_accuracy_score

    x, y, test_x, test_y = letters()
    rows = []
    for factor in (10, 50, 100):
        for name, base in classifiers().items():
            ways: dict[str, Any] = {"as it is": base}
            if hasattr(base, "predict_proba"):
                ways["Bayes' rule"] = PriorCorrectedClassifier(base, calibrate=False)
            ways["calibrated"] = PriorCorrectedClassifier(base, calibrate="cv")
            if "class_weight" in base.get_params():
                ways["balanced weights"] = base.__class__(**{**base.get_params(), "class_weight": "balanced"})
            scores: dict[str, list[float]] = {way: [] for way in ways}
            declined = 0
            for seed in range(cuts):
                index = cut(y, factor, seed)
                for way, model in ways.items():
                    fitted = quietly(model, x[index], y[index])
                    scores[way].append(100 * balanced_accuracy_score(test_y, fitted.predict(test_x)))
                    declined += bool(getattr(fitted, "declined_", None))
            first = np.array(scores["as it is"])
            gains = {way: mean_ci(np.array(s) - first) for way, s in scores.items() if way != "as it is"}
            row = {"classifier": name, "imbalance": factor, "scores": scores, "gain": gains, "declined": declined}
            rows.append(row)
            told = ", ".join(f"{way} {mean:+.1f} ± {half:.1f}" for way, (mean, half) in gains.items())
            print(f"{name}, imbalance {factor}: {first.mean():.1f}; {told}; declined {declined}", flush=True)
    return rows


def estimate(cuts: int) -> list[dict[str, Any]]:
    """Rows: classifier, imbalance of the test cut, distances by cut."""
    x, y, test_x, test_y = letters()
    rows = []
    for name, base in list(classifiers().items())[:4]:
        distances: dict[int, dict[str, list[float]]] = {}
        for seed in range(cuts):
            index = cut(y, 10, seed)
            models = {
                "EM": PriorCorrectedClassifier(base, "estimate", calibrate=False),
                "EM, bias-corrected": PriorCorrectedClassifier(base, "estimate"),
            }
            for model in models.values():
                quietly(model, x[index], y[index])
            for factor in (1, 10, 50):
                part = cut(test_y, factor, 100 + seed)
                true = np.bincount(test_y[part]) / len(part)
                counted = models["EM"].estimator_.predict(test_x[part])
                found = {
                    "training prior": np.bincount(y[index]) / len(index),
                    "counted": np.bincount(counted, minlength=26) / len(part),
                }
                for way, model in models.items():
                    result = model.adapt(test_x[part]).prior_estimate_
                    found[way] = result.prior.numpy()
                covered = abs(found[way] - true) < 1.96 * result.standard_error.numpy()
                own = distances.setdefault(factor, {})
                for way, prior in found.items():
                    own.setdefault(way, []).append(50 * abs(prior - true).sum())
                own.setdefault("covered", []).append(100 * covered.mean())
        for factor, own in distances.items():
            rows.append({"classifier": name, "imbalance": factor, "distances": own})
            told = ", ".join("{} {:.1f} ± {:.1f}".format(way, *mean_ci(values)) for way, values in own.items())
            print(f"{name}, test at {factor}: {told}", flush=True)
    return rows


def reject(cuts: int) -> list[dict[str, Any]]:
    """Rows: data, classifier, way, shares rejected by cut."""
    from sklearn.base import clone
    from sklearn.frozen import FrozenEstimator

    data = load_dataset("banking77")
    texts = tuple(np.asarray(part) for part in (data.train_x, data.train_y, data.test_x, data.test_y))
    models = classifiers()
    rows = []
    for source, (x, y, test_x, test_y), names in (
        ("letter", letters(), ("logistic regression", "random forest", "10 neighbours")),
        ("banking77", texts, ("logistic regression",)),
    ):
        for name in names:
            shares: dict[str, dict[str, list[float]]] = {}
            for seed in range(cuts):
                classes = np.random.default_rng(seed).permutation(y.max() + 1)
                known = classes[: len(classes) // 2]
                own = np.flatnonzero(np.isin(y, known))
                held = holdout_indices(y[own], 0.2, seed=seed)
                rest = np.setdiff1d(np.arange(len(own)), held)
                frozen = FrozenEstimator(clone(models[name]).fit(x[own][rest], y[own][rest]))
                ways = {
                    "held out": (PriorCorrectedClassifier(frozen, "train", reject=0.05), own[held]),
                    "folds": (PriorCorrectedClassifier(models[name], "train", reject=0.05), own),
                }
                inside = np.isin(test_y, known)
                for way, (model, index) in ways.items():
                    rejected = quietly(model, x[index], y[index]).rejected(test_x)
                    of_way = shares.setdefault(way, {"known": [], "unknown": []})
                    of_way["known"].append(100 * rejected[inside].mean())
                    of_way["unknown"].append(100 * rejected[~inside].mean())
            for way, own_shares in shares.items():
                rows.append({"data": source, "classifier": name, "threshold": way, "rejected": own_shares})
                told = ", ".join("{} {:.1f} ± {:.1f}".format(k, *mean_ci(v)) for k, v in own_shares.items())
                print(f"{source}, {name}, {way}: rejected {told}", flush=True)
    return rows


def network(cuts: int) -> list[dict[str, Any]]:
    """Rows: method, shares rejected by cut."""
    data = load_dataset("letter")
    rows = []
    for method in ("etf-ce", "linear-ce"):
        shares: dict[str, list[float]] = {"known": [], "unknown": []}
        for seed in range(cuts):
            known = torch.from_numpy(np.random.default_rng(seed).permutation(26)[:13]).sort().values
            place = torch.full((26,), -1).index_put((known,), torch.arange(13))
            train, test = place[data.train_y] >= 0, place[data.test_y] >= 0
            part = replace(
                data,
                train_x=data.train_x[train],
                train_y=place[data.train_y[train]],
                test_x=data.test_x[test],
                test_y=place[data.test_y[test]],
                class_names=tuple(data.class_names[k] for k in known),
            )
            run, (outcome,) = run_trial(Trial(data="letter", method=method, epochs=10, seed=seed), part)
            classifier = Classifier(outcome.task, outcome.info)
            parts = {"held": run.split.holdout_x, "known": part.test_x, "unknown": data.test_x[~test]}
            doubt = {name: probabilities_and_doubt(classifier, x)[1] for name, x in parts.items()}
            threshold = rejection_threshold(doubt["held"], 0.05)
            for name, own in shares.items():
                own.append(100 * float((doubt[name] > threshold).double().mean()))
        rows.append({"data": "letter", "method": method, "rejected": shares})
        told = ", ".join("{} {:.1f} ± {:.1f}".format(name, *mean_ci(own)) for name, own in shares.items())
        print(f"letter, network, {method}: rejected {told}", flush=True)
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command_parser("questions prior", __doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; default: all")
    parser.add_argument("--cuts", type=int, default=5)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    options = parser.parse_args(arguments)
    chosen = [check_choice(part, PARTS, "part") for part in options.parts] or PARTS
    results: dict[str, Any] = read_json(options.output) if options.output.exists() else {}
    for part in chosen:
        results[part] = {"rows": globals()[part](options.cuts), "cuts": options.cuts, "provenance": provenance()}
        write_json(options.output, json_plain(results))
    print(f"wrote {options.output}")


if __name__ == "__main__":
    main()
