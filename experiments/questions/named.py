"""Do class names make the better classifier of embeddings, and how few samples does that take?

    python -m experiments questions named FOLDER [--sets banking77 clinc150] [--draws N] [--output FILE]

FOLDER holds NAME.safetensors as ``equiangular embed NAME --encoder minilm`` writes them. For each cut (1, 5, 20 and 100
samples a class, where it has so many; tails of 50 : 1 and 100 : 1, the classes in an order drawn anew) and each draw,
balanced accuracy on the whole test part of:

- names alone; logistic regression with the prior taken out, and the same with the names as one more sample of each
  class; a learned cosine head (logit-adjusted);
- ``ETFClassifier(class_vectors=...)``: features led to fixed names by a residual map, and vectors that start at the
  names and are learned on (logit-adjusted, nothing tuned);
- ``ClosedFormClassifier`` of each kind without and with names (nothing tuned by hand);
- the rule: of fixed names, vectors learned on, and the kernel with names, the one that is best on a fifth of the
  training samples of this draw, fitted to all of them.

C of the logistic regression, scale and learning rate of the cosine head are those of the best balanced accuracy on a
fifth of the training samples of the first draw. In tails those are of the large classes only, and accuracy there
misleads (C = 1 with 47 % instead of 100 with 70): the best log-likelihood under the training prior decides. The rule
goes by the same score. With one sample a class there is nothing to hold out: C = 100, scale 16, learning rate 0.01.
Networks train for 100 epochs, at most 1,000 steps. Means with 95 % CI over the draws, and differences to the better of
logistic regression and cosine head in the mean, paired.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from equiangular import ClosedFormClassifier, ETFClassifier
from equiangular._files import json_plain, read_json, write_json
from equiangular._provenance import provenance
from equiangular.heads import CosineHead
from equiangular.integrations._table_network import TableNetwork, train
from equiangular.longtail import holdout_indices, long_tail_indices
from equiangular.longtail.cut import draw_by_class
from equiangular.measures import mean_ci
from experiments.common import QUESTIONS, command_parser

OUTPUT = QUESTIONS / "named.json"
CUTS = ("1", "5", "20", "100", "50:1", "100:1")
CLOSED = ("class-means", "gaussian", "ridge", "kernel")
RIVALS = ("logistic regression", "cosine head")
RULE = ("names fixed, residual map", "names learned on", "kernel + names")
SHOWN = (*RULE, "gaussian + names", "class-means + names", "rule", "kernel", "logistic regression + names")
BATCH, EPOCHS, STEPS = 64, 100, 1000
Fitted = Callable[[np.ndarray], np.ndarray]  # features (N, d) to logits (N, K) for equally frequent classes


def epochs(count: int) -> int:
    """Passes over so many samples."""
    return max(1, min(EPOCHS, STEPS * BATCH // count))


def logistic(x: np.ndarray, y: np.ndarray, C: float = 100.0, names: np.ndarray | None = None) -> Fitted:
    """Logistic regression, and its prior taken out by Bayes' rule; names are one more sample of each class."""
    from sklearn.linear_model import LogisticRegression

    if names is not None:
        x, y = np.concatenate([x, names]), np.concatenate([y, np.arange(len(names))])
    model = LogisticRegression(C=C, max_iter=300, tol=1e-3).fit(x, y)
    shift = np.log(np.bincount(y))  # every class has a sample
    return lambda t: model.decision_function(t) - shift


def cosine(x: np.ndarray, y: np.ndarray, scale: float = 16.0, rate: float = 0.01) -> Fitted:
    """A learned cosine head under logit-adjusted cross-entropy, trained as ETFClassifier trains."""
    k, features, labels = int(y.max()) + 1, torch.from_numpy(x), torch.from_numpy(y)
    network = TableNetwork(x.shape[1], nn.Identity(), CosineHead(x.shape[1], k, scale=scale), by_column=False)
    criterion = partial(network.losses, loss="la", class_counts=torch.bincount(labels, minlength=k))
    train(
        network, features, labels, torch.ones(len(y)), criterion, validation=None, epochs=epochs(len(y)),
        batch_size=BATCH, learning_rate=rate, weight_decay=1e-4, patience=1, seed=0,
    )  # fmt: skip
    return lambda t: network.eval()(torch.from_numpy(t))[1].detach().numpy()


