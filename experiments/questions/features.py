"""Classifiers on frozen features: computed in closed form, or learned? Without the names of the classes.

    EQUIANGULAR_DATA=DIR python -m experiments questions features [--sets NAME ...] [--cuts CUT ...] [--draws N]
        [--most N] [--minutes M] [--output FILE] [--table]

The features are those of MiniLM for texts, of EfficientNet-Lite0 for images, and the standardised columns of tables;
one number scales an encoder's features to unit mean square length. The images are a part of their sets, see SETS.

A cut is ``5 each`` or ``10 each`` (a class that has fewer gives all), or an imbalance, ``1:1`` to ``100:1``, of
exponential profile and of at most ``--most`` samples. The largest class of a cut is the largest of the set; where the
classes are about equally large, as in letter, their order is drawn. A cut whose largest class is smaller than its
imbalance is left out. Every draw is one cut, and all classifiers see it.

- The five kinds of ClosedFormClassifier, as they are: they choose everything by leave-one-out.
- Logistic regression (scikit-learn), C by five folds of the cut (three from 600 samples on) from a grid of six, by the
  loss on what is left out; lone samples of a class are always trained on. As it is; with the prior taken out by Bayes'
  rule (PriorCorrectedClassifier), C by the loss of the corrected predictions, classes counted alike; and with
  class_weight="balanced", C by the loss with classes counted alike. The last is the first where classes are equally
  large. Chosen by balanced accuracy instead, C lost 2 points on a first draw of banking77, 10 each.
- What no search can pass: the prior taken out, at the C of the grid that is best on the test part.

Balanced accuracy and ECE on the test part, in percent, and seconds with the search. Every draw is written down when it
is done; the same command goes on from there.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.special import log_softmax

from equiangular._files import json_plain, read_json, write_json
from equiangular._provenance import provenance
from equiangular._validate import check_choice
from equiangular.closed_form import KINDS
from equiangular.data import Dataset, load_dataset
from equiangular.data.split import select
from equiangular.encoders import embed
from equiangular.integrations.closed_form import ClosedFormClassifier
from equiangular.integrations.prior import PriorCorrectedClassifier
from equiangular.longtail import long_tail_indices
from equiangular.longtail.cut import draw_by_class
from equiangular.measures import expected_calibration_error, mean_ci
from experiments.common import QUESTIONS, command_parser

OUTPUT = QUESTIONS / "features.json"
# Set -> the images that are embedded: one in so many of each class of the training part, but so many at least, and so
# many of each class of the test part at most.
SETS: dict[str, tuple[int, int, int] | None] = {
    "banking77": None,
    "clinc150_imbalanced": None,
    "letter": None,
    "cifar100_lt50": (7, 12, 10),
    "cifar10_lt50": (20, 12, 60),
    "plankton": (16, 10, 6),
    "wine_quality_white": None,
}
CUTS = ("10 each", "50:1", "100:1", "5 each", "10:1", "1:1")
RIVAL = "logistic regression, prior out"
LEARNED = ("logistic regression", RIVAL, "logistic regression, balanced weights")
CEILING = "prior out, C by the test part"
# As docs/embeddings.md has them.
ORDER = ("5 each", "10 each", "1:1", "10:1", "50:1", "100:1")
CALLED = {
    "clinc150_imbalanced": "clinc150", "cifar100_lt50": "CIFAR-100-LT", "cifar10_lt50": "CIFAR-10-LT",
    "wine_quality_white": "wine",
}  # fmt: skip
COLUMNS = {
    "class-means": "class means", "gaussian": "Gaussian", "random-features": "random features", RIVAL: "LR, prior out",
    LEARNED[0]: "LR as it is", LEARNED[2]: "LR, balanced weights", CEILING: "LR, prior out, best C on the test part",
}  # fmt: skip
GRID = tuple(10 ** (i / 2) for i in range(6))  # of C times the mean square length of a sample


class Part(NamedTuple):
    """Rows (N, d) float32 and labels (N,) of the training pool, and of the test part."""

    x: np.ndarray
    y: np.ndarray
    test_x: np.ndarray
    test_y: np.ndarray


def some_of_each(data: Dataset, one_in: int, least: int, test: int) -> Dataset:
    """A part of each class, drawn with seed 0, as at :data:`SETS`."""
    wanted = {"train": np.maximum(data.train_counts // one_in, least), "test": [test] * data.num_classes}
    parts: dict[str, Any] = {}
    for part, sizes in wanted.items():
        labels = getattr(data, f"{part}_y")
        index = torch.from_numpy(draw_by_class(labels.numpy(), sizes, 0))
        parts |= {f"{part}_x": select(getattr(data, f"{part}_x"), index), f"{part}_y": labels[index]}
    return replace(data, **parts)


@cache
def features(name: str) -> Part:
    """Standardised columns of a table, or an encoder's features at unit mean square length."""
    data = load_dataset(name, raw=True)
    if data.kind != "table":
        limit = SETS[name]
        data = embed(data if limit is None else some_of_each(data, *limit))
    x, test_x = (part.double().numpy() for part in (data.train_x, data.test_x))  # type: ignore[union-attr]
    if data.kind == "table":
        mean, size = x.mean(0), x.std(0)
    else:
        mean, size = np.zeros(1), np.sqrt((x**2).sum(1).mean())
    return Part(
        ((x - mean) / size).astype("f4"),
        data.train_y.numpy(),
        ((test_x - mean) / size).astype("f4"),
        data.test_y.numpy(),
    )


