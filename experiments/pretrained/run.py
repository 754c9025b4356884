"""Run the study on pretrained features, cell by cell, and show what came out.

    EQUIANGULAR_DATA=DIR python -m experiments pretrained [--cells TEXT ...] [--folder DIR] [--draws N] [--summary]

A cell is a cut of a set: so many samples of each class, an exponential tail, or the classes as frequent as they are
("natural", or "all" where it takes every sample: then draws differ by the random starts alone). Five draws of the cut,
paired: all classifiers see the same samples. Balanced accuracy on the test part.

- Classifiers: class vectors x learned or fixed x map x loss x prior, see ``arms.py``; one factor at a time around fixed
  class names (texts) or class means (else) behind a residual map, logit-adjusted; all levels of all factors on three
  cells. Beside them logistic regression, as it is and with the prior taken out, the same on an RBF kernel's features,
  and the library's closed-form kernel.
- Tuning, alike for all: a fifth of each class is held out, in two draws, in five up to 150 samples, twice anew in each
  up to 60. Where a class is too small for that, one fold after the other: three in one draw, five up to 600 samples,
  and in all draws up to 200. Five learning rates at scale 16, then scales 4, 8 and 32 at the best; 10 to 100 full-batch
  steps of Adam. Ridge: 13 strengths. Logistic regression: eight C; its kernel three of them and three widths. What has
  the least held-out log loss, classes counted alike, at its best temperature, is trained on all samples of every draw.
  The closed-form kernel chooses by leave-one-out.
- One sample a class leaves nothing to hold out: options are those of five a class of the same set.
- The test part is looked at once for every classifier and draw, and by nothing that chooses.

Every classifier is written down when it is done (``results/pretrained/CELL.json``); the same command goes on there.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.special import log_softmax

from equiangular import ClosedFormClassifier
from equiangular._codec import pack
from equiangular._files import json_plain, read_json, write_json
from equiangular._provenance import provenance
from equiangular.longtail import holdout_indices
from equiangular.longtail.cut import draw_by_class
from experiments.common import command_parser
from experiments.pretrained.arms import CELLS, EXACT, PULLED, RIVALS, WIDE, Arm, Cell, missing
from experiments.pretrained.fit import Fit, Names, class_vectors, ridge, train, untrained
from experiments.pretrained.sets import Part, load
from experiments.pretrained.tables import FOLDER, show
from experiments.questions.features import cut, fold_numbers

DRAWS = 5
# Samples of a cut -> in how many of its draws a fifth is held out, and how often in each.
HELD = ((60, 5, 2), (150, 5, 1), (10**9, 2, 1))
# The same of a tail -> in how many draws, and in how many parts, each held out in its turn.
FOLDED = ((200, 5, 5), (600, 1, 5), (10**9, 1, 3))
SMOOTHING = 0.02
RATES = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
SCALES = (16.0, 4.0, 8.0, 32.0)
STEPS = (10, 30, 60, 100)
STRENGTHS = tuple(10.0 ** (i / 2) for i in range(-12, 1))
INVERSE = tuple(10.0 ** (i / 2) for i in range(8))  # C of logistic regression, times the mean square length of a sample
WIDTHS = (0.1, 0.3, 1.0)  # gamma of the RBF kernel at unit mean square length
TEMPERATURES = np.geomspace(0.05, 20, 25)
Options = dict[str, Any]
# Fits and options -> for every fit and option logits (M, K).
Fitter = Callable[[list[Fit], list[Options]], list[list[np.ndarray]]]


def indices(part: Part, cell: Cell, seed: int) -> np.ndarray:
    """Samples of a draw, ascending."""
    if cell.cut in ("natural", "all"):
        count = np.bincount(part.y)
        return draw_by_class(part.y, np.maximum(count * min(1, cell.most / len(part.y)), 1).astype(int), seed)
    index = cut(part.y, cell.cut, seed, cell.most)
    if index is None:
        raise ValueError(f"{cell.name}: the set is too small for this cut.")
    return index


def out_of(logits: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Logits less the log of the class sizes: Bayes' rule for classes alike."""
    return logits - np.log(np.bincount(y))


def held_out_loss(logits: np.ndarray, y: np.ndarray) -> float:
    """Log loss, classes counted alike, at the temperature that is best: (M, K), (M,).

    A little of the target is spread over all classes: what separates a small held-out part would else have a loss of 0
    at some temperature, and all that do would tie.
    """
    weight = 1 / np.bincount(y)[y]
    target = (1 - SMOOTHING) * np.eye(logits.shape[1])[y] + SMOOTHING / logits.shape[1]
    target *= (weight / weight.sum())[:, None]
    return min(float(-(target * log_softmax(logits * t, axis=1)).sum()) for t in TEMPERATURES)


def two_columns(logits: np.ndarray) -> np.ndarray:
    """Logits (M, K), of one column as well, as scikit-learn has them for two classes."""
    return np.stack([-logits / 2, logits / 2], 1) if logits.ndim == 1 else logits