def named(x: np.ndarray, y: np.ndarray, vectors: np.ndarray, learn: bool) -> Fitted:
    """Features led to names, or names learned on."""
    return ETFClassifier(
        loss="la", class_vectors=dict(enumerate(vectors)), learn_vectors=learn, epochs=epochs(len(y)),
        batch_size=BATCH, random_state=0,
    ).fit(x, y).decision_function  # fmt: skip


def closed(x: np.ndarray, y: np.ndarray, kind: str, vectors: np.ndarray | None) -> Fitted:
    """In closed form."""
    given = None if vectors is None else dict(enumerate(vectors))
    return ClosedFormClassifier(kind, class_vectors=given).fit(x, y).decision_function


def balanced(logits: np.ndarray, y: np.ndarray) -> float:
    """Mean over the classes of the share that is right, in %."""
    right = logits.argmax(1) == y
    return float(100 * np.mean([right[y == k].mean() for k in np.unique(y)]))


def held_out_score(logits: np.ndarray, y: np.ndarray, counts: np.ndarray) -> float:
    """What is chosen by: balanced accuracy, or log-likelihood under the training prior where classes differ in size."""
    if counts.min() == counts.max():
        return balanced(logits, y)
    log_p = torch.from_numpy(logits + np.log(counts)).log_softmax(1)
    return float(log_p[torch.arange(len(y)), torch.from_numpy(y)].mean())


def cut(labels: np.ndarray, what: str, seed: int) -> np.ndarray:
    """Indices of a cut."""
    if ":" in what:
        order = np.random.default_rng(seed).permutation(labels.max() + 1)
        return long_tail_indices(order[labels], float(what.split(":")[0]), seed=seed)
    return draw_by_class(labels, [int(what)] * int(labels.max() + 1), seed)