def cut(labels: np.ndarray, name: str, seed: int, most: int) -> np.ndarray | None:
    """Indices of a cut, ascending; None where the set is too small for it."""
    size, kind = name.split(" " if "each" in name else ":")
    count = np.bincount(labels)
    if kind == "each":
        return draw_by_class(labels, [int(size)] * len(count), seed)
    if count.min() >= 0.8 * count.max():
        ranked, order = np.random.default_rng(seed).permutation(len(count))[labels], "label"
    else:
        ranked, order = labels, "size"
    index = long_tail_indices(ranked, int(size), seed=seed, order=order)  # type: ignore[arg-type]
    largest = np.bincount(ranked[index]).max()
    while len(index) > most:
        largest -= 1
        index = long_tail_indices(ranked, int(size), seed=seed, order=order, n_max=int(largest))  # type: ignore[arg-type]
    return index if largest >= int(size) else None


def fold_numbers(labels: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """(N,) the fold in which each sample is left out: classes spread evenly, -1 for the only one of its class."""
    numbers = np.full(len(labels), -1)
    generator = np.random.default_rng(seed)
    for own in (np.flatnonzero(labels == k) for k in np.unique(labels)):
        if len(own) > 1:
            numbers[generator.permutation(own)] = (generator.integers(folds) + np.arange(len(own))) % folds
    return numbers


class Search(NamedTuple):
    """Left-out log probabilities of every C, and log frequencies (N, K) of the classes in the fold that made them."""

    values: list[float]
    labels: np.ndarray
    logs: np.ndarray
    log_prior: np.ndarray
    seconds: float

    def best(self, *, balanced: bool, corrected: bool = False) -> float:
        """The C of the least loss, of all samples alike or all classes alike."""
        weight = 1 / np.bincount(self.labels)[self.labels] if balanced else np.ones(len(self.labels))
        losses = []
        for logs in self.logs:
            log_p = log_softmax(logs - self.log_prior if corrected else logs, axis=1)
            losses.append(-(weight * log_p[np.arange(len(logs)), self.labels]).sum())
        return self.values[int(np.argmin(losses))]


def search(x: np.ndarray, y: np.ndarray, weights: str | None, seed: int) -> Search:
    """Logistic regression at every C of the grid.

    None begins where another ended: at scikit-learn's tolerance such a fit stops at once, where the first one was.
    """
    began = time.perf_counter()
    values = [value / float((x**2).sum(1).mean()) for value in GRID]
    folds = fold_numbers(y, 5 if len(y) < 600 else 3, seed)
    kept = folds >= 0
    logs = np.zeros((len(values), len(y), y.max() + 1))
    log_prior = np.zeros(logs.shape[1:])
    for fold in range(folds.max() + 1):
        out = folds == fold
        log_prior[out] = np.log(np.bincount(y[~out]))
        for number, value in enumerate(values):
            scores = logistic(value, weights).fit(x[~out], y[~out]).decision_function(x[out])
            logs[number, out] = log_softmax(scores.astype("f8"), axis=1)
    return Search(values, y[kept], logs[:, kept], log_prior[kept], time.perf_counter() - began)


def logistic(value: float, weights: str | None = None) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=value, class_weight=weights, max_iter=1000)