def fit_arm(arm: Arm, names: Names, fits: list[Fit], options: list[Options]) -> list[list[np.ndarray]]:
    """A :data:`Fitter` of an arm; heads train side by side, and stop on the way."""
    found: Any
    if arm.trained:
        pairs = list(dict.fromkeys((o["rate"], o["scale"]) for o in options))
        steps = sorted({o["steps"] for o in options})
        rates, scales = zip(*pairs, strict=True)
        places = [(pairs.index((o["rate"], o["scale"])), steps.index(o["steps"])) for o in options]
        found = [[]] * len(fits)
        # Where the order of the classes is drawn, draws can differ by a sample or two.
        for size in {(len(fit.x), len(fit.at)) for fit in fits}:
            own = [f for f, fit in enumerate(fits) if (len(fit.x), len(fit.at)) == size]
            logits = train(arm, names, [fits[f] for f in own], rates, scales, steps).numpy()
            for f, z in zip(own, logits, strict=True):
                found[f] = [z[place] for place in places]
    else:
        found = []
        for fit in fits:
            vectors = class_vectors(arm, fit.x, fit.y, names, fit.seed)
            if arm.loss in EXACT:
                found.append(ridge(arm, vectors, fit.x, fit.y, fit.at, [o["strength"] for o in options]).numpy())
            else:
                found.append([untrained(arm, vectors, fit.at).numpy()] * len(options))
    if arm.loss == "CE, prior out":
        found = [[out_of(z, fit.y) for z in own] for own, fit in zip(found, fits, strict=True)]
    return found


def fit_logistic(name: str, names: Names, fits: list[Fit], options: list[Options]) -> list[list[np.ndarray]]:
    """A :data:`Fitter` of logistic regression; names are one more sample of each class."""
    found = []
    for x, y, at, seed in fits:
        if "names" in name:
            x, y = np.concatenate([x, names["names"]]), np.concatenate([y, np.arange(len(names["names"]))])
        own = [logistic(x, y, at, option["C"], option.get("gamma"), seed) for option in options]
        found.append([out_of(logits, y) if "prior out" in name else logits for logits in own])
    return found


_FITTED: dict[tuple[Any, ...], np.ndarray] = {}  # of a cell: with and without the prior it is one fit


def logistic(x: Any, y: Any, at: np.ndarray, inverse: float, gamma: float | None, seed: int) -> np.ndarray:
    """Logits of logistic regression, on an RBF kernel's features where there is a ``gamma``."""
    from sklearn.kernel_approximation import Nystroem
    from sklearn.linear_model import LogisticRegression

    key = (x.tobytes(), y.tobytes(), at.tobytes(), inverse, gamma, seed if gamma is not None else None)
    if key not in _FITTED:
        if gamma is not None:
            features = Nystroem(gamma=gamma, n_components=min(len(x), 500), random_state=seed).fit(x)
            x, at = features.transform(x), features.transform(at)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # at the largest C it may not converge
            model = LogisticRegression(C=inverse, max_iter=300, tol=1e-3).fit(x, y)
        _FITTED[key] = two_columns(model.decision_function(at))
    return _FITTED[key]


def fit_kernel(name: str, names: Names, fits: list[Fit], options: list[Options]) -> list[list[np.ndarray]]:
    """A :data:`Fitter` of the closed-form kernel, which has no options."""
    given = dict(enumerate(names["names"])) if "names" in name else None
    models = [ClosedFormClassifier("kernel", class_vectors=given).fit(fit.x, fit.y) for fit in fits]
    return [
        [two_columns(model.decision_function(fit.at))] * len(options) for model, fit in zip(models, fits, strict=True)
    ]


def fitter_of(what: Arm | str, names: Names) -> tuple[Fitter, list[list[Options]]]:
    """What fits a classifier, and its options in rounds: those of a round go on from the best of the one before."""
    if isinstance(what, Arm):
        rounds: list[list[Options]] = [[{}]]
        if what.loss in EXACT:
            rounds = [[{"strength": s} for s in STRENGTHS]]
        elif what.trained:
            rounds = [[{"rate": r, "scale": SCALES[0], "steps": s} for r in RATES for s in STEPS]]
            if what.loss not in PULLED:
                rounds.append([{"scale": scale, "steps": s} for scale in SCALES[1:] for s in STEPS])
        return partial(fit_arm, what, names), rounds
    if what.startswith("kernel") and "logistic" not in what:
        return partial(fit_kernel, what, names), [[{}]]
    widths: list[Options] = [{"gamma": g} for g in WIDTHS] if what == RIVALS[2] else [{}]
    return partial(fit_logistic, what, names), [
        [{"C": c, **w} for w in widths for c in (INVERSE[2::2] if w else INVERSE)]
    ]


def fifths(labels: np.ndarray, times: int) -> list[np.ndarray]:
    """Positions of a fifth of each class, so many times anew."""
    return [holdout_indices(labels, 0.2, seed=repeat) for repeat in range(times)]


def folds(labels: np.ndarray, count: int) -> list[np.ndarray]:
    """Positions of every fold: all samples but the lone ones of a class, classes spread evenly."""
    number = fold_numbers(labels, count, 0)
    return [np.flatnonzero(number == fold) for fold in np.unique(number[number >= 0])]