def split(y: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices of four fifths and one fifth of each class that has two samples or more."""
    several = np.bincount(y).max() > 1
    held = holdout_indices(y, 0.2, seed=seed) if several else np.zeros(0, dtype=np.int64)
    return np.setdiff1d(np.arange(len(y)), held), held


def tuned(x: np.ndarray, y: np.ndarray, wanted: Sequence[str] | None) -> dict[str, dict[str, float]]:
    """Options of the rivals, by name."""
    fit, held = split(y, 0)
    options: dict[str, dict[str, float]] = {name: {} for name in RIVALS}
    if not len(held):
        return options
    grids: dict[str, tuple[Any, list[dict[str, float]]]] = {
        "logistic regression": (logistic, [{"C": c} for c in (1.0, 10.0, 100.0, 1000.0)]),
        "cosine head": (
            cosine, [{"scale": s, "rate": r} for s, r in itertools.product((8.0, 16.0, 32.0), (0.003, 0.01))]
        ),
    }  # fmt: skip
    for name, (fitter, grid) in grids.items():
        if wanted is None or name in wanted:
            options[name] = max(
                grid,
                key=lambda o, f=fitter: held_out_score(f(x[fit], y[fit], **o)(x[held]), y[held], np.bincount(y[fit])),
            )
    return options


def load(path: Path) -> tuple[np.ndarray, ...]:
    """Training features and labels, test features and labels, names, without the class of what is out of scope."""
    from safetensors import safe_open

    with safe_open(str(path), framework="np") as file:
        x, y, tx, ty, names = (
            file.get_tensor(f"{n}") for n in ("train_features", "train_labels", "test_features", "test_labels",
                                               "names_features")
        )  # fmt: skip
        called = json.loads(file.metadata()["class_names"])
    kept = np.array([k for k, name in enumerate(called) if name != "oos"])
    place = np.full(len(called), -1)
    place[kept] = np.arange(len(kept))
    y, ty = place[y], place[ty]
    return x[y >= 0], y[y >= 0], tx[ty >= 0], ty[ty >= 0], names[kept]


def one_draw(
    data: tuple[np.ndarray, ...],
    what: str,
    seed: int,
    options: dict[str, dict[str, float]],
    wanted: Sequence[str] | None,
) -> tuple[dict[str, float], dict[str, float], str]:
    """Balanced accuracy and seconds of the classifiers wanted (None: all), and what the rule took."""
    x, y, tx, ty, names = data
    index = cut(y, what, seed)
    x, y = x[index], y[index]
    fits: dict[str, Any] = {
        "logistic regression": partial(logistic, **options["logistic regression"]),
        "cosine head": partial(cosine, **options["cosine head"]),
        "logistic regression + names": partial(logistic, names=names, **options["logistic regression"]),
        RULE[0]: partial(named, vectors=names, learn=False),
        RULE[1]: partial(named, vectors=names, learn=True),
    }
    for kind in CLOSED:
        fits[kind] = partial(closed, kind=kind, vectors=None)
        fits[f"{kind} + names"] = partial(closed, kind=kind, vectors=names)
    found, seconds = {"names alone": balanced(tx @ names.T, ty)}, {}
    fits = {name: fit for name, fit in fits.items() if wanted is None or name in wanted}
    for name, fit in fits.items():
        start = time.perf_counter()
        model = fit(x, y)
        seconds[name] = time.perf_counter() - start
        found[name] = balanced(model(tx), ty)
    if not set(RULE) <= set(fits):
        return found, seconds, ""
    part, held = split(y, seed)
    chosen = RULE[0]
    if len(held):
        counts = np.bincount(y[part])
        chosen = max(RULE, key=lambda name: held_out_score(fits[name](x[part], y[part])(x[held]), y[held], counts))
    return {**found, "rule": found[chosen]}, seconds, chosen


def table(results: dict[str, Any]) -> str:
    """Markdown, a row for each cell: the better learned rival, ± CI, and what others are over it, ± CI."""
    lines = ["| | samples | best learned | " + " | ".join(SHOWN) + " |", "|---|---|---|" + "---|" * len(SHOWN)]
    for cell in sorted(results["cells"], key=lambda name: (name.split()[0], CUTS.index(name.split()[1]))):
        kept = results["cells"][cell]
        over = {
            method: "{:+.1f} ± {:.1f}".format(*row["over_best_learned"]).replace("-", "−")
            for method, row in kept["rows"].items()
        }
        told = [over.get(method, "") for method in SHOWN]
        mean, half = kept["rows"][kept["best_learned"]]["mean_ci"]
        lines.append(f"| {cell} | {kept['samples']} | {mean:.1f} ± {half:.1f} | " + " | ".join(told) + " |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command_parser("questions named", __doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sets", nargs="+", default=["banking77", "clinc150"])
    parser.add_argument("--cuts", nargs="+", default=list(CUTS), choices=CUTS)
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--rows", nargs="+", help="of the table, added to those kept; with logistic regression")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    given = parser.parse_args(arguments)
    results: dict[str, Any] = read_json(given.output) if given.output.exists() else {"cells": {}}
    for name, what in itertools.product(given.sets, given.cuts):
        data = load(given.folder / f"{name}.safetensors")
        index = cut(data[1], what, 0)
        options = tuned(data[0][index], data[1][index], given.rows)
        draws = [one_draw(data, what, seed, options, given.rows) for seed in range(given.draws)]
        kept = results["cells"].get(f"{name} {what}", {"rows": {}, "rule": [], "tuned": {}})
        accuracy = {method: row["values"] for method, row in kept["rows"].items()}
        accuracy |= {method: [d[0][method] for d in draws] for method in draws[0][0]}
        seconds = {method: row["seconds"] for method, row in kept["rows"].items()}
        seconds |= {method: float(np.median([d[1][method] for d in draws])) for method in draws[0][1]}
        best = max((rival for rival in RIVALS if rival in accuracy), key=lambda rival: np.mean(accuracy[rival]))
        rows = {
            method: {
                "values": values, "mean_ci": mean_ci(values),
                "over_best_learned": mean_ci(np.subtract(values, accuracy[best])),
                "seconds": seconds.get(method),
            }
            for method, values in accuracy.items()
        }  # fmt: skip
        results["cells"][f"{name} {what}"] = {
            "samples": len(index), "tuned": {name: o or kept["tuned"].get(name, o) for name, o in options.items()},
            "best_learned": best, "rule": [d[2] for d in draws] if draws[0][2] else kept["rule"], "rows": rows,
            "provenance": provenance(),
        }  # fmt: skip
        write_json(given.output, json_plain(results))
        print(f"{name}, {what}: {len(index)} samples, {options}, rule {[d[2] for d in draws]}")
        for method, row in rows.items():
            (mean, half), (over, half_over) = row["mean_ci"], row["over_best_learned"]
            print(f"  {method:28s} {mean:5.1f} ± {half:3.1f}   {over:+5.1f} ± {half_over:3.1f}", flush=True)
    print(table(results))


if __name__ == "__main__":
    main()