def learned(x: np.ndarray, y: np.ndarray, seed: int) -> dict[str, Callable[[], tuple[Any, dict[str, Any], float]]]:
    """Name -> what fits it: the model, what was chosen, and seconds of the search that others share."""
    from sklearn.frozen import FrozenEstimator

    found = cache(lambda weights: search(x, y, weights, seed))

    def plain(weights: str | None) -> tuple[Any, dict[str, Any], float]:
        value = found(weights).best(balanced=weights is not None)
        return logistic(value, weights).fit(x, y), {"C": value}, found(weights).seconds

    def prior_out() -> tuple[Any, dict[str, Any], float]:
        value = found(None).best(balanced=True, corrected=True)
        base = FrozenEstimator(logistic(value).fit(x, y))
        return PriorCorrectedClassifier(base, calibrate=False).fit(x, y), {"C": value}, found(None).seconds

    level = bool((np.bincount(y) == np.bincount(y)[0]).all())
    return dict(
        zip(LEARNED, (lambda: plain(None), prior_out, lambda: plain(None if level else "balanced")), strict=True)
    )


def ceiling(x: np.ndarray, y: np.ndarray, part: Part) -> tuple[Any, dict[str, Any], float]:
    """The prior-corrected logistic regression of the grid that is best on the test part."""
    from sklearn.frozen import FrozenEstimator
    from sklearn.metrics import balanced_accuracy_score

    found = []
    for value in (value / float((x**2).sum(1).mean()) for value in GRID):
        base = FrozenEstimator(logistic(value).fit(x, y))
        model = PriorCorrectedClassifier(base, calibrate=False).fit(x, y)
        found.append((balanced_accuracy_score(part.test_y, model.predict(part.test_x)), value, model))
    _, value, model = max(found, key=lambda item: item[0])
    return model, {"C": value}, 0.0


def computed(x: np.ndarray, y: np.ndarray, kind: Any) -> tuple[Any, dict[str, Any], float]:
    model = ClosedFormClassifier(kind).fit(x, y)
    return model, model.closed_form_.solve().chosen, 0.0


def run_draw(part: Part, index: np.ndarray, seed: int, row: dict[str, Any]) -> Iterator[str]:
    """Fill ``row`` in with the classifiers that it lacks; yields the name of each when it is done."""
    from sklearn.metrics import balanced_accuracy_score

    x, y = part.x[index], part.y[index]
    ways: dict[str, Any] = {kind: lambda kind=kind: computed(x, y, kind) for kind in KINDS} | learned(x, y, seed)
    ways[CEILING] = lambda: ceiling(x, y, part)
    count = np.bincount(y)
    row |= {"samples": len(y), "largest": int(count.max()), "smallest": int(count.min())}
    for name, fit in ways.items():
        if name in row.setdefault("scores", {}):
            continue
        began = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a fit at the largest C that is not converged
            model, chosen, shared = fit()
        seconds = time.perf_counter() - began
        probabilities = torch.from_numpy(model.predict_proba(part.test_x)).double()
        right = torch.from_numpy(part.test_y)
        row["scores"][name] = {
            "balanced_accuracy": 100 * balanced_accuracy_score(part.test_y, probabilities.argmax(1).numpy()),
            "ece": 100 * float(expected_calibration_error(probabilities, right)),
            "seconds": max(seconds, shared),
            "chosen": chosen,
        }
        yield name