def is_tail(labels: np.ndarray) -> bool:
    """Whether a fifth has nothing of some class.

    What is chosen by such a fifth is not chosen for the rarest classes: logistic regression with the prior taken out
    got a C that lost 7 points on banking77 at 50 to 1.
    """
    return len(np.unique(labels[fifths(labels, 1)[0]])) < len(np.unique(labels))


def tune(part: Part, drawn: list[np.ndarray], fit: Fitter, rounds: list[list[Options]]) -> tuple[Options, float]:
    """The options of the least held-out loss, and that loss."""
    best: tuple[Options, float] = ({}, np.inf)
    split, sizes = (folds, FOLDED) if is_tail(part.y[drawn[0]]) else (fifths, HELD)
    draws, times = next(rest for most, *rest in sizes if len(drawn[0]) <= most)
    fits, labels = [], []
    for seed, index in enumerate(drawn[:draws]):
        if seed and np.array_equal(index, drawn[0]):  # all samples in every draw
            break
        for out in split(part.y[index], times):
            fits.append(Fit(part.x[np.delete(index, out)], part.y[np.delete(index, out)], part.x[index[out]], seed))
            labels.append(part.y[index[out]])
    joined = np.concatenate(labels)
    for added in rounds:
        options = [{**best[0], **option} for option in added]
        logits = fit(fits, options)
        for i, option in enumerate(options):
            loss = held_out_loss(np.concatenate([own[i] for own in logits]), joined)
            if loss < best[1]:
                best = (option, loss)
    return best


def run_one(
    part: Part, drawn: list[np.ndarray], what: Arm | str, chosen: tuple[Options, float] | None
) -> dict[str, Any]:
    """Options, held-out loss, balanced accuracies and hits; ``chosen`` is told where a class has one sample."""
    began = time.process_time()
    fit, rounds = fitter_of(what, part.names)
    options, loss = tune(part, drawn, fit, rounds) if chosen is None else chosen
    fits = [Fit(part.x[index], part.y[index], part.test_x, seed) for seed, index in enumerate(drawn)]
    hits = [logits.argmax(1) == part.test_y for (logits,) in fit(fits, [options])]
    classes = np.unique(part.test_y)
    return {
        "options": options,
        "held_out_loss": loss,
        "balanced_accuracy": [float(100 * np.mean([h[part.test_y == k].mean() for k in classes])) for h in hits],
        "correct": [pack(h.tolist()) for h in hits],
        "seconds": time.process_time() - began,
    }


def path_of(folder: Path, name: str) -> Path:
    """The record of a cell."""
    return folder / f"{name.replace(' ', '-').replace(',', '').replace(':', '_to_')}.json"


def run_cell(cell: Cell, folder: Path, draws: int) -> None:
    """Fill in the record of a cell."""
    path = path_of(folder, cell.name)
    record: dict[str, Any] = read_json(path) if path.exists() else {"arms": {}}
    record.pop("checksum", None)
    if not missing(cell, record):
        return
    part = load(cell.set)
    drawn = [indices(part, cell, seed) for seed in range(draws)]
    count = np.bincount(part.y[drawn[0]])
    record |= {
        "cell": cell.name, "set": cell.set, "cut": cell.cut, "kind": cell.kind, "classes": len(count),
        "dimensions": part.x.shape[1], "samples": int(count.sum()), "largest": int(count.max()),
        "smallest": int(count.min()), "tested": np.bincount(part.test_y).tolist(), "draws": draws,
        "provenance": provenance(),
    }  # fmt: skip
    _FITTED.clear()
    wide = part._replace(x=part.wide[0], test_x=part.wide[1])
    for what in missing(cell, record):
        chosen = None
        if count.max() == 1:
            kept = read_json(path_of(folder, f"{cell.set} 5 each"))["arms"][str(what)]
            chosen = kept["options"], kept["held_out_loss"]
        record["arms"][str(what)] = found = run_one(wide if what == WIDE else part, drawn, what, chosen)
        write_json(path, json_plain(record))
        print(f"{cell.name}: {what}: {np.mean(found['balanced_accuracy']):.1f}, {found['options']}, "
              f"held out {found['held_out_loss']:.3f}, {found['seconds']:.1f} s", flush=True)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """Run cells, or show what was found."""
    parser = command_parser("pretrained", __doc__)
    parser.add_argument("--cells", nargs="+", default=[""], help="those whose name begins so; all by default")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--draws", type=int, default=DRAWS)
    parser.add_argument("--summary", action="store_true", help="run nothing: tables, figures and the summary")
    given = parser.parse_args(arguments)
    if given.summary:
        show(given.folder)
        return
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", message="the features have no gradient")  # BatchNorm alone: a level of a factor
    given.folder.mkdir(parents=True, exist_ok=True)
    for cell in CELLS:
        if any(cell.name.startswith(text) for text in given.cells):
            run_cell(cell, given.folder, given.draws)


if __name__ == "__main__":
    main()