def differences(results: dict[str, Any], score: str = "balanced_accuracy") -> dict[tuple[str, str], dict[str, Any]]:
    """(set, cut) -> classifier -> its values less those of the rival, by draw; for cells with two draws or more."""
    cells: dict[tuple[str, str], dict[str, list[float]]] = {}
    for key, row in results["cells"].items():
        name, way, _ = key.split("|")
        if {*KINDS, *LEARNED} <= row["scores"].keys():
            for classifier, values in row["scores"].items():
                own = cells.setdefault((name, way), {}).setdefault(classifier, [])
                own.append(values[score] - row["scores"][RIVAL][score])
    return {cell: own for cell, own in cells.items() if len(own[RIVAL]) > 1}


def cell(values: Sequence[float]) -> str:
    """Mean and half-width, where there are two values or more."""
    return "{:+.1f} ± {:.1f}".format(*mean_ci(values)).replace("-", "−") if len(values) > 1 else ""


def table(results: dict[str, Any]) -> str:
    """Markdown: the rival's balanced accuracy, and what each classifier has more, paired, with 95 % CI."""
    names = (*KINDS, LEARNED[0], LEARNED[2], CEILING)
    head = [COLUMNS.get(name, name) for name in (RIVAL, *names)]
    lines = ["| set, cut | samples | " + " | ".join(head) + " |", "|---" * (len(names) + 3) + "|"]
    ranked = sorted(
        differences(results).items(), key=lambda item: (list(SETS).index(item[0][0]), ORDER.index(item[0][1]))
    )
    for (name, way), own in ranked:
        rows = [row for key, row in results["cells"].items() if key.startswith(f"{name}|{way}|")]
        rival = mean_ci([row["scores"][RIVAL]["balanced_accuracy"] for row in rows if RIVAL in row["scores"]])
        balanced = rows[0]["largest"] == rows[0]["smallest"]
        told = ["the same" if balanced and n in (LEARNED[0], LEARNED[2]) else cell(own.get(n, [])) for n in names]
        first = [f"{CALLED.get(name, name)}, {way}", str(rows[0]["samples"]), "{:.1f} ± {:.1f}".format(*rival)]
        lines.append("| " + " | ".join(first + told) + " |")
    # A balanced cut has one logistic regression, not three: it says nothing of the other two.
    uneven = [(name, way) for (name, way), own in ranked if any(own[LEARNED[0]])]
    means = {
        n: [np.mean(o[n]) for which, o in ranked if n in o and (which in uneven or n not in (LEARNED[0], LEARNED[2]))]
        for n in names
    }
    if len(ranked) > 1:
        told = [cell(means[classifier]) for classifier in names]
        lines.append(f"| mean of {len(ranked)} cells | | | " + " | ".join(told) + " |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command_parser("questions features", __doc__)
    parser.add_argument("--sets", nargs="+", default=list(SETS), metavar="NAME", help=f"of {', '.join(SETS)}")
    parser.add_argument("--cuts", nargs="+", default=list(CUTS), metavar="CUT", help=f"of {', '.join(CUTS)}")
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--most", type=int, default=1300, help="samples of a cut (default: %(default)s)")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no classifier after so many")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    parser.add_argument("--table", action="store_true", help="show what there is and compute nothing")
    options = parser.parse_args(arguments)
    results: dict[str, Any] = read_json(options.output) if options.output.exists() else {"cells": {}}
    end = time.monotonic() + 60 * options.minutes
    sets = [check_choice(name, tuple(SETS), "--sets") for name in options.sets]
    cuts = [check_choice(name, CUTS, "--cuts") for name in options.cuts]
    todo = [(way, name, draw) for way in cuts for name in sets for draw in range(options.draws)]
    for way, name, draw in () if options.table else todo:
        if time.monotonic() > end:
            print("out of time")
            break
        part = features(name)
        index = cut(part.y, way, draw, options.most)
        if index is None:
            continue
        row = results["cells"].setdefault(f"{name}|{way}|{draw}", {})
        for done in run_draw(part, index, draw, row):
            values = row["scores"][done]
            print(
                f"{name}, {way}, draw {draw}: {done} {values['balanced_accuracy']:.1f}, {values['seconds']:.1f} s",
                flush=True,
            )
            row["provenance"] = provenance()
            write_json(options.output, json_plain(results))
    print(table(results))


if __name__ == "__main__":
    main()
